package fleet

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/xds/ir"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// step is a report of n proxies of which some have acknowledged a weight and some have rejected it.
func step(seq uint64, n, acked, nacked int) ir.Report {
	r := ir.Report{Connected: n, Synced: acked, Rejected: nacked, Pending: n - acked - nacked, Splits: []ir.SplitReport{{
		Use:         ir.SplitUse{Key: "shop/reviews", UID: "u", Seq: seq, Weight: 15},
		Convergence: ir.Convergence{Rendered: true, Connected: n, Acked: acked, Nacked: nacked},
	}}}
	for i := acked; i < n; i++ {
		e := ir.Exception{Node: fmt.Sprintf("n%d", i), Kind: ir.KindGateway, Standing: ir.Pending}
		if i < acked+nacked {
			e.Standing, e.At = ir.Rejected, start
		}
		r.Exceptions = append(r.Exceptions, e)
	}
	return r
}

func stored(r ir.Report) v1alpha1.FleetReportStatus {
	return statusOf(r, v1alpha1.FleetReportStatus{}, "i", start)
}

func TestPace_whatSomebodyWaitsForGoesAtOnce(t *testing.T) {
	t.Parallel()
	unrendered := step(2, 3, 0, 0)
	unrendered.Splits[0].Convergence.Rendered = false
	lost := step(2, 3, 3, 0)
	lost.Splits[0].Convergence.Lost = 1
	for _, row := range []struct {
		what         string
		before, next ir.Report
		wait         time.Duration
	}{
		{"a split that is rendered", unrendered, step(2, 3, 0, 0), 0},
		{"a split that is rendered anew", step(1, 3, 3, 0), step(2, 3, 0, 0), 0},
		{"one more of three", step(2, 3, 1, 0), step(2, 3, 2, 0), gather},
		{"all three", step(2, 3, 2, 0), step(2, 3, 3, 0), 0},
		{"the one that was lost is forgotten", lost, step(2, 3, 3, 0), 0},
		{"a rejection", step(2, 3, 1, 0), step(2, 3, 1, 1), 0},
		{"another rejection", step(2, 3, 1, 1), step(2, 3, 1, 2), 0},
		{"a split that has come to rest", step(2, 3, 3, 0), ir.Report{Connected: 3, Synced: 3}, 0},
		{"a proxy more", ir.Report{Connected: 3, Synced: 3}, ir.Report{Connected: 4, Synced: 4}, gather},
		{"the first of all", ir.Report{}, ir.Report{}, 0},
	} {
		p := &pace{}
		if row.what != "the first of all" {
			p.wrote(stored(row.before))
		}
		if due := p.look(stored(row.next), start); due.Sub(start) != row.wait {
			t.Errorf("%s is due after %s, want %s", row.what, due.Sub(start), row.wait)
		}
	}
}

func TestPace_fourInASecond(t *testing.T) {
	t.Parallel()
	p, now := &pace{}, start
	var at []time.Duration
	for i := 0; i < 10; i++ { // each acknowledgement of all is urgent
		next := stored(step(uint64(i+1), 3, 3, 0))
		if due := p.look(next, now); due.After(now) {
			now = due
		}
		p.tried(now)
		p.wrote(next)
		at = append(at, now.Sub(start))
	}
	want := []time.Duration{0, 0, 0, 0, time.Second, time.Second, time.Second, time.Second, 2 * time.Second, 2 * time.Second}
	if diff := cmp.Diff(want, at); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestPace_whatChangesBackIsNotWritten(t *testing.T) {
	t.Parallel()
	p := &pace{}
	was := stored(step(1, 3, 3, 0))
	p.wrote(was)
	p.look(stored(step(1, 3, 2, 0)), start)
	if due := p.look(was, start.Add(gather/2)); !due.IsZero() {
		t.Errorf("what is stored is due at %s", due)
	}
	later := start.Add(time.Minute)
	if due := p.look(stored(step(1, 3, 2, 0)), later); due.Sub(later) != gather {
		t.Errorf("the next change is due after %s", due.Sub(later))
	}
}

func TestStatus_isBoundedAndKeepsInstants(t *testing.T) {
	t.Parallel()
	r := step(1, 300, 0, 0)
	for i := range 1050 {
		r.Splits = append(r.Splits, ir.SplitReport{Use: ir.SplitUse{Key: fmt.Sprint("shop/", i)}})
	}
	r.Splits[0].Convergence.Laggards = make([]string, 30)
	first := statusOf(r, v1alpha1.FleetReportStatus{}, "i", start)
	if len(first.Exceptions) != 200 || first.ExceptionsOmitted != 100 || len(first.Splits) != 1000 || first.SplitsOmitted != 51 || len(first.Splits[0].Pending) != 20 {
		t.Errorf("%d exceptions and %d more, %d splits and %d more, %d pending", len(first.Exceptions), first.ExceptionsOmitted,
			len(first.Splits), first.SplitsOmitted, len(first.Splits[0].Pending))
	}
	if diff := cmp.Diff(first, statusOf(r, first, "i", start.Add(time.Hour))); diff != "" {
		t.Errorf("an hour later (-first +got)\n%s", diff)
	}
	if at := statusOf(r, first, "another process", start.Add(time.Hour)).Exceptions[0].Since; !at.After(start) {
		t.Errorf("another process took over the instant %s", at)
	}
}
