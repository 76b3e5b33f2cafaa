package controller

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clientrest "k8s.io/client-go/rest"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/gitsync"
	"github.com/sluice-dev/sluice/test/kube"
)

// valve stands between the controller, where it acts as a Source's account, and the API server.
type valve struct {
	mu      sync.Mutex
	written []string // requests that change something, with the code of the answer
	holds   func(*http.Request) bool
	breaks  func(next http.RoundTripper, req *http.Request) (*http.Response, error) // nil, nil: it lets the request through
	open    chan struct{}                                                           // closed: what is held goes on
	arrived chan struct{}                                                           // closed once something is held
}

func (g *valve) before(config *clientrest.Config) *clientrest.Config {
	config = clientrest.CopyConfig(config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return through(func(req *http.Request) (*http.Response, error) { return g.pass(next, req) })
	})
	return config
}

type through func(*http.Request) (*http.Response, error)

func (f through) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func (g *valve) pass(next http.RoundTripper, req *http.Request) (*http.Response, error) {
	if req.Method == http.MethodGet || req.URL.Query().Get("dryRun") != "" {
		return next.RoundTrip(req)
	}
	g.mu.Lock()
	held, open, breaks := g.holds != nil && g.holds(req), g.open, g.breaks
	if held {
		close(g.arrived)
		g.holds = nil
	}
	g.mu.Unlock()
	if held {
		select {
		case <-open:
		case <-req.Context().Done():
		}
	}
	var res *http.Response
	var err error
	if breaks != nil {
		res, err = breaks(next, req)
	}
	if res == nil && err == nil {
		res, err = next.RoundTrip(req)
	}
	answer := fmt.Sprint(err)
	if err == nil {
		answer = fmt.Sprint(res.StatusCode)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.written = append(g.written, req.Method+" "+req.URL.Path+" "+answer)
	return res, err
}

// hold keeps the next request back that is chosen, until the returned function is called; arrived is closed once it came.
func (g *valve) hold(t *testing.T, chosen func(*http.Request) bool) (arrived <-chan struct{}, release func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.holds, g.open, g.arrived = chosen, make(chan struct{}), make(chan struct{})
	release = sync.OnceFunc(func() { close(g.open) })
	t.Cleanup(release)
	return g.arrived, release
}

// spoil answers requests in place of the server; nil ends that.
func (g *valve) spoil(breaks func(next http.RoundTripper, req *http.Request) (*http.Response, error)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.breaks = breaks
}

func (g *valve) log() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.written)
}

const serviceYAML = "apiVersion: v1\nkind: Service\nmetadata: {name: late}\nspec: {ports: [{port: 80}]}\n"

// preempts holds the first write of a commit, pushes another, has it seen by told, and checks that the first commit makes
// way after that write.
func preempts(t *testing.T, w *world, told func(commit string)) {
	t.Helper()
	arrived, release := w.valve.hold(t, func(r *http.Request) bool { return r.Method == http.MethodPost })
	first := w.push("first", map[string]string{"app/a.yaml": configMap("a", "one"), "app/late.yaml": serviceYAML})
	w.source(func(s *v1alpha1.SourceSpec) { s.Interval = v1alpha1.DurationOf(10 * time.Second) })
	select {
	case <-arrived:
	case <-time.After(soon):
		t.Fatalf("nothing of %s is written", first)
	}
	second := w.push("second", map[string]string{"app/a.yaml": configMap("a", "two"), "app/late.yaml": ""})
	told(second)
	kube.Eventually(t, soon, func() error {
		if n := measured(t, w.controller)["preemptions_total"]; n != 1 {
			return fmt.Errorf("%v runs make way, want one", n)
		}
		return nil
	})
	release()
	s := w.ready(v1alpha1.ReasonApplied, second)
	at := "/api/v1/namespaces/" + w.ns + "/"
	log := w.valve.log()
	if log[0] != "POST "+at+"configmaps 201" {
		t.Errorf("the request under way: %s, want it answered", log[0])
	}
	if slices.Contains(log, "POST "+at+"services 201") {
		t.Errorf("writes %q, want nothing of the first commit after the second was seen", log)
	}
	if w.data("a")["k"] != "two" || len(s.Inventory) != 1 {
		t.Errorf("a = %v, inventory %v; want the second commit and nothing else", w.data("a"), s.Inventory)
	}
}

func TestPreemption_byWebhook(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	preempts(t, w, func(commit string) { w.hint(commit) })
}

func TestPreemption_byAnnotation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	preempts(t, w, func(string) { w.look("now") })
}

func TestPreemption_byPoll(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	preempts(t, w, func(string) {})
}

func TestPreemption_sameCommitGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	arrived, release := w.valve.hold(t, func(r *http.Request) bool { return r.Method == http.MethodPost })
	first := w.push("first", map[string]string{"app/a.yaml": configMap("a", "one"), "app/late.yaml": serviceYAML})
	w.source(nil)
	<-arrived
	before := w.git.Count("/app.git/git-upload-pack")
	w.hint("")
	kube.Eventually(t, soon, func() error {
		if n := w.git.Count("/app.git/git-upload-pack"); n == before {
			return fmt.Errorf("the remote was not asked")
		}
		return nil
	})
	release()
	w.ready(v1alpha1.ReasonApplied, first)
	if n := measured(t, w.controller)["preemptions_total"]; n != 0 {
		t.Errorf("%v runs made way for the same commit", n)
	}
}

func TestPreemption_endsAfterThreeRunsOrHalfAMinute(t *testing.T) {
	t.Parallel()
	start := time.Unix(1000, 0)
	for _, c := range []struct {
		name string
		e    preemption
		may  bool
		end  time.Time
	}{
		{"first run", preemption{}, true, start.Add(30 * time.Second)},
		{"old trouble is over", preemption{since: start.Add(-time.Hour)}, true, start.Add(30 * time.Second)},
		{"two runs within ten seconds", preemption{runs: 2, since: start.Add(-10 * time.Second)}, true, start.Add(20 * time.Second)},
		{"three runs", preemption{runs: 3, since: start.Add(-time.Second)}, false, start.Add(29 * time.Second)},
		{"half a minute", preemption{runs: 1, since: start.Add(-30 * time.Second)}, false, start},
	} {
		if end, may := c.e.until(start); may != c.may || !end.Equal(c.end) {
			t.Errorf("%s: %v until %s, want %v until %s", c.name, may, end, c.may, c.end)
		}
	}
	var e preemption
	e.cut(start)
	e.cut(start.Add(time.Second))
	if e.runs != 2 || !e.since.Equal(start) {
		t.Errorf("after two runs: %+v, want both counted from the first", e)
	}
}

// A commit that was taken away while it was being applied is not gone on with: nothing more of it is applied or pruned.
func TestPreemption_whatWasTakenBackIsNotApplied(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.filters()
	base := w.push("base", map[string]string{"app/a.yaml": configMap("a", "one"), "app/b.yaml": configMap("b", "one")})
	w.source(nil)
	w.ready(v1alpha1.ReasonApplied, base)
	arrived, release := w.valve.hold(t, func(r *http.Request) bool { return r.Method == http.MethodPatch })
	first := w.push("first", map[string]string{"app/a.yaml": configMap("a", "two"), "app/b.yaml": "", "app/late.yaml": serviceYAML})
	w.hint(first)
	select {
	case <-arrived:
	case <-time.After(soon):
		t.Fatalf("nothing of %s is written", first)
	}
	w.gitdo("reset", "--quiet", "--soft", base)
	w.hint(w.rewrite(map[string]string{"app/a.yaml": configMap("a", "three")}))
	kube.Eventually(t, soon, func() error {
		if n := measured(t, w.controller)["preemptions_total"]; n != 1 {
			return fmt.Errorf("%v runs make way, want one", n)
		}
		return nil
	})
	release()
	w.observed(string(gitsync.HistoryRewritten))
	w.hint("")
	w.observed(string(gitsync.HistoryRewritten))
	for _, line := range w.valve.log() {
		if strings.Contains(line, "/services ") || strings.HasPrefix(line, "DELETE ") {
			t.Errorf("%s, after the commit was taken back", line)
		}
	}
	if w.data("b")["k"] != "one" {
		t.Errorf("b = %v, want it kept", w.data("b"))
	}
}
