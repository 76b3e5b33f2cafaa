package analysis

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// outages is a world in which single pods fail all their requests for a while, whatever the version.
type outages struct {
	perHour float64 // of each pod
	aligned bool    // to whole seconds, as long as whole seconds
	pods    int     // of each arm
	bad     float64 // share of the canary's requests that fail besides, from second from on
	from    int
}

// span is an outage of a pod, in seconds.
type span struct{ begin, end float64 }

// draw gives the outages of one pod in a step of half an hour, of 1 to 5 s.
func (o outages) draw(r *rand.Rand) []span {
	var out []span
	for at := r.ExpFloat64() * 3600 / o.perHour; at < 1800; at += r.ExpFloat64() * 3600 / o.perHour {
		s := span{at, at + 1 + 4*r.Float64()}
		if o.aligned {
			s = span{float64(int(at)), float64(int(at)) + float64(1+r.IntN(5))}
		}
		out = append(out, s)
	}
	return out
}

// second gives what proxies report of a second at 15 % of 100 requests a second.
func (o outages) second(r *rand.Rand, sec int, pods [2][][]span) Window {
	w := Window{Metric: Attempts, Start: instant(base + int64(sec)*1000), End: instant(base + int64(sec)*1000 + 1000)}
	endpoints := make([]Endpoint, o.pods)
	for range 100 {
		at, arm, pod := float64(sec)+r.Float64(), 1, r.IntN(o.pods)
		if r.Float64() < 0.15 {
			arm = 0
		}
		lost := slices.ContainsFunc(pods[arm][pod], func(s span) bool { return at >= s.begin && at < s.end })
		fails := lost || r.Float64() < 0.001 || (arm == 0 && sec >= o.from && r.Float64() < o.bad)
		of := []*Counts{&w.Canary, &w.Stable}[arm]
		of.N++
		of.Started++
		if fails {
			of.Bad++
		}
		if arm == 0 {
			endpoints[pod].ID = uint32(pod)
			endpoints[pod].N++
			if fails {
				endpoints[pod].Bad++
			}
		}
	}
	for _, e := range endpoints {
		if e.N > 0 {
			w.Endpoints = append(w.Endpoints, e)
		}
	}
	return w
}

// sliding is a rule that looks at the last two seconds, whatever the endpoints.
type sliding struct{ last Window }

func (s *sliding) fold(w Window) bool {
	both := Pair{Canary: w.Canary.plus(s.last.Canary), Stable: w.Stable.plus(s.last.Stable)}
	s.last = w
	return hardFail(both)
}

// found are the seconds at which rules say that the canary is broken; 0: never. Of: the rule of rule windows, the sharp
// one, and one that does without endpoints.
func (o outages) found(seed uint64, seconds int) (found [3]int) {
	r := rand.New(rand.NewPCG(seed, 11))
	var pods [2][][]span
	for arm := range pods {
		for range o.pods {
			pods[arm] = append(pods[arm], o.draw(r))
		}
	}
	var l loadState
	var naive sliding
	for sec := range seconds {
		w := o.second(r, sec, pods)
		for i, hit := range []bool{l.fold(w, o.pods), l.sharp(w, 1.25) != nil, naive.fold(w)} {
			if hit && found[i] == 0 {
				found[i] = sec + 1
			}
		}
	}
	return found
}

// attempts is how many simulated attempts a world gets; docs/adr has the numbers of 1000.
var simulated = flag.Int("attempts", 40, "simulated attempts for each world of lost endpoints")

// TestHardFail_lostEndpointsAreNotTheVersion lets healthy versions live where single endpoints fail for seconds. A rule
// that looks at two seconds must look at endpoints too.
func TestHardFail_lostEndpointsAreNotTheVersion(t *testing.T) {
	for _, o := range []outages{
		{perHour: 2, pods: 3}, {perHour: 2, pods: 3, aligned: true}, {perHour: 6, pods: 3}, {perHour: 6, pods: 3, aligned: true},
	} {
		t.Run(fmt.Sprintf("%v an hour, aligned %v", o.perHour, o.aligned), func(t *testing.T) {
			t.Parallel()
			var falsely [3]int
			for seed := range uint64(*simulated) {
				for i, f := range o.found(seed, 1800) {
					if f > 0 {
						falsely[i]++
					}
				}
			}
			t.Logf("of %d attempts rolled back falsely: rule windows %d, sharp %d, two seconds whatever the endpoints %d", *simulated, falsely[0], falsely[1], falsely[2])
			allowed := *simulated/100 + 2
			if falsely[0] > allowed || falsely[1] > allowed {
				t.Errorf("more than %d", allowed)
			}
		})
	}
}

// TestHardFail_findsABrokenVersionWithinSeconds measures from the first second of the fault on.
func TestHardFail_findsABrokenVersionWithinSeconds(t *testing.T) {
	for _, c := range []struct {
		bad         float64
		middle, p90 int
	}{{1, 1, 2}, {0.5, 3, 4}} {
		var all [3][]int
		for seed := range uint64(400) {
			const from, never = 20, 1000
			o := outages{perHour: 0.0001, pods: 3, bad: c.bad, from: from}
			for i, f := range o.found(seed, 80) {
				if f == 0 {
					f = never
				}
				all[i] = append(all[i], f-from)
			}
		}
		for i := range all {
			slices.Sort(all[i])
		}
		t.Logf("%v bad, seconds of it p50/p90: rule windows %d/%d, sharp %d/%d, two seconds whatever the endpoints %d/%d",
			c.bad, all[0][200], all[0][360], all[1][200], all[1][360], all[2][200], all[2][360])
		if all[1][200] > c.middle || all[1][360] > c.p90 {
			t.Errorf("%v bad: the sharp rule took %d s in the middle and %d s at p90, want %d and %d", c.bad, all[1][200], all[1][360], c.middle, c.p90)
		}
	}
}
