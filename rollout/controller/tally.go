package controller

import (
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/rollout"
)

// tally is what was counted of one Rollout since the process began to lead. What is gone with the process the object's
// history tells.
type tally struct {
	transitions map[string]float64 // by reason
	attempts    map[string]float64 // by outcome
	verdicts    map[string]float64
	requests    map[string]float64 // by arm
	counted     counted
}

// counted is how far the requests of a step and the verdicts of an attempt are counted.
type counted struct {
	attempt int64
	step    int
	pair    analysis.Pair
	verdict analysis.Verdict
}

// tallies are the tallies of all Rollouts, or one for all of them together.
type tallies struct {
	together bool // set before anything is counted

	mu  sync.Mutex // guards all
	all map[types.NamespacedName]*tally
}

// with lets a Rollout's tally be changed.
func (t *tallies) with(key types.NamespacedName, change func(*tally)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all == nil {
		t.all = map[types.NamespacedName]*tally{}
	}
	one := t.all[key]
	if one == nil {
		one = &tally{transitions: map[string]float64{}, attempts: map[string]float64{}, verdicts: map[string]float64{}, requests: map[string]float64{}}
		t.all[key] = one
	}
	change(one)
}

// drop forgets a Rollout that is gone. What was counted of all together stays counted.
func (t *tallies) drop(key types.NamespacedName) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.together {
		delete(t.all, key)
		return
	}
	gone := t.all[key]
	if gone == nil {
		return
	}
	delete(t.all, key)
	rest := t.all[types.NamespacedName{}]
	if rest == nil {
		t.all[types.NamespacedName{}] = gone
		return
	}
	rest.add(gone)
}

// copied are all tallies as they are now; together they are one, of no name.
func (t *tallies) copied() map[types.NamespacedName]tally {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := map[types.NamespacedName]tally{}
	for key, one := range t.all {
		if t.together {
			key = types.NamespacedName{}
		}
		sum, ok := out[key]
		if !ok {
			sum = tally{transitions: map[string]float64{}, attempts: map[string]float64{}, verdicts: map[string]float64{}, requests: map[string]float64{}}
			out[key] = sum
		}
		sum.add(one)
	}
	return out
}

// add counts what another tally has, too.
func (t *tally) add(other *tally) {
	for to, from := range map[*map[string]float64]map[string]float64{
		&t.transitions: other.transitions, &t.attempts: other.attempts, &t.verdicts: other.verdicts, &t.requests: other.requests,
	} {
		for label, n := range from {
			(*to)[label] += n
		}
	}
}

// moved counts a transition, and the end of an attempt.
func (t *tally) moved(m rollout.Transition, was, is rollout.State) {
	t.transitions[string(m.Reason)]++
	if ended(was, is) {
		t.attempts[strings.ToLower(string(is.Outcome))]++
	}
}

// ended reports that the outcome of an attempt was decided.
func ended(was, is rollout.State) bool {
	return was.Outcome == rollout.OutcomeOpen && is.Outcome != rollout.OutcomeOpen
}

// judged counts the requests that a report knows of and that are not counted yet, and a verdict that is not the one before.
// Metrics count the same requests: the one that has most of an arm says how many there were.
func (t *tally) judged(attempt int64, step int, r analysis.Report) {
	c := &t.counted
	if c.attempt != attempt {
		*c = counted{attempt: attempt}
	}
	if c.step != step {
		c.step, c.pair = step, analysis.Pair{}
	}
	now := c.pair
	for _, m := range r.Metrics {
		now.Canary.N, now.Stable.N = max(now.Canary.N, m.Step.Canary.N), max(now.Stable.N, m.Step.Stable.N)
	}
	t.requests[string(analysis.Canary)] += float64(now.Canary.N - c.pair.Canary.N)
	t.requests[string(analysis.Stable)] += float64(now.Stable.N - c.pair.Stable.N)
	c.pair = now
	if r.Verdict != c.verdict {
		t.verdicts[r.Verdict.String()]++
		c.verdict = r.Verdict
	}
}
