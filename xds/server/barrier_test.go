package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/test/poll"
	"github.com/sluice-dev/sluice/xds/envoy"
)

// uncertain is a conversation whose set may be older than what the client has.
func uncertain(t *testing.T, sotw bool) *bench {
	b := newBench(t, sotw)
	b.talk.unproven, b.talk.emptied = true, true
	return b
}

// proven lets the barrier pass.
func (b *bench) proven() *bench {
	b.talk.unproven, b.talk.emptied = false, false
	for k := range kinds {
		b.talk.subs[k].dirty = true
	}
	return b
}

func TestBarrier_reportedVersionsAreNotReplacedBefore(t *testing.T) {
	b := uncertain(t, false).publish(two("t1")).
		say(request{typeURL: clusters.typeURL(), versions: map[string]string{"a": "c1", "b": "c9", "gone": "c1"}}).
		say(request{typeURL: routes.typeURL(), subscribe: []string{"http.80"}, versions: map[string]string{"http.80": "t9"}}).
		say(request{typeURL: listeners.typeURL()}).expect("lds 0.0.0.0_80=l1") // it has none of them: nothing is held
	if !b.talk.barred.unproven {
		t.Error("the conversation does not ask for a barrier")
	}
	b.publish(two("t9")).expect() // the set catches up
	b.proven().expect("cds b=c1").after(time.Minute).expect("cds -gone")
	if b.talk.barred.unproven {
		t.Error("the conversation asks for a barrier for nothing")
	}
}

func TestBarrier_equalVersionsNeedNone(t *testing.T) {
	b := uncertain(t, false).publish(two("t1")).
		say(request{typeURL: routes.typeURL(), subscribe: []string{"http.80"}, versions: map[string]string{"http.80": "t1"}}).expect()
	b.publish(two("t2")).expect("rds http.80=t2")
}

func TestBarrier_stateOfTheWorld(t *testing.T) {
	uncertain(t, true).publish(two("t1")).
		say(request{typeURL: clusters.typeURL(), version: "other"}).expect().
		say(request{typeURL: endpoints.typeURL(), version: "other", names: []string{"a"}}).expect().
		say(request{typeURL: endpoints.typeURL(), version: "other", names: []string{"a", "b"}}).expect("eds b=e1").
		proven().expect("cds a=c1 b=c1", "eds a=e1 b=e1")
}

func TestBarrier_reportedStateIsNotEmptiedBefore(t *testing.T) {
	uncertain(t, true).publish(envoy.Resources{}).
		say(request{typeURL: listeners.typeURL(), version: "other"}).expect().
		proven().expect("lds")
}

func TestBarrier_lastOnesStayUntilItIsKnown(t *testing.T) {
	for name, sotw := range map[string]bool{"delta": false, "state of the world": true} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, sotw).publish(two("t1")).say(request{typeURL: listeners.typeURL()}).expect("lds 0.0.0.0_80=l1").ack(listeners)
			b.talk.emptied = true
			b.publish(envoy.Resources{}).expect()
			if !b.talk.barred.emptied {
				t.Error("the conversation does not ask for a barrier")
			}
			want := "lds -0.0.0.0_80"
			if sotw {
				want = "lds"
			}
			b.proven().expect(want)
		})
	}
}

// startBehind is a server with a barrier.
func startBehind(t *testing.T, b Barrier) *harness {
	t.Helper()
	return startWith(t, Config{Now: time.Now, Barrier: b})
}

func TestBarrier_isRetriedAndTheProxyKeepsWhatItHas(t *testing.T) {
	var calls atomic.Int32
	var reachable atomic.Bool
	h := startBehind(t, func(context.Context) error {
		calls.Add(1)
		if !reachable.Load() {
			return errors.New("the API server cannot be reached")
		}
		return nil
	})
	h.publish(two("t1"))
	p := connect(t, h.addr, "n1", false)
	runScript(t, h, p, listeners, []step{say(ask{kind: routes, sub: []string{"http.80"}, has: map[string]string{"http.80": "newer"}})})
	err := poll.Until(patience, func() error {
		if n := calls.Load(); n < 3 {
			return fmt.Errorf("%d barriers were tried", n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	runScript(t, h, p, listeners, []step{{}})
	runScript(t, h, connect(t, h.addr, "fresh", false), listeners, []step{say(ask{kind: routes, sub: []string{"http.80"}}, "rds http.80=t1")})
	reachable.Store(true)
	if got := p.next().String(); got != "rds http.80=t1" {
		t.Errorf("got %q", got)
	}
}

func TestBarrier_oneServesAllWhoWait(t *testing.T) {
	var calls atomic.Int32
	h := startBehind(t, func(context.Context) error { calls.Add(1); return nil })
	h.publish(two("t1"))
	var all sync.WaitGroup
	began := time.Now()
	for i := range 100 {
		p := connect(t, h.addr, fmt.Sprintf("n%d", i), false)
		all.Go(func() {
			p.send(ask{kind: routes, sub: []string{"http.80"}, has: map[string]string{"http.80": "older"}})
			p.next()
		})
	}
	all.Wait()
	if n, seconds := calls.Load(), int32(time.Since(began).Seconds()); n > 4+seconds { // one a second at most
		t.Errorf("%d barriers for 100 streams within %d s", n, seconds)
	}
}

func TestFence_onlyABarrierThatBeganAfterwardsCounts(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	f := newFence(func(context.Context) error { entered <- struct{}{}; <-leave; return nil }, slog.New(slog.DiscardHandler))
	early := f.mark()
	go func() { _ = f.once(t.Context()); entered <- struct{}{} }()
	<-entered
	late := f.mark()
	leave <- struct{}{}
	<-entered
	if !f.since(early) || f.since(late) {
		t.Errorf("opened before: %v, while it ran: %v; want true, false", f.since(early), f.since(late))
	}
}
