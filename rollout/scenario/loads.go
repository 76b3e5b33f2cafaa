package scenario

import (
	"fmt"
	"strconv"
	"time"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/rollout"
)

// canaryEndpoints is how many of the canary's answer, and are told apart by those who report.
const canaryEndpoints = 3

// loads lets the real Judge see what proxies report of equal seconds, one after the other, as time passes. No other
// metric is there, so promotion needs this one.
func (c command) loads() error {
	w := c.world
	var n [5]int
	for i, key := range []string{"n", "bad", "canary.n", "canary.bad", "count"} {
		v, err := c.number(key, [5]int{85, 0, 15, 0, 1}[i])
		if err != nil || v < 0 {
			return fmt.Errorf("%s: %w", key, err)
		}
		n[i] = v
	}
	objective, err := strconv.ParseFloat(c.option("objective", "0"), 64)
	if err != nil {
		return fmt.Errorf("objective: %w", err)
	}
	for range n[4] {
		if err := w.tick(time.Second); err != nil {
			return err
		}
		w.judge.second(w.State(), w.wall, objective, [2]analysis.Counts{counted(n[0], n[1]), counted(n[2], n[3])})
		if err := w.run(); err != nil {
			return err
		}
	}
	return nil
}

// counted are requests that all came to an end.
func counted(n, bad int) analysis.Counts {
	return analysis.Counts{N: uint64(n), Bad: uint64(bad), Started: uint64(n)}
}

// second folds the second that ends now into the evidence, for as long as the canary is sent traffic.
func (j *judge) second(st rollout.State, wall time.Time, objective float64, arms [2]analysis.Counts) {
	if !st.Phase.Open() || st.Traffic.Weight == 0 {
		return
	}
	cfg := analysis.Config{Objective: objective, Bake: st.Stage().Min, Criteria: []analysis.Criterion{{Name: analysis.Attempts, Required: true}}}
	stable, canary := analysis.Load{Arm: analysis.Stable, Counts: arms[0]}, analysis.Load{Arm: analysis.Canary, Counts: arms[1]}
	for id := range uint64(canaryEndpoints) {
		canary.Endpoints = append(canary.Endpoints, analysis.Endpoint{ID: uint32(id), N: part(canary.N, id), Bad: part(canary.Bad, id)})
	}
	moment := analysis.Moment{At: wall, Seq: st.Traffic.Seq, Step: st.Traffic.Step, Weight: st.Traffic.Weight,
		Endpoints: canaryEndpoints, Since: st.Since, Settled: st.Progress.SettledAt}
	for _, l := range []*analysis.Load{&stable, &canary} {
		l.Start, l.End = wall.Add(-time.Second), wall
	}
	j.evidence, j.given = analysis.Judge(cfg, j.evidence, analysis.Batch{Moment: moment, Loads: analysis.Reported(moment.Seq, []analysis.Load{stable, canary})})
}

// part is what falls to the endpoint of that number.
func part(n, id uint64) uint64 {
	out := n / canaryEndpoints
	if id < n%canaryEndpoints {
		out++
	}
	return out
}
