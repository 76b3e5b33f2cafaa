package analysis

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// loaded is a second of load reports that ends sec after base, of a canary with three endpoints that fail alike.
func loaded(sec int64, nc, xc, ns, xs uint64) Window {
	c, s := cs(nc, xc, ns, xs)
	c.Started, s.Started = nc, ns
	w := Window{Metric: Attempts, Start: instant(base + sec*1000 - 1000), End: instant(base + sec*1000), Canary: c, Stable: s}
	for i := range uint64(3) {
		w.Endpoints = append(w.Endpoints, Endpoint{ID: uint32(i), N: (nc + i) / 3, Bad: (xc + i) / 3})
	}
	return w
}

// withAttempts is the Config of errors and attempts.
func withAttempts() Config {
	cfg := Default()
	cfg.Criteria = append(cfg.Criteria, Criterion{Name: Attempts, Share: 2})
	return cfg.WithDefaults()
}

func TestTraffic_referenceNumbers(t *testing.T) {
	for _, r := range []struct {
		nc, ns uint64
		want   float64
	}{
		{150, 850, -10.401948932}, {200, 800, -1.64054230718}, {300, 700, 39.7378417576}, {30, 70, 2.24107368023},
		{15, 185, 0.696237922063}, {0, 49, 4.54620020505}, {0, 50, 4.66761017006}, {5, 0, 6.10471039306},
	} {
		w := loaded(20, r.nc, 0, r.ns, 0)
		odds := 15.0 / 85
		s := &shareState{Wealth: make([]logw, 8)}
		for i, g := range trafficSteps() {
			s.Wealth[i] = logw(logOdds(r.nc, r.ns, odds*trafficBand*g, odds*trafficBand))
			s.Wealth[4+i] = logw(logOdds(r.nc, r.ns, odds/trafficBand/g, odds/trafficBand))
		}
		near(t, "ln E_share", s.logE(CheckBoth), r.want)
		var folded *shareState
		folded = folded.fold(w, moment(20))
		if alarm := folded.Alarm != 0; alarm != (r.want >= math.Log(100)) {
			t.Errorf("(%d, %d): alarm %v at ln E %v", r.nc, r.ns, alarm, r.want)
		} else if !alarm {
			near(t, "folded", folded.logE(CheckBoth), r.want)
		}
	}
}

func TestReported_sumsClustersOfAnArmBySecond(t *testing.T) {
	at := func(sec int64) time.Time { return instant(base + sec*1000) }
	load := func(arm Arm, sec int64, c Counts, open uint64, e ...Endpoint) Load {
		return Load{Arm: arm, Start: at(sec - 1), End: at(sec), Counts: c, Open: open, Endpoints: e}
	}
	got := Reported(7, []Load{
		load(Stable, 2, Counts{N: 50, Bad: 1, Started: 51}, 3), load(Canary, 2, Counts{N: 10, Bad: 2, Started: 11}, 9, Endpoint{5, 4, 1}, Endpoint{2, 6, 1}),
		load(Canary, 1, Counts{N: 3, Started: 3}, 0), load(Canary, 2, Counts{N: 1, Bad: 1, Started: 1}, 0, Endpoint{5, 1, 1}),
		load(Stable, 2, Counts{N: 5, Started: 5}, 1),
	})
	want := []Window{
		{Metric: Attempts, Seq: 7, Start: at(0), End: at(1), Canary: Counts{N: 3, Started: 3}},
		{Metric: Attempts, Seq: 7, Start: at(1), End: at(2), Canary: Counts{N: 11, Bad: 3, Started: 12}, Stable: Counts{N: 55, Bad: 1, Started: 56},
			Open: 4, Endpoints: []Endpoint{{2, 6, 1}, {5, 5, 2}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
