package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/gitserver"
	"github.com/sluice-dev/sluice/test/gitserver/gittest"
	"github.com/sluice-dev/sluice/test/load"
	"github.com/sluice-dev/sluice/test/poll"
)

// folders holds the examples that the docs show. Their files are pushed here as they are, ports included.
const folders = "../../examples"

// example is one of them at work: its repository, its versions and its gateway.
type example struct {
	t         *testing.T
	client    client.Client
	namespace string
	gateway   int // the port
	tree      *gitserver.WorkTree
	files     map[string]string
	served    map[string]*served // by version
}

// served is what the processes of one version do and have done.
type served struct {
	errors   atomic.Int64 // per mille
	requests atomic.Int64
}

// openExample pushes the folder's files and waits until its Rollouts have adopted what runs.
func openExample(t *testing.T, name string, gateway int, rollouts ...string) *example {
	t.Helper()
	s := theSite(t)
	ex := &example{t: t, client: s.client, namespace: "example-" + name, gateway: gateway, files: map[string]string{}, served: map[string]*served{}}
	ex.serve(filepath.Join(folders, name, "services"))
	dir := filepath.Join(folders, name)
	err := filepath.WalkDir(filepath.Join(dir, "deploy"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		ex.files[strings.TrimPrefix(path, dir+"/")] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ex.namespace}}
	if err := s.client.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	if err := s.stack.EnsureApplier(t.Context(), ex.namespace); err != nil {
		t.Fatal(err)
	}
	git := gittest.Start(t, gitserver.Config{OnPush: func(gitserver.Push) { ex.hint() }})
	ex.tree = gittest.Repository(t, git, name)
	ex.push("first version")
	src := &v1alpha1.Source{ObjectMeta: metav1.ObjectMeta{Name: "main", Namespace: ex.namespace},
		Spec: v1alpha1.SourceSpec{URL: git.URL(name), Ref: v1alpha1.SourceRef{Branch: "main"}, Path: "deploy", ServiceAccountName: "sluice-applier"}}
	if err := s.client.Create(t.Context(), src); err != nil {
		t.Fatal(err)
	}
	for _, r := range rollouts {
		ex.until(r, "v1 adopted", func(st *v1alpha1.RolloutStatus) bool { return st.Stable.Name == "v1" && ready(st) })
	}
	return ex
}

// serve starts what the file names: lines of a version, its ports and its errors.
func (ex *example) serve(path string) {
	ex.t.Helper()
	f, err := os.Open(path)
	if err != nil {
		ex.t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		for i, word := range words[1:] {
			if word == "--errors" {
				percent, err := strconv.Atoi(words[i+2])
				if err != nil {
					ex.t.Fatal(err)
				}
				ex.served[words[0]].errors.Store(int64(10 * percent))
				break
			}
			ex.listen(words[0], word)
		}
	}
}

func (ex *example) listen(version, port string) {
	ex.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		ex.t.Fatalf("the example wants this port: %v", err)
	}
	v := ex.served[version]
	if v == nil {
		v = &served{}
		ex.served[version] = v
	}
	srv := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v.requests.Add(1)
		w.Header().Set(load.VersionHeader, version)
		w.Header().Set("x-path", r.URL.Path)
		w.Header().Set("x-store", r.Header.Get("x-store"))
		if rand.Int64N(1000) < v.errors.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }()
	ex.t.Cleanup(func() { _ = srv.Close(); <-done })
}

func (ex *example) push(subject string) { gittest.Push(ex.t, ex.tree, subject, ex.files) }

// release changes the one line of a file that a release changes.
func (ex *example) release(file, version string) {
	ex.t.Helper()
	text := strings.Replace(ex.files[file], "subset: v1\n", "subset: "+version+"\n", 1)
	if i := strings.Index(text, "kind: Rollout"); i < 0 || !strings.Contains(text[i:], "subset: "+version+"\n") {
		ex.t.Fatalf("%s has no line `subset: v1` in its Rollout", file)
	}
	ex.files[file] = text
	ex.push(file + ": " + version)
}

// hint asks the Source to look now, as a webhook would.
func (ex *example) hint() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{"sluice.dev/reconcile":"%d"}}}`, rand.Int64())
	src := &v1alpha1.Source{ObjectMeta: metav1.ObjectMeta{Name: "main", Namespace: ex.namespace}}
	_ = ex.client.Patch(ctx, src, client.RawPatch("application/merge-patch+json", patch)) // the poll comes anyway
}

// until waits for a state of a Rollout.
func (ex *example) until(rollout, what string, ok func(st *v1alpha1.RolloutStatus) bool) {
	ex.t.Helper()
	err := poll.Until(90*time.Second, func() error {
		ro := &v1alpha1.Rollout{}
		if err := ex.client.Get(ex.t.Context(), client.ObjectKey{Namespace: ex.namespace, Name: rollout}, ro); err != nil {
			return err
		}
		if ro.Status == nil || !ok(ro.Status) {
			return errors.New(brief(ro.Status))
		}
		return nil
	})
	if err != nil {
		src := &v1alpha1.Source{}
		_ = ex.client.Get(ex.t.Context(), client.ObjectKey{Namespace: ex.namespace, Name: "main"}, src)
		ex.t.Fatalf("waiting for %s: %v\n%+v\n%+v", what, err, src.Status.Conditions, src.Status.Problems)
	}
}

func (ex *example) completed(rollout, version string) {
	ex.t.Helper()
	ex.until(rollout, version+" completed", func(st *v1alpha1.RolloutStatus) bool {
		return st.Stable.Name == version && st.Outcome == v1alpha1.OutcomeCompleted && ready(st)
	})
}

// visit starts users once the gateway answers, until the end of the test.
func (ex *example) visit(path string) *load.Generator {
	ex.t.Helper()
	ex.from("v1", "bookstore.example", path)
	g, err := load.Start(ex.t.Context(), load.Config{URL: fmt.Sprintf("http://127.0.0.1:%d%s", ex.gateway, path), Host: "bookstore.example", RPS: 250, Seed: 1, Timeout: patience})
	if err != nil {
		ex.t.Fatal(err)
	}
	ex.t.Cleanup(g.Stop)
	return g
}

// answer is what one request got, with these headers ("Name: value").
func (ex *example) answer(host, path string, headers ...string) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(ex.t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", ex.gateway, path), nil)
	if err != nil {
		return nil, err
	}
	req.Host = host
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultTransport.RoundTrip(req) // redirects are answers
	if err != nil {
		return nil, err
	}
	return resp, resp.Body.Close()
}

// from waits until such a request is answered by a version.
func (ex *example) from(version, host, path string, headers ...string) {
	ex.t.Helper()
	err := poll.Until(15*time.Second, func() error {
		resp, err := ex.answer(host, path, headers...)
		if err != nil {
			return err
		}
		if got := resp.Header.Get(load.VersionHeader); resp.StatusCode != http.StatusOK || got != version {
			return fmt.Errorf("%s%s %v: status %d from %q, want 200 from %s", host, path, headers, resp.StatusCode, got, version)
		}
		return nil
	})
	if err != nil {
		ex.t.Fatal(err)
	}
}

// act asks for something as a person does.
func (ex *example) act(rollout string, verb v1alpha1.ActionVerb) {
	ex.t.Helper()
	ro := &v1alpha1.Rollout{}
	if err := ex.client.Get(ex.t.Context(), client.ObjectKey{Namespace: ex.namespace, Name: rollout}, ro); err != nil {
		ex.t.Fatal(err)
	}
	a := &v1alpha1.RolloutAction{ObjectMeta: metav1.ObjectMeta{GenerateName: rollout + "-", Namespace: ex.namespace},
		Spec: v1alpha1.RolloutActionSpec{Rollout: rollout, Verb: verb, IfAttempt: ro.Status.Attempt, Actor: "ana@example.com"}}
	if err := ex.client.Create(ex.t.Context(), a); err != nil {
		ex.t.Fatal(err)
	}
}

// unharmed fails if a user saw an error that no version of the example made.
func (ex *example) unharmed(users *load.Generator) {
	ex.t.Helper()
	if tally := users.Record().Tally(time.Time{}, time.Time{}); tally.Total == 0 || tally.FailedBut(nobody) != 0 {
		ex.t.Errorf("users saw failures, or there were none: %+v", tally)
	}
}

func TestExample_canary(t *testing.T) {
	t.Parallel()
	ex := openExample(t, "canary", 19100, "reviews")
	users := ex.visit("/")
	ex.release("deploy/rollout.yaml", "v2")
	for _, weight := range []int32{15, 50, 100} {
		ex.until("reviews", fmt.Sprint(weight, "%"), func(st *v1alpha1.RolloutStatus) bool { return st.Weight == weight || st.Stable.Name == "v2" })
	}
	ex.completed("reviews", "v2")
	ex.unharmed(users)
}

func TestExample_blueGreen(t *testing.T) {
	t.Parallel()
	ex := openExample(t, "blue-green", 19200, "shop")
	ex.from("v1", "preview.example", "/")
	users := ex.visit("/")
	ex.release("deploy/rollout.yaml", "v2")
	ex.from("v2", "preview.example", "/")
	ex.from("v1", "shop.example", "/")
	ex.until("shop", "an approval to be asked for", func(st *v1alpha1.RolloutStatus) bool { return st.Reason == v1alpha1.ReasonApprovalNeeded })
	ex.act("shop", v1alpha1.ActionApprove)
	ex.from("v2", "shop.example", "/")
	ex.completed("shop", "v2")
	ex.unharmed(users)
}

func TestExample_headerAB(t *testing.T) {
	t.Parallel()
	ex := openExample(t, "header-ab", 19300, "search")
	users := ex.visit("/")
	ex.release("deploy/rollout.yaml", "v2")
	ex.from("v2", "search.example", "/", "x-beta: 1")
	ex.from("v2", "search.example", "/", "cookie: team=search-ranking")
	ex.from("v1", "search.example", "/")
	ex.until("search", "the step of the testers", func(st *v1alpha1.RolloutStatus) bool { return st.Phase == v1alpha1.PhaseBaking })
	ex.act("search", v1alpha1.ActionPromote)
	ex.completed("search", "v2")
	ex.unharmed(users)
}

func TestExample_mirror(t *testing.T) {
	t.Parallel()
	ex := openExample(t, "mirror", 19400, "prices")
	users := ex.visit("/")
	ex.release("deploy/rollout.yaml", "v2")
	err := poll.Until(30*time.Second, func() error {
		if n := ex.served["v2"].requests.Load(); n < 50 {
			return fmt.Errorf("%d copies reached v2", n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	seen := users.Record().Tally(time.Time{}, time.Time{}).Requests("v2") // before the step is read: it may end any time
	ro := &v1alpha1.Rollout{}
	if err := ex.client.Get(t.Context(), client.ObjectKey{Namespace: ex.namespace, Name: "prices"}, ro); err != nil {
		t.Fatal(err)
	}
	if ro.Status.Step <= 1 && seen != 0 {
		t.Errorf("users got %d answers of v2 while its requests are copies", seen)
	}
	ex.completed("prices", "v2")
	ex.unharmed(users)
}

func TestExample_sloGuard(t *testing.T) {
	t.Parallel()
	ex := openExample(t, "slo-guard", 19500, "payments")
	users := ex.visit("/")
	ex.release("deploy/rollout.yaml", "v3")
	ex.until("payments", "the way back", func(st *v1alpha1.RolloutStatus) bool {
		return st.Outcome == v1alpha1.OutcomeRolledBack && st.Stable.Name == "v1" && st.Weight == 0
	})
	ex.from("v1", "payments.example", "/")
	if tally := users.Record().Tally(time.Time{}, time.Time{}); tally.FailedBut("v3") != 0 {
		t.Errorf("failures that v3 did not make: %+v", tally)
	}
}

func TestExample_multiService(t *testing.T) {
	t.Parallel()
	ex := openExample(t, "multi-service", 19600, "cart", "stock")
	cart, stock := ex.visit("/cart"), ex.visit("/stock")
	ex.files["deploy/stock.yaml"] = strings.Replace(ex.files["deploy/stock.yaml"], "subset: v1\n", "subset: v2\n", 1)
	ex.release("deploy/cart.yaml", "v2")
	ex.completed("cart", "v2")
	ex.completed("stock", "v2")
	ex.unharmed(cart)
	ex.unharmed(stock)
}

func TestExample_vm(t *testing.T) {
	t.Parallel()
	ex := openExample(t, "vm", 19700, "ledger")
	users := ex.visit("/")
	ex.release("deploy/rollout.yaml", "v2")
	ex.completed("ledger", "v2")
	ex.unharmed(users)
}

func TestExample_istioFiles(t *testing.T) {
	t.Parallel()
	ex := openExample(t, "istio-files", 19800, "books")
	users := ex.visit("/books/1")
	ex.release("deploy/rollout.yaml", "v2")
	ex.completed("books", "v2")
	ex.unharmed(users)
	resp, err := ex.answer("bookstore.example", "/books/1")
	if err != nil {
		t.Fatal(err)
	}
	if got := [3]string{resp.Header.Get(load.VersionHeader), resp.Header.Get("x-path"), resp.Header.Get("x-store")}; got != [3]string{"v2", "/api/v2/books/1", "main"} {
		t.Errorf("version, path, header = %q: the route's own rules count for the new version, too", got)
	}
	resp, err = ex.answer("bookstore.example", "/index.html")
	if err != nil || resp.StatusCode != http.StatusMovedPermanently {
		t.Errorf("/index.html: %v, %v, want the redirect", resp, err)
	}
	ex.split("/orders", map[string]float64{"paper": 0.8, "tablet": 0.2})
}

// split holds the shares of 1,000 requests against what was written by hand, within five deviations: once in two million.
func (ex *example) split(path string, want map[string]float64) {
	ex.t.Helper()
	const n = 1000
	got := map[string]float64{}
	for range n {
		resp, err := ex.answer("bookstore.example", path)
		if err != nil {
			ex.t.Fatal(err)
		}
		got[resp.Header.Get(load.VersionHeader)] += 1.0 / n
	}
	for version, share := range want {
		if math.Abs(got[version]-share) > 5*math.Sqrt(share*(1-share)/n) {
			ex.t.Errorf("shares of %s = %v, want %v", path, got, want)
		}
	}
}
