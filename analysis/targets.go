package analysis

import (
	"math"
	"slices"
)

// target is all series of one target.
type target struct {
	scrapes []int64 // distinct, rising
	series  []*Series
}

// firstAfter is the index of the first scrape after since that has one before it.
func (t *target) firstAfter(since int64) int {
	i, _ := slices.BinarySearch(t.scrapes, since+1)
	return max(i, 1)
}

// byTarget groups series, leaving out what no counter can show and what lies after until. It changes nothing of what it
// is given, and may hold on to it.
func byTarget(series []Series, until int64) []target {
	targets := targetsOf(series)
	for i := range targets {
		t := &targets[i]
		kept := t.series[:0]
		for _, s := range t.series {
			points := usable(s.Points, until)
			if len(points) == 0 {
				continue
			}
			if len(points) < len(s.Points) {
				fewer := *s
				fewer.Points, s = points, &fewer
			}
			kept = append(kept, s)
			t.scraped(points)
		}
		t.series = kept
	}
	return slices.DeleteFunc(targets, func(t target) bool { return len(t.series) == 0 })
}

// targetsOf puts the series of each target together.
func targetsOf(series []Series) []target {
	places := make(map[string]int, 8)
	sizes, of := make([]int, 0, 8), make([]int, len(series))
	for i := range series {
		name := series[i].Target
		if i > 0 && name == series[i-1].Target { // mostly they follow each other
			of[i] = of[i-1]
		} else if at, known := places[name]; known {
			of[i] = at
		} else {
			of[i], places[name], sizes = len(sizes), len(sizes), append(sizes, 0)
		}
		sizes[of[i]]++
	}
	targets, room := make([]target, len(sizes)), make([]*Series, len(series))
	for at, size := range sizes {
		targets[at].series, room = room[:0:size], room[size:]
	}
	for i := range series {
		t := &targets[of[i]]
		t.series = append(t.series, &series[i])
	}
	return targets
}

// scraped notes the times of points.
func (t *target) scraped(points []Point) {
	i := 0
	for _, p := range points {
		for i < len(t.scrapes) && t.scrapes[i] < p.T {
			i++
		}
		if i == len(t.scrapes) || t.scrapes[i] != p.T {
			t.merge(points)
			return
		}
	}
}

// merge adds the times of points, of which some are new.
func (t *target) merge(points []Point) {
	t.scrapes = slices.Grow(t.scrapes, len(points))
	for _, p := range points {
		t.scrapes = append(t.scrapes, p.T)
	}
	slices.Sort(t.scrapes)
	t.scrapes = slices.Compact(t.scrapes)
}

// usable are the points that a counter can show, up to until: a part of what is given where they follow each other.
func usable(points []Point, until int64) []Point {
	n, before := 0, int64(math.MinInt64)
	for _, p := range points {
		if p.T <= before || !p.counts() {
			return picked(points, until)
		}
		if before = p.T; p.T <= until {
			n++
		}
	}
	return points[:n:n]
}

// picked are the usable points where some between them are not.
func picked(points []Point, until int64) []Point {
	out := make([]Point, 0, len(points))
	for _, p := range points {
		repeated := len(out) > 0 && p.T <= out[len(out)-1].T
		if p.T <= until && p.counts() && !repeated {
			out = append(out, p)
		}
	}
	return out
}

// counts reports that a counter can have the value.
func (p Point) counts() bool { return p.V >= 0 && !math.IsInf(p.V, 1) }
