package server

import (
	"testing"
	"time"

	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
)

// tcp is a mesh whose split is in a listener that forwards connections by itself.
func tcp(seq uint64, weight int, listener string, names ...string) envoy.Resources {
	r := envoy.Resources{
		Listeners: []envoy.Resource{res(listeners, "0.0.0.0_9000", listener, names...)},
		Splits:    []*ir.SplitUse{{Key: "shop/reviews", UID: "u", Seq: seq, Weight: weight, Listeners: []string{"0.0.0.0_9000"}, Clusters: names}},
	}
	for _, n := range names {
		r.Clusters = append(r.Clusters, res(clusters, n, "c1"))
		r.Endpoints = append(r.Endpoints, res(endpoints, n, "e1"))
	}
	return r
}

func TestMake_listenerWaitsForItsClusters(t *testing.T) {
	b := newBench(t, false).publish(tcp(1, 0, "l1", "a")).
		say(request{typeURL: clusters.typeURL()}).expect("cds a=c1").ack(clusters).
		say(request{typeURL: endpoints.typeURL(), subscribe: []string{"a"}}).expect("eds a=e1").ack(endpoints).
		say(request{typeURL: listeners.typeURL()}).expect("lds 0.0.0.0_9000=l1").ack(listeners)
	b.publish(tcp(2, 15, "l2", "a", "v2")).expect("cds v2=c1").after(time.Hour).expect().
		say(request{typeURL: endpoints.typeURL(), subscribe: []string{"v2"}}).expect("eds v2=e1").
		ack(endpoints).ack(clusters).expect("lds 0.0.0.0_9000=l2").ack(listeners)
	less := tcp(3, 0, "l3", "a")
	b.publish(less).expect("lds 0.0.0.0_9000=l3").after(20*time.Second).expect().
		ack(listeners).expect().after(15*time.Second).expect("cds -v2", "eds -v2")
}

func TestMake_listenerOfALowerWeightIsNeverHeld(t *testing.T) {
	b := newBench(t, false).publish(tcp(1, 50, "l1", "a", "v2")).
		say(request{typeURL: clusters.typeURL()}).expect("cds a=c1 v2=c1").ack(clusters).
		say(request{typeURL: endpoints.typeURL(), subscribe: []string{"a", "v2"}}).expect("eds a=e1 v2=e1").ack(endpoints).
		say(request{typeURL: listeners.typeURL()}).expect("lds 0.0.0.0_9000=l1").ack(listeners)
	b.publish(tcp(2, 15, "l2", "a", "other", "v2")).expect("cds other=c1", "lds 0.0.0.0_9000=l2")
}

func TestConvergence_countsListenersThatCarryTheSplit(t *testing.T) {
	h := start(t, Timing{})
	h.publish(tcp(1, 0, "l1", "a"))
	p := connect(t, h.addr, "n1", false)
	p.send(ask{kind: listeners})
	p.next()
	if c := h.Convergence("shop/reviews", "u", 1); c.Connected != 0 || !c.Rendered {
		t.Errorf("before the acknowledgement: %+v", c)
	}
	p.ack(listeners)
	h.converged(1, all(1))
	h.publish(tcp(2, 15, "l2", "a"))
	p.next()
	if c := h.Convergence("shop/reviews", "u", 2); c.Pending != 1 || c.Done() {
		t.Errorf("while the listener is under way: %+v", c)
	}
	p.nack(listeners, "no")
	h.converged(2, func(c ir.Convergence) bool { return c.Nacked == 1 && c.First.TypeURL == envoy.TypeListener })
}
