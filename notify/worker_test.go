package notify_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/notify"
)

// running calls story with a Worker at work, on virtual time.
func running(t *testing.T, w *world, story func(t *testing.T, k *notify.Worker, pass func(time.Duration))) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		k := w.worker()
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- k.Start(ctx) }()
		story(t, k, func(d time.Duration) {
			timer := time.NewTimer(d)
			<-timer.C
			synctest.Wait()
		})
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestWorker_sendsInOrderAndOneAtATime(t *testing.T) {
	w := newWorld("chat", "team")
	running(t, w, func(t *testing.T, k *notify.Worker, pass func(time.Duration)) {
		ro := outbox([]string{"chat", "team"}, 5, 6, 7)
		k.Stored(ro)
		k.Stored(ro.DeepCopy())
		pass(15 * time.Millisecond)
		if got := len(w.taken()); got != 2 {
			t.Errorf("after one delivery's time %d notes arrived, want one per Notifier", got)
		}
		pass(time.Second)
		for _, name := range []string{"chat", "team"} {
			var got []string
			for _, s := range w.taken() {
				if strings.HasSuffix(s, name) {
					got = append(got, s)
				}
			}
			if want := []string{id(5, name), id(6, name), id(7, name)}; !slices.Equal(got, want) {
				t.Errorf("%s got %v, want %v", name, got, want)
			}
			if w.crowd(name) != 1 {
				t.Errorf("%s had %d notes in flight, want 1", name, w.crowd(name))
			}
		}
		ro.Status.Notes = notify.Settle(ro.Status.Notes, k.Results(uid))
		if len(ro.Status.Notes) != 0 || w.told() != 6 {
			t.Errorf("%v stay in the outbox after %d results, want none after 6", ro.Status.Notes, w.told())
		}
		k.Stored(ro)
		if left := k.Results(uid); len(left) != 0 {
			t.Errorf("results %v are kept after they were stored", left)
		}
	})
}

func TestWorker_anOlderStatusSendsNothingTwice(t *testing.T) {
	w := newWorld("team")
	running(t, w, func(t *testing.T, k *notify.Worker, pass func(time.Duration)) {
		ro := outbox([]string{"team"}, 5, 6)
		older := ro.DeepCopy()
		k.Stored(ro)
		pass(time.Second)
		ro.Status.Notes = notify.Settle(ro.Status.Notes, k.Results(uid))
		k.Stored(ro)
		k.Stored(older)
		pass(time.Hour)
		if got := w.taken(); len(got) != 2 {
			t.Errorf("sent %v, want each once", got)
		}
		if got := k.Results(uid); len(got) != 2 || !got[0].Final || !got[1].Final {
			t.Errorf("results for the older status: %+v, want both final", got)
		}
	})
}

func TestWorker_retriesWithGrowingPatience(t *testing.T) {
	w := newWorld("team")
	fails := 6
	w.answer = func(string, notify.Note) error {
		if fails--; fails >= 0 {
			return errors.New("connection refused")
		}
		return nil
	}
	running(t, w, func(t *testing.T, k *notify.Worker, pass func(time.Duration)) {
		ro := outbox([]string{"team"}, 5, 6)
		k.Stored(ro)
		pass(500 * time.Millisecond)
		want := []notify.Result{{Attempt: 3, Seq: 5, Notifier: "team", Tries: 1, Err: "connection refused"}}
		if diff := cmp.Diff(want, k.Results(uid)); diff != "" {
			t.Errorf("results after one failure (-want +got):\n%s", diff)
		}
		pass(2 * time.Minute)
		if got := w.taken(); !slices.Equal(got, []string{id(5, "team"), id(6, "team")}) {
			t.Fatalf("sent %v, want 5 and then 6", got)
		}
		tries := w.tried()
		for i := 1; i <= 6; i++ {
			gap, nominal := tries[i].at.Sub(tries[i-1].at)-10*time.Millisecond, time.Second<<(i-1)
			if gap < nominal*4/5 || gap > nominal*6/5 {
				t.Errorf("try %d came %v after the one before, want %v give or take a fifth", i+1, gap, nominal)
			}
		}
	})
}

func TestWorker_obeysRetryAfter(t *testing.T) {
	w := newWorld("team")
	first := true
	w.answer = func(string, notify.Note) error {
		if first {
			first = false
			return &notify.Failure{Reason: v1alpha1.ReasonThrottled, After: 90 * time.Second, Err: errors.New("answered 429")}
		}
		return nil
	}
	running(t, w, func(t *testing.T, k *notify.Worker, pass func(time.Duration)) {
		k.Stored(outbox([]string{"team"}, 5))
		pass(89 * time.Second)
		if len(w.tried()) != 1 {
			t.Errorf("%d tries within 89 s, want 1", len(w.tried()))
		}
		if h := k.Health(types.NamespacedName{Namespace: "bookinfo", Name: "team"}); h.Reason != v1alpha1.ReasonThrottled || h.Pending != 1 {
			t.Errorf("health is %+v, want throttled with one pending", h)
		}
		pass(2 * time.Second)
		if got := w.taken(); len(got) != 1 {
			t.Errorf("sent %v after 91 s, want the note", got)
		}
	})
}

func TestWorker_givesUp(t *testing.T) {
	for name, row := range map[string]struct {
		failure *notify.Failure
		tries   int
		after   time.Duration
	}{
		"refused thrice": {&notify.Failure{Reason: v1alpha1.ReasonRefused, Hope: notify.Thrice, Err: errors.New("answered 400")}, 3, 10 * time.Second},
		"redirected":     {&notify.Failure{Reason: v1alpha1.ReasonRefused, Hope: notify.None, Err: errors.New("redirect")}, 1, time.Second},
		"too old":        {&notify.Failure{Reason: v1alpha1.ReasonUnreachable, Err: errors.New("no route")}, 290, 25 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld("team", "chat")
			w.answer = func(to string, _ notify.Note) error {
				if to == "team" {
					return row.failure
				}
				return nil
			}
			running(t, w, func(t *testing.T, k *notify.Worker, pass func(time.Duration)) {
				k.Stored(outbox([]string{"team", "chat"}, 5))
				pass(row.after)
				got := k.Results(uid)
				if len(got) != 2 || !got[0].Final || got[0].Err == "" || !got[1].Final || got[1].Err != "" {
					t.Fatalf("results are %+v, want team given up and chat delivered", got)
				}
				if n := len(w.tried()) - 1; n < row.tries*9/10 || n > row.tries*11/10 {
					t.Errorf("%d tries, want about %d", n, row.tries)
				}
				dead := k.Health(types.NamespacedName{Namespace: "bookinfo", Name: "team"}).Dead
				if len(dead) != 1 || dead[0].ID != id(5, "team") || dead[0].Rollout != "reviews" || dead[0].LastError == "" {
					t.Errorf("dead letters are %+v, want the note", dead)
				}
			})
		})
	}
}

func TestWorker_holdsWhatASuspendedNotifierHasPending(t *testing.T) {
	w := newWorld("team")
	w.notifiers["team"].Spec.Suspend = true
	running(t, w, func(t *testing.T, k *notify.Worker, pass func(time.Duration)) {
		k.Stored(outbox([]string{"team"}, 5))
		pass(10 * time.Minute)
		if len(w.tried()) != 0 {
			t.Errorf("%d tries while suspended, want none", len(w.tried()))
		}
		w.mu.Lock()
		w.notifiers["team"].Spec.Suspend = false
		w.mu.Unlock()
		pass(2 * time.Minute)
		if got := w.taken(); len(got) != 1 {
			t.Errorf("sent %v after it was resumed, want the note", got)
		}
	})
}

func TestWorker_dropsNotesOfANotifierThatIsGone(t *testing.T) {
	w := newWorld()
	running(t, w, func(t *testing.T, k *notify.Worker, pass func(time.Duration)) {
		k.Stored(outbox([]string{"team"}, 5))
		pass(time.Second)
		if got := k.Results(uid); len(got) != 1 || !got[0].Final {
			t.Errorf("results are %+v, want the entry final", got)
		}
	})
}

func TestWorker_forgetsARolloutThatIsGone(t *testing.T) {
	w := newWorld("team")
	w.answer = func(string, notify.Note) error { return errors.New("no route") }
	running(t, w, func(t *testing.T, k *notify.Worker, pass func(time.Duration)) {
		k.Stored(outbox([]string{"team"}, 5))
		pass(100 * time.Millisecond)
		k.Forget(uid)
		tries := len(w.tried())
		pass(time.Hour)
		if len(w.tried()) != tries || len(k.Results(uid)) != 0 {
			t.Errorf("%d more tries and results %v after it was forgotten", len(w.tried())-tries, k.Results(uid))
		}
		if h := k.Health(types.NamespacedName{Namespace: "bookinfo", Name: "team"}); h.Pending != 0 {
			t.Errorf("%d pending, want 0", h.Pending)
		}
	})
}

func TestWorker_atMostSixteenAtOnce(t *testing.T) {
	var names []string
	for i := range 40 {
		names = append(names, "n"+string(rune('a'+i%26))+string(rune('a'+i/26)))
	}
	w := newWorld(names...)
	running(t, w, func(t *testing.T, k *notify.Worker, pass func(time.Duration)) {
		k.Stored(outbox(names, 5))
		pass(5 * time.Millisecond)
		if n := len(w.tried()); n != 16 {
			t.Errorf("%d notes in flight, want 16", n)
		}
		pass(time.Second)
		if n := len(w.taken()); n != 40 {
			t.Errorf("%d notes sent, want 40", n)
		}
	})
}

func TestHealth_isOfOneNotifierNotOfItsName(t *testing.T) {
	w := newWorld("team")
	key := types.NamespacedName{Namespace: "bookinfo", Name: "team"}
	w.notifiers["team"].UID = "a"
	w.answer = func(_ string, n notify.Note) error {
		return &notify.Failure{Reason: v1alpha1.ReasonGone, Hope: notify.Gone, Err: errors.New("answered 410")}
	}
	running(t, w, func(t *testing.T, k *notify.Worker, pass func(time.Duration)) {
		k.Stored(outbox([]string{"team"}, 5))
		pass(time.Second)
		if h := k.Health(key); h.UID != "a" || h.Reason != v1alpha1.ReasonGone || len(h.Dead) != 1 {
			t.Errorf("health is %+v, want that of a, gone", h)
		}
		w.mu.Lock()
		w.notifiers["team"].UID, w.answer = "b", nil
		w.mu.Unlock()
		k.Stored(outbox([]string{"team"}, 5, 6))
		pass(time.Second)
		if h := k.Health(key); h.UID != "b" || h.Reason != "" || len(h.Dead) != 0 || h.LastSuccess.IsZero() {
			t.Errorf("health is %+v, want that of b, which succeeded", h)
		}
		k.ForgetNotifier(key)
		if h := k.Health(key); h.UID != "" {
			t.Errorf("health is %+v after it was forgotten", h)
		}
	})
}
