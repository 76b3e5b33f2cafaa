package sim

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sluice-dev/sluice/analysis"
)

func TestDice_drawsPoissonNumbers(t *testing.T) {
	d := newDice(1)
	for _, mean := range []float64{0.02, 0.7, 5, 11.9, 12, 40, 425, 5000} {
		const n = 20000
		var sum, squares float64
		for range n {
			x := float64(d.poisson(mean))
			sum += x
			squares += x * x
		}
		got := sum / n
		variance := squares/n - got*got
		if math.Abs(got-mean) > 5*math.Sqrt(mean/n) || math.Abs(variance/mean-1) > 5*math.Sqrt((2+1/mean)/n) {
			t.Errorf("mean %v: drew a mean of %v and a variance of %v", mean, got, variance)
		}
	}
	if n := d.poisson(0) + d.poisson(-1) + d.poisson(math.NaN()); n != 0 {
		t.Errorf("nothing expected, drew %d", n)
	}
}

// all is every sample of a Traffic.
func all(tr *Traffic) []analysis.Series {
	return tr.Read(analysis.Query{Metric: "errors", From: Begin().Add(-time.Hour), Until: Begin().Add(24 * time.Hour)}).Series
}

func TestTraffic_dependsOnItsSeedAlone(t *testing.T) {
	world := World{
		Rate: 50, Stable: 0.01, Canary: 0.1, Fault: time.Minute, Pods: 10,
		Outages: Trouble{Rate: 60, Lasts: 4 * time.Second}, Incidents: Trouble{Rate: 30, Lasts: 20 * time.Second, Share: 0.5},
		Scrape: Scrape{Targets: 3, Missed: 0.1, Loads: true},
	}
	play := func(seed uint64, steps ...time.Duration) ([]analysis.Series, []analysis.Window) {
		tr := New(world, seed, Begin(), 0.2)
		for at := time.Duration(0); at < 5*time.Minute; {
			for _, d := range steps {
				at += d
				tr.Advance(Begin().Add(at), 20)
			}
		}
		return all(tr), tr.Loads(7)
	}
	series, loads := play(3, 5*time.Second)
	again, loadsAgain := play(3, 5*time.Second)
	if diff := cmp.Diff(series, again) + cmp.Diff(loads, loadsAgain); diff != "" {
		t.Errorf("the same seed made another world:\n%s", diff)
	}
	other, _ := play(4, 5*time.Second)
	if cmp.Equal(series, other) {
		t.Error("another seed made the same world")
	}
	whole, _ := play(3, 5*time.Minute)
	if diff := cmp.Diff(series, whole); diff != "" {
		t.Errorf("looking changed the world:\n%s", diff)
	}
}

func TestTraffic_samplesHoldWhatWasServed(t *testing.T) {
	tr := New(World{Rate: 100, Stable: 0.01, Canary: 0.2, Scrape: Scrape{Targets: 2, Loads: true}}, 1, Begin(), 0.15)
	before, stableBefore := tr.Served()
	if before.N != 0 || stableBefore.N == 0 {
		t.Errorf("before the start the canary served %d, stable %d", before.N, stableBefore.N)
	}
	end := Begin().Add(10 * time.Minute)
	tr.Loads(0)
	tr.Advance(end, 15)
	ofCanary, ofStable := tr.Served()
	windows, _ := analysis.Assemble(analysis.Cut{Metric: "errors", Since: Begin(), Until: end, Window: 5 * time.Second, Weight: 15}, all(tr))
	var got [2]analysis.Counts
	for _, w := range windows {
		got[canary] = analysis.Counts{N: got[canary].N + w.Canary.N, Bad: got[canary].Bad + w.Canary.Bad}
		got[stable] = analysis.Counts{N: got[stable].N + w.Stable.N, Bad: got[stable].Bad + w.Stable.Bad}
	}
	// The second proxy is scraped at 2.5 s and so on: a scrape's worth lies open at either end.
	for arm, want := range [2]analysis.Counts{ofCanary, {N: ofStable.N - stableBefore.N, Bad: ofStable.Bad - stableBefore.Bad}} {
		if n := float64(got[arm].N) / float64(want.N); math.Abs(n-1) > 0.02 || got[arm].Bad == 0 || len(windows) != 120 {
			t.Errorf("arm %d: %d windows hold %+v, served were %+v", arm, len(windows), got[arm], want)
		}
	}
	loads := tr.Loads(9)
	var sum uint64
	for _, l := range loads {
		sum += l.Canary.N
		if l.Seq != 9 || l.End.Sub(l.Start) != time.Second || l.Canary.Started != l.Canary.N {
			t.Fatalf("report %+v", l)
		}
	}
	if len(loads) != 600 || sum != ofCanary.N || len(tr.Loads(9)) != 0 {
		t.Errorf("%d reports hold %d canary requests of %d", len(loads), sum, ofCanary.N)
	}
	share := float64(ofCanary.N) / float64(ofCanary.N+ofStable.N-stableBefore.N)
	if math.Abs(share-0.15) > 0.01 || math.Abs(float64(ofCanary.Bad)/float64(ofCanary.N)-0.2) > 0.02 {
		t.Errorf("canary %+v, stable %+v", ofCanary, ofStable)
	}
}

func TestTraffic_aCounterThatNeverCountedIsNotShown(t *testing.T) {
	tr := New(World{Rate: 100}, 1, Begin(), 0.15)
	tr.Advance(Begin().Add(time.Minute), 0)
	series := all(tr)
	if len(series) != 1 || series[0].Arm != analysis.Stable || series[0].Role != analysis.Total {
		t.Errorf("without a canary and failures there are %d series: %+v", len(series), series)
	}
}

func TestTraffic_troublesComeAsOftenAsTheyShould(t *testing.T) {
	for name, r := range map[string]struct {
		world                World
		ofCanary, ofStable   float64 // expected bad shares
		canaryMost, leastFor time.Duration
	}{
		"incidents": {world: World{Incidents: Trouble{Rate: 60, Lasts: 6 * time.Second, Share: 0.5}}, ofCanary: 0.05, ofStable: 0.05},
		"outages":   {world: World{Pods: 20, Outages: Trouble{Rate: 30, Lasts: 6 * time.Second}}, ofCanary: 0.05, ofStable: 0.05},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r.world.Rate = 100
			tr := New(r.world, 5, Begin(), 0.15)
			tr.Advance(Begin().Add(20*time.Hour), 15)
			c, s := tr.Served()
			for arm, rate := range map[string][2]float64{"canary": {float64(c.Bad) / float64(c.N), r.ofCanary}, "stable": {float64(s.Bad) / float64(s.N), r.ofStable}} {
				if math.Abs(rate[0]/rate[1]-1) > 0.12 {
					t.Errorf("%s: %v bad, expected %v", arm, rate[0], rate[1])
				}
			}
		})
	}
}

func TestWorld_validateNamesWhatIsWrong(t *testing.T) {
	good := World{Rate: 10, Stable: 0.01, Canary: 0.02, Fault: time.Minute}
	if err := good.Validate(); err != nil {
		t.Errorf("a sound world: %v", err)
	}
	for name, spoil := range map[string]func(*World){
		"rate":      func(w *World) { w.Rate = -1 },
		"share":     func(w *World) { w.Stable = 1.5 },
		"nan":       func(w *World) { w.Canary = math.NaN() },
		"order":     func(w *World) { w.Profile = []Piece{{From: time.Hour}, {}} },
		"scrape":    func(w *World) { w.Scrape.Every = time.Millisecond },
		"missed":    func(w *World) { w.Scrape.Missed = 2 },
		"proxies":   func(w *World) { w.Scrape.Targets = -1 },
		"no length": func(w *World) { w.Incidents.Rate = 1 },
		"no pods":   func(w *World) { w.Outages = Trouble{Rate: 1, Lasts: time.Second} },
	} {
		w := good
		if spoil(&w); w.Validate() == nil {
			t.Errorf("%s: %+v passed", name, w)
		}
	}
}

func TestSummarise_quantilesAreOfAllRuns(t *testing.T) {
	var outcomes []Outcome
	for i := range 10 {
		o := Outcome{RolledBack: time.Duration(i+1) * time.Second, Promotable: Never, Bad: uint64(i)}
		if i == 9 {
			o.RolledBack, o.Promotable = Never, time.Minute
		}
		outcomes = append(outcomes, o)
	}
	want := Summary{
		Runs: 10, Bad: 4.5,
		RolledBack: Share{Runs: 9, Of: 10, P50: 5 * time.Second, P90: 9 * time.Second, P99: Never},
		Promotable: Share{Runs: 1, Of: 10, P50: Never, P90: Never, P99: Never},
	}
	if diff := cmp.Diff(want, Summarise(outcomes), cmpopts.IgnoreUnexported(Share{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	Summarise(nil) // nothing to divide by
}

// minutes are so many of 100 canary requests, the bad ones given, and of 1000 stable requests with one bad.
func minutes(bad ...uint64) []Minute {
	var out []Minute
	for _, x := range bad {
		out = append(out, Minute{Canary: analysis.Counts{N: 100, Bad: x}, Stable: analysis.Counts{N: 1000, Bad: 1}})
	}
	return out
}

func TestPeers_decideByTheirRules(t *testing.T) {
	silent := append(minutes(2, 2, 2), Minute{Stable: analysis.Counts{N: 1}})
	for _, r := range []struct {
		minutes []Minute
		want    string // flagger, argo, kayenta
	}{
		{minutes(0, 0, 0, 0, 0, 0), "false false false"},
		{minutes(1, 1, 1, 1, 1, 1), "false false true"},
		{minutes(2, 2, 2), "false false false"},
		{minutes(2, 2, 2, 2), "false true false"},
		{silent, "false true false"},
		{minutes(2, 0, 2, 2, 2, 2), "false true false"},
		{minutes(2, 2, 2, 2, 2), "false true true"},
		{minutes(2, 2, 2, 2, 2, 0), "true true false"},
		{minutes(9, 9, 9, 9, 9, 0, 9, 9, 9), "true true true"},
	} {
		var got [3]bool
		for i, p := range Peers() {
			got[i] = p.RollsBack(r.minutes)
		}
		if text := fmt.Sprintf("%v %v %v", got[0], got[1], got[2]); text != r.want {
			t.Errorf("%d minutes %+v: %s, want %s", len(r.minutes), r.minutes, text, r.want)
		}
	}
	o := Default(World{Rate: 100, Canary: 0.5}).Peer(1, Peers()[1])
	if o.RolledBack != 4*time.Minute || o.Bad < 1600 || o.Bad > 2000 {
		t.Errorf("half bad: %+v", o)
	}
}
