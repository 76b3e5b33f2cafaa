package analysis

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const base = int64(1_000_000_000) // Unix ms of the cursor in these tests

// cut5 cuts windows of 5 s from base on, at known interval.
func cut5(until int64) Cut {
	return Cut{
		Metric: "errors", Since: instant(base), Until: instant(base + until*1000),
		Length: 5 * time.Second, Interval: 5 * time.Second, Weight: 15,
	}
}

// counter makes a series scraped every 5 s from base on; -1 is a scrape without it.
func counter(target string, arm Arm, role Role, values ...float64) Series {
	s := Series{Target: target, Arm: arm, Role: role}
	for i, v := range values {
		if v >= 0 {
			s.Points = append(s.Points, Point{T: base + int64(i)*5000, V: v})
		}
	}
	return s
}

// alive keeps a target scraped at each of n scrapes, its stable arm growing by one.
func alive(target string, n int) Series {
	values := make([]float64, n)
	for i := range values {
		values[i] = float64(100 + i)
	}
	return counter(target, Stable, Total, values...)
}

func canaryCounts(windows []Window) []uint64 {
	var counts []uint64
	for _, w := range windows {
		counts = append(counts, w.Canary.N)
	}
	return counts
}

func TestAssemble_countsIncrements(t *testing.T) {
	every := func(until int64) Cut {
		c := cut5(until)
		c.Every, c.Length = true, 5*time.Second
		return c
	}
	for _, r := range []struct {
		name   string
		series []Series
		cut    Cut
		want   []uint64
	}{
		{"a fall is a new start", []Series{alive("a", 5), counter("a", Canary, Total, 5, 9, 9, 2, 7)}, every(20), []uint64{4, 0, 2, 5}},
		{"new series of a live target", []Series{alive("a", 5), counter("a", Canary, Total, -1, -1, 3, 3, 8)}, every(20), []uint64{0, 3, 0, 5}},
		{"first sight of a target", []Series{alive("b", 3), counter("a", Canary, Total, -1, 100, 104)}, every(10), []uint64{0, 4}},
		{"missed scrapes make a bigger window", []Series{counter("a", Stable, Total, 1, -1, -1, 9), counter("a", Canary, Total, 10, -1, -1, 16)}, cut5(15), []uint64{6}},
		{"a series gone while its target lives", []Series{alive("a", 4), counter("a", Canary, Total, 10, -1, -1, 16)}, cut5(15), []uint64{6}},
		{"nothing new", []Series{counter("a", Stable, Total, 1), counter("a", Canary, Total, 10)}, cut5(15), nil},
		{"two ports, one restarts", []Series{alive("a", 3), counter("a", Canary, Total, 10, 12, 14), counter("a", Canary, Total, 50, 3, 4)}, every(10), []uint64{5, 3}},
		{"what no counter holds", []Series{alive("a", 3), {Target: "a", Arm: Canary, Role: Total, Points: []Point{{base, 1}, {base + 5000, -7}, {base + 10_000, 3}}}}, every(10), []uint64{0, 2}},
	} {
		windows, _ := Assemble(r.cut, r.series)
		if diff := cmp.Diff(r.want, canaryCounts(windows)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", r.name, diff)
		}
	}
}

func TestAssemble_sameTimestampAgainAddsNothing(t *testing.T) {
	series := []Series{alive("a", 2), counter("a", Canary, Total, 5, 9)}
	windows, cov := Assemble(cut5(5), series)
	if len(windows) != 1 {
		t.Fatalf("got %v, want one window", windows)
	}
	later := cut5(9)
	later.Since = cov.Cursor
	again, _ := Assemble(later, append(series, series...))
	if len(again) != 0 {
		t.Errorf("the same samples gave %v once more", again)
	}
}

func TestAssemble_lostTargetIsSeenAnew(t *testing.T) {
	// 40 s without a scrape: longer than max(4 intervals, 30 s).
	series := []Series{alive("b", 12), counter("a", Canary, Total, 10, 20, -1, -1, -1, -1, -1, -1, -1, 500, 503)}
	c := cut5(55)
	c.Every = true
	windows, _ := Assemble(c, series)
	var sum uint64
	for _, n := range canaryCounts(windows) {
		sum += n
	}
	if sum != 13 {
		t.Errorf("counted %d, want 10 before and 3 after the gap", sum)
	}
}

func TestAssemble_holdsBadToAllAndClosesOnTrafficOnly(t *testing.T) {
	series := []Series{
		alive("a", 5),
		counter("a", Canary, Total, 10, 10, 12, 12, 13),
		counter("a", Canary, Bad, 0, 1, 5, 5, 5), // a bad one in a scrape without requests
	}
	windows, cov := Assemble(cut5(24), series)
	want := []Window{
		{Metric: "errors", Start: instant(base), End: instant(base + 10_000), Canary: Counts{N: 2, Bad: 2}, Stable: Counts{N: 2}},
		{Metric: "errors", Start: instant(base + 10_000), End: instant(base + 20_000), Canary: Counts{N: 1, Bad: 0}, Stable: Counts{N: 2}},
	}
	if diff := cmp.Diff(want, windows); diff != "" {
		t.Errorf("windows (-want +got):\n%s", diff)
	}
	if !cov.LastCanary.Equal(instant(base+20_000)) || !cov.Newest.Equal(instant(base+20_000)) || cov.Expected != 1 || cov.Missing != 0 {
		t.Errorf("coverage %+v", cov)
	}
}

func TestAssemble_whatIsNotGoodIsBad(t *testing.T) {
	c := cut5(5)
	c.Goods = true
	series := []Series{alive("a", 2), counter("b", Canary, Total, 10, 20), counter("b", Canary, Good, 5, 12), counter("a", Stable, Good, 7, 9)}
	windows, _ := Assemble(c, series)
	want := []Window{{Metric: "errors", Start: instant(base), End: instant(base + 5000), Canary: Counts{N: 10, Bad: 3}, Stable: Counts{N: 1, Bad: 0}}}
	if diff := cmp.Diff(want, windows); diff != "" {
		t.Errorf("windows (-want +got):\n%s", diff)
	}
}

func TestAssemble_longerWindowsWhereArmsAreScrapedApart(t *testing.T) {
	for interval, want := range map[time.Duration]time.Duration{time.Second: 15 * time.Second, 10 * time.Second: 30 * time.Second} {
		c := Cut{Window: 5 * time.Second, Apart: true, Since: instant(base), Until: instant(base + 1000), Interval: interval}
		if _, cov := Assemble(c, nil); cov.Length != want {
			t.Errorf("scraped every %v: length %v, want %v", interval, cov.Length, want)
		}
	}
}

func TestAssemble_atHundredClosesOnTheCanaryAlone(t *testing.T) {
	c := cut5(10)
	series := []Series{counter("a", Canary, Total, 1, 2, 3)}
	if windows, _ := Assemble(c, series); len(windows) != 0 {
		t.Errorf("at 15 %% without stable requests: %v", windows)
	}
	c.Weight = 100
	if windows, _ := Assemble(c, series); len(windows) != 2 {
		t.Errorf("at 100 %%: %v, want two windows", windows)
	}
}

func TestAssemble_dropsAWindowOpenForTenMinutes(t *testing.T) {
	canary := counter("a", Canary, Total, 1)
	for i := int64(1); i <= 125; i++ {
		v := 1.0
		if i >= 121 { // a request after 605 s
			v = 2
		}
		canary.Points = append(canary.Points, Point{T: base + i*5000, V: v})
	}
	windows, cov := Assemble(cut5(624), []Series{alive("a", 126), canary})
	if len(windows) != 1 || !windows[0].Start.Equal(instant(base+600_000)) || !windows[0].End.Equal(instant(base+605_000)) {
		t.Errorf("got %v (cursor %v), want one window from 600 s to 605 s", windows, cov.Cursor)
	}
}

func TestAssemble_choosesTheLengthFromScrapesBeforeTheCursor(t *testing.T) {
	at := func(seconds ...float64) Series {
		s := Series{Target: "a", Arm: Stable, Role: Total}
		for i, sec := range seconds {
			s.Points = append(s.Points, Point{T: base + int64(sec*1000), V: float64(i)})
		}
		return s
	}
	for _, r := range []struct {
		name   string
		series Series
		want   time.Duration
	}{
		{"scraped every 15 s", at(-45.2, -30.1, -15.2, -0.1, 4, 5, 6), 15 * time.Second},
		{"scraped every second", at(-4, -3, -2, -1), 5 * time.Second}, // the window's own length
		{"only after it", at(-1, 9, 19.3, 29), 10 * time.Second},
		{"too few", at(-1, 9, 19), 0},
	} {
		c := cut5(30)
		c.Length, c.Interval, c.Window = 0, 0, 5*time.Second
		if _, cov := Assemble(c, []Series{r.series}); cov.Length != r.want {
			t.Errorf("%s: length %v, want %v", r.name, cov.Length, r.want)
		}
	}
}

func TestAssemble_missingTargets(t *testing.T) {
	series := []Series{alive("a", 30)}
	for _, name := range []string{"b", "c"} {
		series = append(series, alive(name, 10)) // gone for 100 s
	}
	_, cov := Assemble(cut5(145), series)
	if cov.Expected != 3 || cov.Missing != 2 {
		t.Errorf("expected %d, missing %d; want 3 and 2", cov.Expected, cov.Missing)
	}
}

// world is what some targets expose over ten minutes, with restarts, gaps and late series.
func world(seed uint64) []Series {
	r := rand.New(rand.NewPCG(seed, 1))
	var all []Series
	for _, name := range []string{"a", "b", "c"} {
		offset, down := r.Int64N(5000), r.IntN(100)
		for _, arm := range []Arm{Canary, Stable} {
			total := Series{Target: name, Arm: arm, Role: Total}
			bad := Series{Target: name, Arm: arm, Role: Bad}
			n, x := float64(r.IntN(1000)), 0.0
			for i := range int64(150) {
				if i > int64(down) && i < int64(down)+int64(r.IntN(12)) {
					continue // a missed scrape
				}
				if r.IntN(60) == 0 {
					n, x = 0, 0 // a restart
				}
				n += float64(r.IntN(4) * r.IntN(2))
				x += float64(r.IntN(2) * r.IntN(2) * r.IntN(2))
				ts := base - 60_000 + i*5000 + offset
				total.Points = append(total.Points, Point{T: ts, V: n})
				if x > 0 {
					bad.Points = append(bad.Points, Point{T: ts, V: x})
				}
			}
			all = append(all, total, bad)
		}
	}
	return all
}

// between are the points with from < t <= until, as a query gives them.
func between(series []Series, from, until time.Time) []Series {
	var some []Series
	for _, s := range series {
		var points []Point
		for _, p := range s.Points {
			if p.T > millis(from) && p.T <= millis(until) {
				points = append(points, p)
			}
		}
		if len(points) > 0 {
			s.Points = points
			some = append(some, s)
		}
	}
	return some
}

// look does one look at the world, as a controller does.
func look(cfg Config, ev Evidence, m Moment, all []Series) (Evidence, Report, Batch) {
	var reads []Read
	for _, q := range Queries(cfg, ev, m, Arms{}) {
		reads = append(reads, Read{Metric: q.Metric, Series: between(all, q.From, q.Until)})
	}
	b := Collect(cfg, ev, m, reads)
	ev, report := Judge(cfg, ev, b)
	return ev, report, b
}

func TestCollect_windowsDoNotDependOnWhenOneLooks(t *testing.T) {
	for seed := range uint64(8) {
		all := world(seed)
		cfg := Default()
		run := func(pause func() int64) []Window {
			var ev Evidence
			var windows []Window
			for at := base + 1000; at <= base+600_000; at += pause() {
				m := Moment{At: instant(at), Step: 1, Weight: 15, Endpoints: 3, Since: instant(base - 5000), Settled: instant(base)}
				var b Batch
				ev, _, b = look(cfg, ev, m, all)
				windows = append(windows, b.Windows...)
			}
			return windows
		}
		often := run(func() int64 { return 1000 })
		r := rand.New(rand.NewPCG(seed, 2))
		rarely := run(func() int64 { return 900 + r.Int64N(59_100) })
		both := min(len(often), len(rarely))
		if diff := cmp.Diff(often[:both], rarely[:both]); diff != "" || both < 10 || len(often)-both > 14 {
			t.Errorf("seed %d: %d windows by looking each second, %d otherwise (-often +rarely):\n%s", seed, len(often), len(rarely), diff)
		}
	}
}

// No window begins before every proxy had the weight and the canary was warm, wherever the step before has ended: what was
// counted then says nothing of this step.
func TestCollect_noWindowBeginsBeforeTheWarmUpIsOver(t *testing.T) {
	for seed := range uint64(8) {
		all, cfg := world(seed), Default()
		cfg.Criteria[0].Warmup = time.Duration(seed) * 4 * time.Second
		var ev Evidence
		steps, seen := []int64{base, base + 60_000 + int64(seed)*777, base + 200_000}, 0
		for step, settled := range steps {
			end := base + 400_000
			if step+1 < len(steps) {
				end = steps[step+1] - 5000
			}
			for at := settled - 4000; at <= end; at += 1000 {
				m := Moment{At: instant(at), Seq: uint64(step), Step: step + 1, Weight: 15, Endpoints: 3, Since: instant(settled - 5000)}
				if at >= settled {
					m.Settled = instant(settled)
				}
				var b Batch
				ev, _, b = look(cfg, ev, m, all)
				for _, w := range b.Windows {
					if first := instant(settled).Add(cfg.Criteria[0].Warmup); w.Start.Before(first) {
						t.Fatalf("seed %d, step %d: a window begins %s before the warm-up is over", seed, step+1, first.Sub(w.Start))
					}
					seen++
				}
			}
		}
		if seen == 0 {
			t.Errorf("seed %d: no window closed", seed)
		}
	}
}
