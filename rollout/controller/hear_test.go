package controller

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/analysis"
)

// TestHear_losesNothingThatCameBetween: what is thought with an answer is what it would be if it had been thought only now.
func TestHear_losesNothingThatCameBetween(t *testing.T) {
	begin := time.Unix(1_000_000, 0)
	cfg := analysis.Standard()
	moment := analysis.Moment{At: begin.Add(time.Minute), Seq: 2, Step: 1, Weight: 15, Endpoints: 3, Since: begin, Settled: begin}
	var counters []analysis.Series
	for arm, each := range map[analysis.Arm]int64{analysis.Canary: 3, analysis.Stable: 17} {
		s := analysis.Series{Target: "gateway", Arm: arm, Role: analysis.Total}
		for at := int64(-30); at < 60; at += 5 {
			s.Points = append(s.Points, analysis.Point{T: begin.UnixMilli() + at*1000, V: float64((at + 30) * each)})
		}
		counters = append(counters, s)
	}
	reports := analysis.Batch{Moment: moment, Loads: []analysis.Window{{Metric: analysis.Attempts, Seq: 2, Start: begin.Add(50 * time.Second), End: begin.Add(51 * time.Second),
		Canary: analysis.Counts{N: 15, Bad: 1, Started: 15}, Stable: analysis.Counts{N: 85, Started: 85}}}}
	other := cfg
	other.Alpha = 0.02
	for name, between := range map[string]func(*opinion){
		"nothing":        func(*opinion) {},
		"load reports":   func(o *opinion) { o.take(reports) },
		"another Config": func(o *opinion) { o.ready = o.ready.For(other) },
	} {
		now := opinion{ready: cfg.Ready()}
		a := answer{moment: moment, reads: []analysis.Read{{Metric: "errors", Series: counters}}}
		look{opinion: now}.weigh(&a)
		between(&now)
		want, report := now.ready.Judge(now.evidence, now.ready.Collect(now.evidence, a.moment, a.reads))
		before := now.folded
		if batch := now.hear(&a); len(batch.Windows) == 0 || now.folded != before+1 {
			t.Errorf("%s came between: %d windows, %d batches", name, len(batch.Windows), now.folded)
		}
		text, _ := want.MarshalText()
		if got, _ := now.evidence.MarshalText(); string(got) != string(text) {
			t.Errorf("%s came between: the evidence is\n%s, want\n%s", name, got, text)
		}
		if diff := cmp.Diff(report, now.report); diff != "" {
			t.Errorf("%s came between (-want +got):\n%s", name, diff)
		}
	}
}
