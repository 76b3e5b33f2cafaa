package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/gitsync"
	"github.com/sluice-dev/sluice/gitsync/apply"
	"github.com/sluice-dev/sluice/gitsync/decode"
	"github.com/sluice-dev/sluice/gitsync/render"
	"github.com/sluice-dev/sluice/gitsync/watch"
	"github.com/sluice-dev/sluice/test/kube"
)

// timed is a controller with a clock that only the test moves, at the real API server, and a remote that answers as the test
// says. Nobody calls it but the test.
type timed struct {
	*testing.T
	*Controller
	client client.Client
	name   client.ObjectKey

	mu     sync.Mutex
	now    time.Time
	looks  []time.Duration // since the start
	answer error           // of the remote; nil: a commit
	commit string
}

var timeZero = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func newTimed(t *testing.T) *timed {
	t.Helper()
	config := kube.Start(t)
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	w := &timed{T: t, client: c, name: client.ObjectKey{Namespace: kube.Namespace(t, config), Name: "shop"}, now: timeZero, commit: "1111111111111111111111111111111111111111"}
	seen, err := watch.New(config, c.RESTMapper())
	if err != nil {
		t.Fatal(err)
	}
	decoder, err := decode.New(decode.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	w.Controller, err = New(Config{Client: c, Live: c, Recorder: events.NewFakeRecorder(1000), Fetcher: w, Renderer: render.New(render.Limits{}), Decoder: decoder,
		Appliers: apply.New(config, c.RESTMapper(), nil), Watch: seen, Now: w.clock, Random: func() float64 { return 0.5 }})
	if err != nil {
		t.Fatal(err)
	}
	src := &v1alpha1.Source{ObjectMeta: metav1.ObjectMeta{Namespace: w.name.Namespace, Name: w.name.Name},
		Spec: v1alpha1.SourceSpec{URL: "https://git.example.com/shop/deploy", Ref: v1alpha1.SourceRef{Branch: "main"}}}
	if err := c.Create(t.Context(), src); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *timed) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// forward moves the clock.
func (w *timed) forward(by time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(by)
}

// Fetch implements gitsync.Fetcher: an empty directory, which gives EmptyBuild.
func (w *timed) Fetch(context.Context, gitsync.Ref, string) (gitsync.Tree, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looks = append(w.looks, w.now.Sub(timeZero))
	if w.answer != nil {
		return nil, w.answer
	}
	return bare{fstest.MapFS{"README": {Data: []byte("x")}}, gitsync.Commit{ID: w.commit, Ref: "main", Time: timeZero}}, nil
}

// Tip implements gitsync.Fetcher.
func (w *timed) Tip(context.Context, gitsync.Ref, string) (string, error) { return w.commit, nil }

// bare is a tree of one file.
type bare struct {
	fstest.MapFS
	commit gitsync.Commit
}

func (b bare) Hash(path string) string { return fmt.Sprintf("%040x", len(path)) }
func (b bare) Commit() gitsync.Commit  { return b.commit }
func (b bare) Close() error            { return nil }

// step lets the controller work once, and gives how long it then wants to wait.
func (w *timed) step() time.Duration {
	w.Helper()
	r, err := w.Reconcile(w.Context(), ctrl.Request{NamespacedName: w.name})
	if err != nil {
		w.Fatal(err)
	}
	return r.RequeueAfter
}

// run moves the clock from one wish to the next, and gives the times between the looks that happened on the way.
func (w *timed) run(looks int) (between []time.Duration) {
	w.Helper()
	first := len(w.looks)
	for steps := 0; len(w.looks) < first+looks; steps++ {
		if steps > 10*looks {
			w.Fatalf("%d steps and the looks %v only", steps, w.looks[first:])
		}
		wait := w.step()
		if len(w.looks) < first+looks {
			w.forward(wait)
		}
	}
	at := w.looks[first:]
	for i := 1; i < len(at); i++ {
		between = append(between, at[i]-at[i-1])
	}
	return between
}

func (w *timed) ready() *metav1.Condition {
	w.Helper()
	src := &v1alpha1.Source{}
	if err := w.client.Get(w.Context(), w.name, src); err != nil {
		w.Fatal(err)
	}
	return v1alpha1.Condition(src.Status.Conditions, v1alpha1.ConditionReady)
}

func seconds(n ...int) (out []time.Duration) {
	for _, s := range n {
		out = append(out, time.Duration(s)*time.Second)
	}
	return out
}

// The interval counts from look to look; failures double from 5 s to 5 min and are told from the third on; what waiting does
// not mend is looked at every 5 min; a server that asks for more time gets it; the first success ends all of it.
func TestClock_looksAndBackoff(t *testing.T) {
	t.Parallel()
	w := newTimed(t)
	if got := w.run(4); !slices.Equal(got, seconds(30, 30, 30)) {
		t.Errorf("between looks: %v, want the interval", got)
	}
	said := w.ready().Reason
	w.answer = gitsync.Fail(gitsync.Unreachable, errors.New("down"))
	w.forward(30 * time.Second)
	if got := w.run(2); !slices.Equal(got, seconds(5)) || w.ready().Reason != said {
		t.Errorf("between two failures: %v with Ready %s, want 5s and %s as it was", got, w.ready().Reason, said)
	}
	w.forward(10 * time.Second)
	if got := w.run(7); !slices.Equal(got, seconds(20, 40, 80, 160, 300, 300)) || w.ready().Reason != string(gitsync.Unreachable) {
		t.Errorf("between failures: %v with Ready %s, want them to double up to five minutes, and told", got, w.ready().Reason)
	}
	w.answer = nil
	w.forward(300 * time.Second)
	if got := w.run(2); !slices.Equal(got, seconds(30)) || w.ready().Reason != said {
		t.Errorf("after a success: %v with Ready %s, want the interval and %s again", got, w.ready().Reason, said)
	}
	for _, row := range []struct {
		answer error
		want   time.Duration
	}{
		{gitsync.Fail(gitsync.LimitExceeded, errors.New("large")), 5 * time.Minute},
		{gitsync.Fail(gitsync.AuthFailed, errors.New("401")), 5 * time.Minute},
		{&gitsync.Failure{Reason: gitsync.Throttled, Err: errors.New("429"), RetryAfter: 8 * time.Minute}, 8 * time.Minute},
	} {
		w.answer = nil
		w.forward(time.Hour)
		w.run(1)
		w.answer = row.answer
		w.forward(30 * time.Second)
		if got := w.run(2); len(got) != 1 || got[0] != row.want {
			t.Errorf("%v: %v, want %s", row.answer, got, row.want)
		}
	}
}

// The first hint is looked at at once, those that follow within a second by one look at its end, none is lost; a commit that is
// announced and not there is looked for after 1, 2 and 4 s.
func TestClock_hints(t *testing.T) {
	t.Parallel()
	w := newTimed(t)
	w.run(1)
	w.forward(5 * time.Second)
	w.Hint(w.name, "")
	if w.step(); len(w.looks) != 2 {
		t.Fatalf("looks at %v, want one at once for the hint", w.looks)
	}
	for range 3 {
		w.forward(200 * time.Millisecond)
		w.Hint(w.name, "")
		if wait := w.step(); len(w.looks) != 2 || wait > betweenHints {
			t.Fatalf("looks at %v with %s to wait, want none within the second", w.looks, wait)
		}
	}
	w.forward(400 * time.Millisecond)
	if w.step(); len(w.looks) != 3 {
		t.Fatalf("looks at %v, want one for all three at the end of the second", w.looks)
	}
	if wait := w.step(); len(w.looks) != 3 || wait != 30*time.Second {
		t.Errorf("looks at %v with %s to wait, want no other", w.looks, wait)
	}
	w.forward(10 * time.Second)
	w.Hint(w.name, "2222222222222222222222222222222222222222")
	if got := w.run(6); !slices.Equal(got, seconds(1, 2, 4, 30, 30)) {
		t.Errorf("between looks for an announced commit: %v, want 1, 2 and 4 s and then the interval", got)
	}
	w.Hint(w.name, "3333333333333333333333333333333333333333")
	w.forward(10 * time.Second)
	w.run(1)
	w.commit = "3333333333333333333333333333333333333333"
	w.forward(time.Second)
	if got := w.run(2); !slices.Equal(got, seconds(30)) {
		t.Errorf("between looks once the commit is there: %v, want the interval", got)
	}
}

// A new process spreads its first looks at Sources that were looked at before over ten seconds. Suspended ones are left alone.
func TestClock_startAndSuspension(t *testing.T) {
	t.Parallel()
	w := newTimed(t)
	w.run(1)
	suspend := func(on bool) {
		src := &v1alpha1.Source{}
		if err := w.client.Get(t.Context(), w.name, src); err != nil {
			t.Fatal(err)
		}
		src.Spec.Suspend = on
		if err := w.client.Update(t.Context(), src); err != nil {
			t.Fatal(err)
		}
	}
	suspend(true)
	w.forward(time.Hour)
	w.Hint(w.name, "")
	if wait := w.step(); len(w.looks) != 1 || wait > time.Millisecond && wait < time.Hour {
		t.Errorf("looks at %v with %s to wait though it is suspended", w.looks, wait)
	}
	suspend(false)
	if w.step(); len(w.looks) != 2 {
		t.Errorf("looks at %v, want one at the end of the suspension", w.looks)
	}
}
