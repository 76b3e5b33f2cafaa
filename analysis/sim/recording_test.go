package sim

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/analysis"
)

// counted are samples of a counter every 10 s that grows by so much.
func growing(by ...float64) []analysis.Point {
	at, sum := Begin().UnixMilli(), 1000.0
	points := []analysis.Point{{T: at, V: sum}}
	for _, v := range by {
		at, sum = at+10_000, sum+v
		points = append(points, analysis.Point{T: at, V: sum})
	}
	return points
}

func TestRecord_countersAndRatesBecomePieces(t *testing.T) {
	restarted := growing(100, 200, 0, 50)
	restarted[3].V, restarted[4].V = 40, 90 // falls: begins anew
	r, err := Record([]Recorded{
		{Name: "a", Counter: true, Points: restarted},
		{Name: "b", Points: []analysis.Point{{T: restarted[0].T, V: 1}, {T: restarted[2].T, V: 2}, {T: restarted[4].T, V: 9}}},
		{Name: "bad", Bad: true, Counter: true, Points: growing(0, 22, 0, 0)},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []Piece{{Rate: 11}, {From: 10 * time.Second, Rate: 21, Stable: 22.0 / 210}, {From: 20 * time.Second, Rate: 6}, {From: 30 * time.Second, Rate: 7}}
	if len(r.Pieces) != len(want) || r.Length != 40*time.Second || !r.Start.Equal(Begin()) || math.Abs(r.Rate-11.25) > 1e-9 || math.Abs(r.Bad-22.0/450) > 1e-9 {
		t.Fatalf("%+v", r)
	}
	for i, w := range want {
		if got := r.Pieces[i]; got.From != w.From || math.Abs(got.Rate-w.Rate) > 1e-9 || math.Abs(got.Stable-w.Stable) > 1e-9 {
			t.Errorf("piece %d is %+v, want %+v", i, got, w)
		}
	}
}

func TestRecord_saysWhereItCannotBeRead(t *testing.T) {
	holed := append(growing(1, 1, 1), analysis.Point{T: Begin().UnixMilli() + 200_000, V: 2000})
	back := growing(1, 1)
	back[2].T = back[1].T
	nan := growing(1, math.NaN())
	for want, series := range map[string][]Recorded{
		"no series of requests":                        {{Name: "x", Bad: true, Points: growing(1, 2)}},
		"x: sample 3, of 2026-01-05T09:00:10Z, is not": {{Name: "x", Points: back}},
		"x: sample 3, of 2026-01-05T09:00:20Z, is NaN": {{Name: "x", Points: nan}},
		"about requests at 2026-01-05T09:00:30Z":       {{Name: "x", Counter: true, Points: holed}},
		"exchanged":                                    {{Name: "x", Counter: true, Points: growing(1, 1)}, {Name: "y", Bad: true, Counter: true, Points: growing(9, 9)}},
		"not a single request":                         {{Name: "x", Counter: true, Points: growing(0, 0)}},
	} {
		if _, err := Record(series); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want something about %q", err, want)
		}
	}
}

func TestTraffic_playsARecordingAgainAndAgain(t *testing.T) {
	r, err := Record([]Recorded{{Name: "a", Counter: true, Points: growing(1000, 0, 3000)}, {Name: "bad", Bad: true, Counter: true, Points: growing(100, 0, 300)}})
	if err != nil {
		t.Fatal(err)
	}
	world := World{Recording: r, Canary: 0.5, Fault: 45 * time.Second}
	if err := world.Validate(); err != nil {
		t.Fatal(err)
	}
	tr := New(world, 1, Begin(), 0.5)
	var was analysis.Counts
	for i, want := range []struct{ n, bad float64 }{{500, 0.1}, {0, 0}, {1500, 0.1}, {500, 0.1 + 0.9*0.5/2}, {0, 0}, {1500, 0.55}} {
		tr.Advance(Begin().Add(time.Duration(i+1)*10*time.Second), 50)
		now, _ := tr.Served()
		n, bad := float64(now.N-was.N), float64(now.Bad-was.Bad)
		was = now
		share := 0.0
		if n > 0 {
			share = bad / n
		}
		if math.Abs(n-want.n) > 5*math.Sqrt(want.n) || (i != 3 && math.Abs(share-want.bad) > 0.08) {
			t.Errorf("after %d s: %v requests, %v bad, want %+v", 10*(i+1), n, share, want)
		}
	}
}
