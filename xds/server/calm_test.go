package server

import (
	"fmt"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/test/poll"
	"github.com/sluice-dev/sluice/xds/envoy"
)

// moved is a mesh at one version of its endpoints.
func moved(seq uint64, weight int, table, at string) envoy.Resources {
	r := mesh(seq, weight, table, "a", "b")
	r.Endpoints[0] = res(endpoints, "a", at)
	return r
}

// calmed is a conversation whose client has everything.
func calmed(t *testing.T, sotw bool) *bench {
	t.Helper()
	names := func(k kind, names ...string) request {
		if sotw {
			return request{typeURL: k.typeURL(), names: names}
		}
		return request{typeURL: k.typeURL(), subscribe: names}
	}
	return newBench(t, sotw).publish(moved(1, 15, "t1", "e1")).
		say(request{typeURL: clusters.typeURL()}).expect("cds a=c1 b=c1").ack(clusters).
		say(names(endpoints, "a", "b")).expect("eds a=e1 b=e1").answered(endpoints, "a", "b").
		say(names(routes, "http.80")).expect("rds http.80=t1").answered(routes, "http.80")
}

// answered is ack by a client that says when it answers. Only a client of state of the world repeats the names.
func (b *bench) answered(k kind, names ...string) *bench {
	b.t.Helper()
	return b.say(request{typeURL: k.typeURL(), at: b.now, nonce: b.last[k].nonce, names: names})
}

func both(t *testing.T, f func(*testing.T, bool)) {
	t.Run("delta", func(t *testing.T) { f(t, false) })
	t.Run("state of the world", func(t *testing.T) { f(t, true) })
}

func TestCalm_newestEndpointsFollowTheAnswer(t *testing.T) {
	both(t, func(t *testing.T, sotw bool) {
		calmed(t, sotw).publish(moved(1, 15, "t1", "e2")).expect("eds a=e2").
			publish(moved(1, 15, "t1", "e3")).expect().
			publish(moved(1, 15, "t1", "e4")).after(300*time.Millisecond).expect().
			answered(endpoints, "a", "b").expect(). // it has taken 300 ms, so it rests as long
			after(299 * time.Millisecond).expect().
			after(time.Millisecond).expect("eds a=e4")
	})
}

func TestCalm_aProxyThatDoesNotAnswerIsSentThemOnceInAWhile(t *testing.T) {
	both(t, func(t *testing.T, sotw bool) {
		calmed(t, sotw).publish(moved(1, 15, "t1", "e2")).expect("eds a=e2").
			publish(moved(1, 15, "t1", "e3")).after(999 * time.Millisecond).expect().
			after(time.Millisecond).expect("eds a=e3")
	})
}

func TestCalm_weightsGoFirst(t *testing.T) {
	both(t, func(t *testing.T, sotw bool) {
		calmed(t, sotw).publish(moved(1, 15, "t1", "e2")).expect("eds a=e2").
			publish(moved(2, 0, "t2", "e3")).expect("rds http.80=t2"). // endpoints are under way: no matter
			answered(endpoints, "a", "b").expect().                    // the table is
			answered(routes, "http.80").expect("eds a=e3")
		calmed(t, sotw).publish(moved(2, 0, "t2", "e2")).expect("rds http.80=t2").answered(routes, "http.80").expect("eds a=e2")
		calmed(t, sotw).publish(moved(2, 50, "t2", "e2")).expect("eds a=e2", "rds http.80=t2") // more weight is in no hurry
	})
}

func TestCalm_whatIsAskedForDoesNotWait(t *testing.T) {
	b := calmed(t, false).publish(moved(1, 15, "t1", "e2")).expect("eds a=e2")
	b.talk.calm.hush = b.now.Add(time.Hour)
	b.publish(moved(1, 15, "t1", "e3")).expect().
		say(request{typeURL: endpoints.typeURL(), subscribe: []string{"b"}}).expect("eds b=e1").after(time.Hour).expect("eds a=e3")
	changed := moved(1, 15, "t1", "e3")
	changed.Clusters[0] = res(clusters, "a", "c2")
	b.talk.calm.hush = b.now.Add(time.Hour)
	b.publish(changed).expect("cds a=c2", "eds a=e3") // or the cluster would warm until its timeout
}

func TestCalm_hushOfAllStreams(t *testing.T) {
	b := calmed(t, false)
	b.talk.calm.hush = b.now.Add(maxHush)
	b.publish(moved(1, 15, "t1", "e2")).expect().after(maxHush).expect("eds a=e2")
}

func TestHush_endsWithTheLastAnswer(t *testing.T) {
	var h hush
	now := time.Unix(1e9, 0)
	if !h.end(now).IsZero() {
		t.Error("on from the beginning")
	}
	h.begin(now, 1)
	if got := h.end(now); !got.Equal(now.Add(maxHush)) {
		t.Errorf("ends at %v", got)
	}
	h.owing.Add(-1)
	if !h.end(now).IsZero() {
		t.Error("on when all have answered")
	}
	h.begin(now, 1)
	if !h.end(now.Add(maxHush)).IsZero() {
		t.Error("on for ever")
	}
}

// TestCalm_theLastEndpointsArrive holds that no change is lost between a stream that rests and whoever publishes.
func TestCalm_theLastEndpointsArrive(t *testing.T) {
	h := start(t, Timing{Calm: 20 * time.Millisecond})
	h.publish(moved(1, 15, "t1", "e0"))
	p := settled(t, h, "gw-1")
	for round := range 20 {
		want := ""
		for i := range 50 {
			want = fmt.Sprintf("e%d.%d", round, i)
			h.publish(moved(1, 15+50*((round+i)%2), "t1", want))
		}
		got := ""
		if err := poll.Until(patience, func() error {
			a := p.next()
			p.ack(a.kind)
			if a.kind == endpoints {
				got = a.versions["a"]
			}
			if got != want {
				return fmt.Errorf("endpoints are at %q, want %q", got, want)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
}
