package analysis

import (
	"testing"
	"time"
)

func TestPool_wantsMoreThanOneLostEndpoint(t *testing.T) {
	for _, c := range []struct {
		name      string
		endpoints int
		every     int64 // seconds between scrapes
		n         int
		counts    [4]uint64
		want      bool
	}{
		{"half of the answers", 3, 5, 2, [4]uint64{60, 30, 425, 0}, true},
		{"one scrape is too short", 3, 5, 1, [4]uint64{60, 30, 425, 0}, false},
		{"slow scrapes are held together", 3, 30, 2, [4]uint64{60, 30, 425, 0}, true},
		{"scrapes that are too far apart are not", 3, 90, 2, [4]uint64{60, 30, 425, 0}, false},
		{"a third, as one lost endpoint does", 3, 5, 2, [4]uint64{60, 20, 425, 0}, false},
		{"two in five of few", 3, 5, 2, [4]uint64{30, 12, 425, 0}, false},
		{"two in five of many", 3, 5, 2, [4]uint64{300, 120, 2000, 0}, true},
		{"of five endpoints one is less", 5, 5, 2, [4]uint64{60, 24, 425, 0}, true},
		{"few endpoints", 2, 5, 2, [4]uint64{60, 60, 425, 0}, false},
		{"too few requests", 3, 5, 2, [4]uint64{14, 14, 425, 0}, false},
		{"stable fails too", 3, 5, 2, [4]uint64{60, 30, 425, 43}, false},
		{"nothing to compare with", 3, 5, 2, [4]uint64{60, 60, 0, 0}, false},
	} {
		var p pool
		for i := range c.n {
			p = p.add(Window{
				End:    instant(base + int64(i)*c.every*1000),
				Canary: Counts{N: c.counts[0], Bad: c.counts[1]}, Stable: Counts{N: c.counts[2], Bad: c.counts[3]},
			})
		}
		if got := p.broken(c.endpoints, 1.25); got != c.want {
			t.Errorf("%s: broken %v, want %v", c.name, got, c.want)
		}
	}
}

func TestPool_isBounded(t *testing.T) {
	var p pool
	for sec := range int64(100) {
		p = p.add(Window{End: instant(base + sec*100), Canary: Counts{N: 1}})
	}
	if len(p) != mostPooled || p.check() != nil {
		t.Errorf("%d scrapes are remembered, want %d: %v", len(p), mostPooled, p.check())
	}
	if (pool{{Counts: [4]uint64{1, 2, 0, 0}}}).check() == nil || make(pool, mostPooled+1).check() == nil {
		t.Error("a pool that nobody wrote is taken")
	}
}

// TestSpanned_beginsAtTheScrapeBefore: what a scrape shows happened since the one before, and not before the rules' cursor.
func TestSpanned_beginsAtTheScrapeBefore(t *testing.T) {
	at := func(sec int64) time.Time { return instant(base + sec*1000) }
	windows := []Window{{Start: at(2), End: at(3)}, {Start: at(7), End: at(8)}, {Start: at(9), End: at(10)}}
	got := spanned(windows, 5*time.Second, millis(at(0)))
	for i, want := range [][2]int64{{0, 3}, {3, 8}, {8, 10}} {
		if !got[i].Start.Equal(at(want[0])) || !got[i].End.Equal(at(want[1])) {
			t.Errorf("window %d is from %s to %s, want from %d to %d s", i, got[i].Start, got[i].End, want[0], want[1])
		}
	}
}

func TestAssemble_incrementsNeedNoInterval(t *testing.T) {
	series := []Series{
		{Target: "a", Arm: Canary, Role: Total, Points: []Point{{base, 10}, {base + 5000, 40}}},
		{Target: "a", Arm: Stable, Role: Total, Points: []Point{{base, 10}, {base + 5000, 90}}},
	}
	cut := Cut{Since: instant(base), Until: instant(base + 6000), Length: MinWindow, Every: true}
	windows, cov := Assemble(cut, series)
	if len(windows) != 1 || windows[0].Canary.N != 30 || windows[0].Stable.N != 80 || cov.Interval != 0 {
		t.Errorf("windows %+v, interval %s; want one of 30 and 80 requests, and no interval", windows, cov.Interval)
	}
	cut.Every = false
	if windows, _ := Assemble(cut, series); len(windows) != 0 {
		t.Errorf("windows %+v although the interval is not known", windows)
	}
}
