package sim

import (
	"errors"
	"math"
	"slices"
	"time"

	"github.com/sluice-dev/sluice/analysis"
)

// Latency is how long answers take: lognormal, failed ones like the others. The zero value is not counted.
type Latency struct {
	Median time.Duration // 0: proxies count no times
	Sigma  float64       // of the logarithm; 0: 0.5
	Factor float64       // by which all times of the canary grow, from the World's Fault on; 0: 1
}

func (l Latency) check() error {
	switch {
	case l == Latency{}:
		return nil
	case l.Median < 100*time.Microsecond || l.Median > 10*time.Minute:
		return errors.New("the median latency must be 100µs to 10m")
	case !(l.Sigma >= 0.01 && l.Sigma <= 4):
		return errors.New("sigma of the latency must be 0.01 to 4")
	case !(l.Factor >= 0.01 && l.Factor <= 1000):
		return errors.New("the canary's latency must be 0.01 to 1000 times stable's")
	}
	return nil
}

// counted is how many bounds there are, the infinite one included.
const counted = 20

// bounds are those by which Envoy counts times, in ms, where nobody sets others.
func bounds() [counted]float64 {
	return [...]float64{
		0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000, 3_600_000, math.Inf(1),
	}
}

// times counts answers by how long they took: each up to its bound and beyond the one before.
type times [counted]uint64

// chances are the probabilities of the elements of times, each under the condition that none before it came true.
type chances [counted]float64

// chances of times that are so many times as long.
func (l Latency) chances(factor float64) chances {
	var out chances
	middle, before := math.Log(float64(l.Median)/float64(time.Millisecond)*factor), 0.0
	for i, bound := range bounds() {
		within := l.within(bound, middle)
		out[i] = 1
		if left := 1 - before; left > 1e-12 && within < 1 {
			out[i] = max(0, (within-before)/left)
		}
		before = within
	}
	return out
}

// within is the share of answers that take at most so many ms, around a median whose logarithm is middle.
func (l Latency) within(ms, middle float64) float64 {
	return math.Erfc((middle-math.Log(ms))/(l.Sigma*math.Sqrt2)) / 2
}

// worst is the largest ratio of bad shares at any bound that is judged, where the canary's times are so many times as long.
func (l Latency) worst(factor float64) float64 {
	middle, worst := math.Log(float64(l.Median)/float64(time.Millisecond)), 0.0
	for _, bound := range bounds() {
		is, was := l.within(bound, middle+math.Log(factor)), l.within(bound, middle)
		switch {
		case 1-was >= 0.0005 && 1-was <= 0.5:
			worst = max(worst, (1-is)/(1-was))
		case was >= 0.05 && was < 0.5:
			worst = max(worst, was/is)
		}
	}
	return worst
}

// edge is how much slower a canary may be and still be within the tolerated ratio at every bound.
func (l Latency) edge(ratio float64) float64 {
	low, high := 1.0, 2.0
	for range 50 {
		if mid := (low + high) / 2; l.worst(mid) > ratio {
			high = mid
		} else {
			low = mid
		}
	}
	return low
}

// spread adds so many answers to the times that they took.
func (d *dice) spread(n uint64, by *chances, to *times) {
	for i, p := range by {
		if n == 0 {
			return
		}
		here := d.binomial(n, p)
		to[i] += here
		n -= here
	}
}

// timing is what a Traffic knows about times: dice of its own, so that failures come as they come without it.
type timing struct {
	dice *dice
	arms [2]chances // canary's while its fault lasts
}

func newTiming(l Latency, seed uint64) *timing {
	if l.Median == 0 {
		return nil
	}
	return &timing{dice: newDice(^seed), arms: [2]chances{l.chances(l.Factor), l.chances(1)}}
}

// take lets answers take their time.
func (t *timing) take(p *proxy, arm int, n uint64, faulty bool) {
	if t == nil {
		return
	}
	from := &t.arms[stable]
	if faulty {
		from = &t.arms[arm]
	}
	t.dice.spread(n, from, &p.times[arm])
}

// scrape shows the buckets of all arms that answered at all.
func (t *timing) scrape(p *proxy, at int64) {
	if t == nil {
		return
	}
	for arm := range p.times {
		if p.counts[arm].N == 0 {
			continue
		}
		sum := uint64(0)
		for i, n := range p.times[arm] {
			sum += n
			p.within[arm][i] = append(p.within[arm][i], analysis.Point{T: at, V: float64(sum)})
		}
	}
}

// latency is the metric that buckets answer for.
const latency = "latency"

// buckets answers a query for times.
func (t *Traffic) buckets(q analysis.Query) analysis.Read {
	out := analysis.Read{Metric: q.Metric}
	for i := range t.proxy {
		p := &t.proxy[i]
		for arm, side := range [2]analysis.Arm{analysis.Canary, analysis.Stable} {
			for b, le := range bounds() {
				if len(q.Bounds) > 0 && !math.IsInf(le, 1) && !slices.Contains(q.Bounds, le) {
					continue
				}
				if points := between(p.within[arm][b], q); len(points) > 0 {
					out.Series = append(out.Series, analysis.Series{Target: p.name, Arm: side, Role: analysis.Within, Le: le, Points: points})
				}
			}
		}
	}
	if q.Base {
		out.Base = t.hour()
	}
	return out
}

// hour is what stable's answers of an hour like the present moment look like.
func (t *Traffic) hour() []analysis.Bucket {
	now, _ := t.world.at(t.now, t.now)
	all := now.Rate * time.Hour.Seconds()
	l := t.world.Latency
	middle := math.Log(float64(l.Median) / float64(time.Millisecond))
	out := make([]analysis.Bucket, 0, counted)
	for _, bound := range bounds() {
		out = append(out, analysis.Bucket{Le: bound, N: all * l.within(bound, middle)})
	}
	return out
}
