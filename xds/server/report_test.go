package server

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sluice-dev/sluice/xds/ir"
)

// reported waits until the report is want, but for instants.
func (h *harness) reported(what string, want ir.Report) {
	h.t.Helper()
	ignored := []cmp.Option{cmpopts.IgnoreTypes(time.Time{}), cmpopts.IgnoreFields(ir.Rejection{}, "Version")}
	deadline, tick := time.After(patience), time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		diff := cmp.Diff(want, h.Report(), ignored...)
		if diff == "" {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			h.t.Fatalf("%s (-want +got):\n%s", what, diff)
		}
	}
}

// stands is a gateway that is not in sync with the table.
func stands(id string, how ir.Standing, message string) ir.Exception {
	return ir.Exception{Node: id, Namespace: "shop", Kind: ir.KindGateway, Standing: how, TypeURL: routes.typeURL(), Resource: "http.80", Message: message}
}

func TestReport_followsAStep(t *testing.T) {
	h := start(t, Timing{Lost: time.Hour})
	h.reported("nobody", ir.Report{})
	atRest := tabled(t, 1, 0, "y=0")
	atRest.Splits[0].Rest = true
	h.publish(atRest)
	p1, _ := subscribed(t, h, "n1")
	fresh := ir.Exception{Node: "n1", Namespace: "shop", Kind: ir.KindGateway, Standing: ir.Pending}
	resting := func(proxies int) []ir.SplitReport {
		return []ir.SplitReport{{Use: *atRest.Splits[0], Convergence: ir.Convergence{Rendered: true, Connected: proxies, Acked: proxies}}}
	}
	h.reported("one that has acknowledged nothing", ir.Report{Connected: 1, Pending: 1, Splits: resting(0), Exceptions: []ir.Exception{fresh}})
	p1.ack(routes)
	p2, _ := subscribed(t, h, "n2")
	p2.ack(routes)
	h.reported("at rest", ir.Report{Connected: 2, Synced: 2, Splits: resting(2)})

	step := tabled(t, 2, 15, "y=15")
	h.publish(step)
	p1.holds()
	p2.holds()
	p1.ack(routes)
	h.reported("one of two", ir.Report{Connected: 2, Synced: 1, Pending: 1,
		Splits:     []ir.SplitReport{{Use: *step.Splits[0], Convergence: ir.Convergence{Rendered: true, Connected: 2, Acked: 1, Pending: 1, Laggards: []string{"n2"}}}},
		Exceptions: []ir.Exception{stands("n2", ir.Pending, "")}})
	p2.end()
	h.reported("the other goes away", ir.Report{Connected: 1, Synced: 1, Lost: 1,
		Splits:     []ir.SplitReport{{Use: *step.Splits[0], Convergence: ir.Convergence{Rendered: true, Connected: 1, Acked: 1, Lost: 1}}},
		Exceptions: []ir.Exception{stands("n2", ir.Lost, "")}})
}

func TestReport_namesWhoRejectsAndWhoIsKeptFromIt(t *testing.T) {
	h := start(t, Timing{})
	h.publish(tabled(t, 1, 0, "x=1", "y=0"))
	p1, _ := subscribed(t, h, "n1")
	p1.ack(routes)
	bad := tabled(t, 2, 15, "x=bad", "y=15")
	h.publish(bad)
	p1.holds()
	p1.nack(routes, "x is bad")
	h.converged(2, func(c ir.Convergence) bool { return c.Nacked == 1 })
	p2, _ := subscribed(t, h, "n2")
	p2.ack(routes)
	first := &ir.Rejection{Node: "n1", TypeURL: routes.typeURL(), Resource: "http.80", Message: "x is bad"}
	h.reported("both", ir.Report{Connected: 2, Rejected: 2,
		Splits:     []ir.SplitReport{{Use: *bad.Splits[0], Convergence: ir.Convergence{Rendered: true, Connected: 2, Nacked: 2, First: first}}},
		Exceptions: []ir.Exception{stands("n1", ir.Rejected, "x is bad"), stands("n2", ir.Rejected, "x is bad")}})

	good := tabled(t, 3, 0, "x=2", "y=0")
	good.Splits[0].Rest = true
	h.publish(good)
	for _, p := range []*proxy{p1, p2} {
		p.holds()
		p.ack(routes)
	}
	h.reported("new content is taken", ir.Report{Connected: 2, Synced: 2,
		Splits: []ir.SplitReport{{Use: *good.Splits[0], Convergence: ir.Convergence{Rendered: true, Connected: 2, Acked: 2}}}})
}

// TestReport_countsWhoIsServedNothingYet holds that a proxy whose class is not published yet keeps a split from counting as
// rendered: it may have come with something older.
func TestReport_countsWhoIsServedNothingYet(t *testing.T) {
	h := start(t, Timing{})
	h.publish(tabled(t, 1, 15, "y=15"))
	p1, _ := subscribed(t, h, "n1")
	p1.ack(routes)
	h.converged(1, func(c ir.Convergence) bool { return c.Done() })
	h.SetClassKeys(ir.ClassKeys{Labels: []string{"istio"}})
	h.converged(1, func(c ir.Convergence) bool { return !c.Rendered && !c.Done() })
	if got := h.Report(); got.Unserved != 1 || got.Connected != 1 {
		t.Errorf("%d of %d are served nothing, want 1 of 1", got.Unserved, got.Connected)
	}
}
