package notify_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/notify"
)

func TestKeep_twoAttemptsAndTheBound(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var kept []v1alpha1.Receipt
		newest := map[string]string{} // by notifier and attempt
		last := int64(0)
		for i := range rapid.IntRange(0, 60).Draw(t, "results") {
			r := notify.Result{Attempt: rapid.Int64Range(1, 5).Draw(t, "attempt"), Notifier: rapid.SampledFrom([]string{"a", "b", "sys/a"}).Draw(t, "to")}
			if rapid.Bool().Draw(t, "brings") {
				r.Ref = fmt.Sprint("ref ", i)
				newest[fmt.Sprint(r.Notifier, r.Attempt)] = r.Ref
				last = max(last, r.Attempt)
			}
			kept = notify.Keep(kept, []notify.Result{r})
			if diff := cmp.Diff(kept, notify.Keep(kept, []notify.Result{r})); diff != "" {
				t.Fatalf("twice is not once: %s", diff)
			}
		}
		if len(kept) > notify.MaxReceipts {
			t.Fatalf("%d receipts", len(kept))
		}
		for i, r := range kept {
			if r.Attempt <= last-2 || r.Ref != newest[fmt.Sprint(r.Notifier, r.Attempt)] || i > 0 && r.Attempt > kept[i-1].Attempt {
				t.Fatalf("receipt %d of %+v is wrong; newest are %v", i, kept, newest)
			}
		}
	})
}

func TestKeep_refusesWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	long := notify.Result{Attempt: 1, Notifier: "team", Ref: string(make([]byte, notify.MaxRef+1))}
	if got := notify.Keep(nil, []notify.Result{long}); len(got) != 0 {
		t.Errorf("kept %+v", got)
	}
	var many []notify.Result
	for i := range notify.MaxReceipts + 4 {
		many = append(many, notify.Result{Attempt: 1, Notifier: fmt.Sprint("n", i), Ref: "x"})
	}
	if got := notify.Keep(nil, many); len(got) != notify.MaxReceipts {
		t.Errorf("%d receipts, want %d", len(got), notify.MaxReceipts)
	}
}

// A receipt comes back in the next note of the attempt at once, after it was stored, and in another process.
func TestWorker_givesReceiptsBack(t *testing.T) {
	w := newWorld("team")
	refs := map[string]string{}
	w.receipt = func(_ string, n notify.Note) notify.Receipt {
		refs[n.ID] = n.Ref
		return notify.Receipt{Ref: "thread of " + n.ID}
	}
	fails := true
	w.answer = func(_ string, n notify.Note) error {
		if n.ID == id(5, "team") && fails {
			fails = false
			return errors.New("half the way")
		}
		return nil
	}
	var ro *v1alpha1.Rollout
	running(t, w, func(t *testing.T, k *notify.Worker, pass func(time.Duration)) {
		ro = outbox([]string{"team"}, 5, 6)
		k.Stored(ro)
		pass(500 * time.Millisecond)
		got := k.Results(uid)
		if len(got) != 1 || got[0].Final || got[0].Ref != "thread of "+id(5, "team") {
			t.Errorf("results of a try that failed half the way: %+v, want its receipt", got)
		}
		pass(time.Minute)
		if refs[id(5, "team")] != "thread of "+id(5, "team") || refs[id(6, "team")] != "thread of "+id(5, "team") {
			t.Errorf("notes came with %v, want each with the receipt before it", refs)
		}
		results := k.Results(uid)
		ro.Status.Notes, ro.Status.Receipts = notify.Settle(ro.Status.Notes, results), notify.Keep(ro.Status.Receipts, results)
		k.Stored(ro)
	})
	want := []v1alpha1.Receipt{{Notifier: "team", Attempt: 3, Ref: "thread of " + id(6, "team")}}
	if diff := cmp.Diff(want, ro.Status.Receipts); diff != "" {
		t.Errorf("stored receipts (-want +got):\n%s", diff)
	}
	running(t, w, func(_ *testing.T, k *notify.Worker, pass func(time.Duration)) {
		next := outbox([]string{"team"}, 7)
		next.Status.Receipts = ro.Status.Receipts
		k.Stored(next)
		pass(time.Minute)
	})
	if refs[id(7, "team")] != "thread of "+id(6, "team") {
		t.Errorf("after a restart the note came with %q", refs[id(7, "team")])
	}
}

// A note may have been sent before where an earlier process knew it, or where a try failed: only then a sink has to look.
func TestWorker_saysWhatMayHaveBeenSentBefore(t *testing.T) {
	w := newWorld("team")
	var again []string
	fails := true
	w.answer = func(_ string, n notify.Note) error {
		again = append(again, fmt.Sprint(n.Report.Seq, " ", n.Again))
		if n.Report.Seq == 6 && fails {
			fails = false
			return errors.New("no answer")
		}
		return nil
	}
	running(t, w, func(_ *testing.T, k *notify.Worker, pass func(time.Duration)) {
		k.Stored(outbox([]string{"team"}, 5))
		pass(time.Second)
		k.Stored(outbox([]string{"team"}, 5, 6, 7))
		pass(time.Minute)
	})
	if diff := cmp.Diff([]string{"5 true", "6 false", "6 true", "7 false"}, again); diff != "" {
		t.Errorf("tries (-want +got):\n%s", diff)
	}
}

// The end of an attempt waits a moment for the proxies, and says when they sent the version nothing; it does not wait long.
func TestWorker_saysWhenEverythingWasSentBack(t *testing.T) {
	for name, row := range map[string]struct {
		confirms bool
		want     string
	}{
		"proxies that answer": {true, "sent after 0.4s, zero after 0.4s"},
		"proxies that do not": {false, "sent after 2.0s, zero not known"},
	} {
		w := newWorld("team")
		told := "nothing was sent"
		var began time.Time
		w.answer = func(_ string, n notify.Note) error {
			zero := "not known"
			if at := n.Report.ZeroAt; at != nil {
				zero = fmt.Sprintf("after %.1fs", at.Sub(began).Seconds())
			}
			told = fmt.Sprintf("sent after %.1fs, zero %s", time.Since(began).Seconds(), zero)
			return nil
		}
		running(t, w, func(_ *testing.T, k *notify.Worker, pass func(time.Duration)) {
			began = time.Now()
			ro := outbox(nil)
			k.Stored(ro)
			ro = outbox([]string{"team"}, 5)
			ro.Status.Notes[0].Kind, ro.Status.Notes[0].Seq, ro.Status.Notes[0].At = v1alpha1.NoteRolledBack, 6, metav1.NewMicroTime(began)
			ro.Status.Attempt, ro.Status.Phase = 3, v1alpha1.PhaseRollingBack
			k.Stored(ro)
			pass(400 * time.Millisecond)
			if row.confirms {
				ro = ro.DeepCopy()
				ro.Status.Phase, ro.Status.Reason, ro.Status.Since = v1alpha1.PhaseRolledBack, v1alpha1.ReasonRolledBack, metav1.NewMicroTime(time.Now())
				k.Stored(ro)
			}
			pass(time.Minute)
		})
		if told != row.want {
			t.Errorf("%s: %s, want %s", name, told, row.want)
		}
	}
}

// A failure that stands is looked at every hour, and at once when the Notifier or its Secret has changed.
func TestWorker_looksAgainAtWhatStands(t *testing.T) {
	key := types.NamespacedName{Namespace: "bookinfo", Name: "team"}
	w := newWorld("team")
	w.print = "secret one"
	w.answer = func(string, notify.Note) error {
		return &notify.Failure{Reason: v1alpha1.ReasonUnauthorized, Hope: notify.Stands, Err: errors.New("invalid_auth")}
	}
	running(t, w, func(t *testing.T, k *notify.Worker, pass func(time.Duration)) {
		opened := func() {
			n, err := w.Notifier(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			s, err := w.Open(t.Context(), n)
			if err != nil {
				t.Fatal(err)
			}
			k.Opened(n, s)
			pass(time.Second)
		}
		tries := func(want int, when string) {
			t.Helper()
			if got := len(w.tried()); got != want {
				t.Errorf("%d tries %s, want %d", got, when, want)
			}
		}
		k.Stored(outbox([]string{"team"}, 5))
		pass(59 * time.Minute)
		opened()
		tries(1, "within an hour")
		pass(time.Hour)
		tries(2, "after an hour")
		w.mu.Lock()
		w.print = "secret two"
		w.mu.Unlock()
		opened()
		opened()
		tries(3, "after the Secret changed")
		w.mu.Lock()
		w.notifiers["team"].Generation, w.answer = 2, nil
		w.mu.Unlock()
		opened()
		if got := w.taken(); len(got) != 1 {
			t.Errorf("sent %v after the Notifier changed, want the note", got)
		}
	})
}

func TestWorker_saysWhatWasLeftOut(t *testing.T) {
	w := newWorld("team")
	w.notifiers["team"].Spec.Templates = map[v1alpha1.NoteKind]v1alpha1.LineTemplate{v1alpha1.NoteStepPassed: "{{.Name | printf}}"}
	lines := map[string]string{}
	w.receipt = func(_ string, n notify.Note) notify.Receipt {
		lines[n.ID] = n.Line()
		return notify.Receipt{}
	}
	key := types.NamespacedName{Namespace: "bookinfo", Name: "team"}
	running(t, w, func(t *testing.T, k *notify.Worker, pass func(time.Duration)) {
		ro := outbox([]string{"team"}, 5)
		k.Stored(ro)
		pass(time.Second)
		if h := k.Health(key); h.Lacks != "the template of StepPassed failed, the usual line was sent: there is no function printf" || h.Reason != "" {
			t.Errorf("health is %+v", h)
		}
		w.mu.Lock()
		w.notifiers["team"].Spec.Templates[v1alpha1.NoteStepPassed] = "{{.Environment}}: {{.Name | upper}} passed"
		w.mu.Unlock()
		k.Stored(outbox([]string{"team"}, 5, 6))
		pass(time.Second)
		if h := k.Health(key); h.Lacks != "" {
			t.Errorf("health is %+v", h)
		}
	})
	if lines[id(5, "team")] != "▶ prod-eu reviews v3: seq 5" || lines[id(6, "team")] != "prod-eu: REVIEWS passed" {
		t.Errorf("lines: %v", lines)
	}
}
