package server

import (
	"testing"

	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
)

// braking is a mesh whose canary has lost its weight to a brake.
func braking(seq uint64, table string, names ...string) envoy.Resources {
	r := mesh(seq, 0, table, names...)
	r.Splits[0].Braked = true
	return r
}

// TestBrake_waitsForNoProof holds that the table of a brake replaces what a proxy has brought from elsewhere, and nothing
// else does.
func TestBrake_waitsForNoProof(t *testing.T) {
	for name, sotw := range map[string]bool{"delta": false, "state of the world": true} {
		t.Run(name, func(t *testing.T) {
			ask := func(k kind, version string, names ...string) request {
				if sotw {
					return request{typeURL: k.typeURL(), version: version, names: names}
				}
				versions := map[string]string{}
				for _, n := range names {
					versions[n] = version
				}
				return request{typeURL: k.typeURL(), subscribe: names, versions: versions}
			}
			uncertain(t, sotw).publish(braking(7, "t1", "a")).
				say(ask(endpoints, "e9", "a")).expect().
				say(ask(routes, "t9", "http.80")).expect("rds http.80=t1").ack(routes, "http.80").
				publish(mesh(7, 0, "t2", "a")).expect("rds http.80=t2").ack(routes, "http.80"). // it has shown what it has
				proven().expect("eds a=e1")
		})
	}
}

func TestBrake_isNoRenderingOfTheStoredWeight(t *testing.T) {
	h := start(t, Timing{})
	h.publish(mesh(7, 15, "t1", "a", "b"))
	p := settled(t, h, "gw-1")
	h.converged(7, ir.Convergence.Done)
	h.publish(braking(7, "t2", "a", "b"))
	if c := h.Convergence("shop/reviews", "u", 7); c.Rendered || !c.Braked || c.Stopped() {
		t.Errorf("before the proxy has answered: %+v", c)
	}
	p.next()
	p.ack(routes)
	c := h.converged(7, ir.Convergence.Stopped)
	if c.Done() || c.Acked != 1 || c.SettledAt.IsZero() {
		t.Errorf("the brake: %+v", c)
	}
	if r := h.Report(); len(r.Splits) != 1 || r.Splits[0].Convergence.Rendered || !r.Splits[0].Use.Braked {
		t.Errorf("reported as %+v", r.Splits)
	}
	h.publish(mesh(8, 0, "t2", "a", "b")) // it is stored: the proxy has it already
	if c := h.Convergence("shop/reviews", "u", 8); !c.Done() || c.Braked {
		t.Errorf("stored: %+v", c)
	}
}

// TestBrake_ofOneClassOnly is never the brake of all.
func TestBrake_ofOneClassOnly(t *testing.T) {
	h := start(t, Timing{})
	h.publish(braking(7, "t1", "a"))
	other := ir.ProxyClass{Kind: ir.KindSidecar, Namespace: "shop"}
	if err := h.Publish(t.Context(), other, mesh(7, 15, "t1", "a")); err != nil {
		t.Fatal(err)
	}
	if c := h.Convergence("shop/reviews", "u", 7); c.Rendered || c.Braked {
		t.Errorf("got %+v", c)
	}
}

// TestBrake_ofACanaryWithoutWeight is in a hurry, too: requests may have come to it by match.
func TestBrake_ofACanaryWithoutWeight(t *testing.T) {
	b := calmed(t, false).publish(moved(2, 0, "t2", "e1")).expect("rds http.80=t2").answered(routes)
	before := b.set
	next := moved(2, 0, "t3", "e2")
	next.Splits[0].Braked = true
	b.publish(next).expect("rds http.80=t3")
	if !b.set.lowers(before) || before.lowers(b.set) {
		t.Error("a brake lowers, its end does not")
	}
}
