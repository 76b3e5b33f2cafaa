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
	from    float64
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

// part gives what proxies report of a quarter of a second at 15 % of 100 requests a second.
func (o outages) part(r *rand.Rand, number int, pods [2][][]span) Window {
	begin := float64(number) / 4
	w := Window{Metric: Attempts, Start: instant(base + int64(number)*250), End: instant(base + int64(number)*250 + 250)}
	endpoints := make([]Endpoint, o.pods)
	for range 25 {
		at, arm, pod := begin+r.Float64()/4, 1, r.IntN(o.pods)
		if r.Float64() < 0.15 {
			arm = 0
		}
		lost := slices.ContainsFunc(pods[arm][pod], func(s span) bool { return at >= s.begin && at < s.end })
		fails := lost || r.Float64() < 0.001 || (arm == 0 && at >= o.from && r.Float64() < o.bad)
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

// whole is a second of parts.
func whole(parts []Window) Window {
	out := parts[0]
	out.Endpoints = nil
	for i, w := range parts {
		if i > 0 {
			out.Canary, out.Stable, out.End = out.Canary.plus(w.Canary), out.Stable.plus(w.Stable), w.End
		}
		out.Endpoints = append(out.Endpoints, w.Endpoints...)
	}
	out.Endpoints = gathered(out.Endpoints)
	return out
}

// sliding is a rule that looks at the last two seconds, whatever the endpoints.
type sliding struct{ last Window }

func (s *sliding) fold(w Window) bool {
	both := Pair{Canary: w.Canary.plus(s.last.Canary), Stable: w.Stable.plus(s.last.Stable)}
	s.last = w
	return hardFail(both)
}

// The rules that are compared.
const (
	ruleWindows  = iota
	sharpParts   // as it is: looks at each quarter of a second
	sharpSeconds // looks at whole seconds
	twoSeconds   // whatever the endpoints
	scrapes      // of Prometheus, every 5 s: rule windows and the newest ones together
	scrapeRules  // the rule windows of these alone
	rules        // their number
)

func names() [rules]string {
	return [rules]string{"rule windows", "sharp", "sharp by whole seconds", "two seconds whatever the endpoints", "scrapes", "scrapes, rule windows alone"}
}

// found are the seconds after which rules say that the canary is broken; 0: never.
func (o outages) found(seed uint64, seconds int) (found [rules]float64) {
	r := rand.New(rand.NewPCG(seed, 11))
	var pods [2][][]span
	for arm := range pods {
		for range o.pods {
			pods[arm] = append(pods[arm], o.draw(r))
		}
	}
	var fine, coarse loadState
	var prom, alone rulesState
	var scraped []Window
	var naive sliding
	var parts []Window
	for number := range 4 * seconds {
		parts = append(parts, o.part(r, number, pods))
		last := parts[len(parts)-1]
		hits := [rules]bool{ruleWindows: fine.fold(last, o.pods), sharpParts: fine.sharp(last, 1.25) != nil}
		if len(parts) == 4 {
			w := whole(parts)
			hits[sharpSeconds], hits[twoSeconds], parts = coarse.sharp(w, 1.25) != nil, naive.fold(w), nil
		}
		if scraped = append(scraped, last); (number+int(seed))%20 == 0 {
			w := whole(scraped)
			scraped = nil
			hits[scrapes], hits[scrapeRules] = prom.scraped(w, o.pods, 1.25), alone.fold(w, o.pods)
		}
		for i, hit := range hits {
			if hit && found[i] == 0 {
				found[i] = float64(number+1) / 4
			}
		}
	}
	return found
}

// attempts is how many simulated attempts a world gets; docs/adr has the numbers of 1000.
var simulated = flag.Int("attempts", 20, "simulated attempts for each world of lost endpoints")

// TestHardFail_lostEndpointsAreNotTheVersion lets healthy versions live where single endpoints fail for seconds. A rule
// that looks at two seconds must look at endpoints too.
func TestHardFail_lostEndpointsAreNotTheVersion(t *testing.T) {
	for _, o := range []outages{
		{perHour: 2, pods: 3}, {perHour: 2, pods: 3, aligned: true}, {perHour: 6, pods: 3}, {perHour: 6, pods: 3, aligned: true},
	} {
		t.Run(fmt.Sprintf("%v an hour, aligned %v", o.perHour, o.aligned), func(t *testing.T) {
			t.Parallel()
			var falsely [rules]int
			for seed := range uint64(*simulated) {
				for i, f := range o.found(seed, 1800) {
					if f > 0 {
						falsely[i]++
					}
				}
			}
			for i, name := range names() {
				t.Logf("of %d attempts rolled back falsely: %s %d", *simulated, name, falsely[i])
			}
			allowed := *simulated/100 + 2
			if falsely[ruleWindows] > allowed || falsely[sharpParts] > allowed || falsely[scrapes] > allowed {
				t.Errorf("more than %d", allowed)
			}
		})
	}
}

// TestHardFail_findsABrokenVersionWithinSeconds measures from the first second of the fault on.
func TestHardFail_findsABrokenVersionWithinSeconds(t *testing.T) {
	for _, c := range []struct{ bad, middle, p90, p99 float64 }{{1, 1, 1.5, 2}, {0.5, 1.75, 2.5, 3.5}} {
		var all [rules][]float64
		for seed := range uint64(300) {
			const never = 1000
			from := 20 + float64(seed%100)/100 // anywhere in a second
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
		for i, name := range names() {
			t.Logf("%v bad, seconds of it p50/p90/p99: %s %.2f/%.2f/%.2f", c.bad, name, all[i][150], all[i][270], all[i][297])
		}
		if got := all[sharpParts]; got[150] > c.middle || got[270] > c.p90 || got[297] > c.p99 {
			t.Errorf("%v bad: the sharp rule took %.2f, %.2f and %.2f s at p50, p90 and p99, want %v, %v and %v", c.bad, got[150], got[270], got[297], c.middle, c.p90, c.p99)
		}
	}
}

// TestHardFail_byScrapesFromTheFirstRequestOn measures from a canary's first request on, which fails as half of the others
// do: what is scraped before a look, every 5 s, is all that is known.
func TestHardFail_byScrapesFromTheFirstRequestOn(t *testing.T) {
	for _, c := range []struct{ bad, middle, p90 float64 }{{1, 8, 10}, {0.5, 8, 10.5}} {
		var all [rules][]float64
		for seed := range uint64(300) {
			o := outages{perHour: 0.0001, pods: 3, bad: c.bad}
			for i, f := range o.found(seed, 60) {
				if f == 0 {
					f = 1000
				}
				all[i] = append(all[i], f)
			}
		}
		for _, i := range []int{scrapes, scrapeRules} {
			slices.Sort(all[i])
			t.Logf("%v bad, seconds of it p50/p90/p99: %s %.2f/%.2f/%.2f", c.bad, names()[i], all[i][150], all[i][270], all[i][297])
		}
		if got := all[scrapes]; got[150] > c.middle || got[270] > c.p90 {
			t.Errorf("%v bad: scrapes took %.2f s in the middle and %.2f s at p90, want %v and %v", c.bad, got[150], got[270], c.middle, c.p90)
		}
	}
}
