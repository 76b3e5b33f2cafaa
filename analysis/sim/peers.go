package sim

import (
	"math"
	"slices"
	"time"

	"github.com/sluice-dev/sluice/analysis"
)

// Minute is what both versions answered in one minute, counted exactly and known without delay.
type Minute struct {
	Canary, Stable analysis.Counts
}

// Peer is a published way to decide, written anew from its description, with the settings its documentation shows.
// None of them promises how often it is wrong.
type Peer struct {
	Name string
	Rule string
	// RollsBack is asked after each minute with all minutes so far.
	RollsBack func(minutes []Minute) bool
}

// Peers are the rules that docs compare with.
func Peers() []Peer {
	return []Peer{
		{"Flagger-like", "each minute the success rate of the canary's last minute must be 99 % or more, else, or without requests, a check fails; " +
			"the round after the fifth failed check rolls back", successThreshold},
		{"Argo-like", "each minute a measurement succeeds where the canary's last minute is at least 99 % good; no data is no success; " +
			"the fourth that fails rolls back", successCondition},
		{"Kayenta-like", "each minute from the fifth on all minutes so far are compared by a Mann-Whitney test at 98 %: the canary is high where the " +
			"lower end of the shift is above a quarter of its estimate", rankComparison},
	}
}

// below counts the minutes in which less than 99 % of the canary's requests were good, or there were none.
func below(minutes []Minute) int {
	n := 0
	for _, m := range minutes {
		if m.Canary.N == 0 || 100*m.Canary.Bad > m.Canary.N {
			n++
		}
	}
	return n
}

// successThreshold looks at the count of failed checks before it makes the next one, hence a minute later.
func successThreshold(minutes []Minute) bool { return below(minutes[:len(minutes)-1]) >= 5 }

func successCondition(minutes []Minute) bool { return below(minutes) > 3 }

// rankComparison bounds the shift between the two samples of error rates by the ordered differences of all pairs, with
// the normal approximation of the rank sum.
func rankComparison(minutes []Minute) bool {
	if len(minutes) < 5 {
		return false
	}
	var ours, theirs []float64
	for _, m := range minutes {
		if m.Canary.N > 0 {
			ours = append(ours, float64(m.Canary.Bad)/float64(m.Canary.N))
		}
		if m.Stable.N > 0 {
			theirs = append(theirs, float64(m.Stable.Bad)/float64(m.Stable.N))
		}
	}
	differences := make([]float64, 0, len(ours)*len(theirs))
	for _, a := range ours {
		for _, b := range theirs {
			differences = append(differences, a-b)
		}
	}
	slices.Sort(differences)
	const z = 2.3263478740408408 // of 98 %, both sides
	n, m := float64(len(ours)), float64(len(theirs))
	lower := int(math.Round(n*m/2 - z*math.Sqrt(n*m*(n+m+1)/12)))
	if lower < 1 {
		return false
	}
	estimate := differences[len(differences)/2]
	return differences[lower-1] > 0.25*math.Abs(estimate)
}

// Peer plays the trial under another rule. What it promotes is not asked.
func (t Trial) Peer(seed uint64, p Peer) Outcome {
	t = t.withDefaults()
	t.World.Latency, t.World.Scrape.Loads = Latency{}, false // nobody looks at either
	traffic := t.traffic(seed)
	out := Outcome{RolledBack: Never, Promotable: Never}
	var minutes []Minute
	wasCanary, wasStable := traffic.Served()
	before := wasCanary.Bad
	for at := time.Minute; at <= t.Horizon && out.RolledBack == Never; at += time.Minute {
		traffic.Advance(Begin().Add(at), t.Weight)
		c, s := traffic.Served()
		minutes = append(minutes, Minute{
			Canary: analysis.Counts{N: c.N - wasCanary.N, Bad: c.Bad - wasCanary.Bad},
			Stable: analysis.Counts{N: s.N - wasStable.N, Bad: s.Bad - wasStable.Bad},
		})
		wasCanary, wasStable = c, s
		if p.RollsBack(minutes) {
			out.RolledBack = at - t.World.Fault
		}
	}
	out.Bad = wasCanary.Bad - before
	return out
}
