package sim

import (
	"math"
	"time"

	"github.com/sluice-dev/sluice/analysis"
)

// Traffic is a World that runs: requests arrive, counters grow, scrapes see them.
type Traffic struct {
	world  World
	dice   *dice
	timing *timing       // nil: times are not counted
	start  time.Time     // what the times of the World count from
	now    time.Duration // since start
	proxy  []proxy
	spans  []span // troubles, the next or present one of each
	served [2]analysis.Counts
	second [2]analysis.Counts // since the last whole second
	loads  []analysis.Window
}

// The arms by index.
const (
	canary = 0
	stable = 1
)

// proxy is one target of scrapes.
type proxy struct {
	name   string
	next   time.Duration // scrape
	counts [2]analysis.Counts
	points [2][2][]analysis.Point // by arm; all and bad
	times  [2]times
	within [2][counted][]analysis.Point // by arm and bound
}

// span is a trouble that lasts from one time to another.
type span struct {
	from, until time.Duration
	of          Trouble
	hits        [2]float64 // share of each arm's requests that meet it
}

// New is the world at the given time, before its first request: some history of stable comes first, so that whoever
// scrapes knows its targets when start comes. share is the canary's part of the pods.
func New(w World, seed uint64, start time.Time, share float64) *Traffic {
	w = w.withDefaults()
	t := &Traffic{world: w, dice: newDice(seed), timing: newTiming(w.Latency, seed), start: start}
	every := w.Scrape.Every
	for i := range w.Scrape.Targets {
		phase := (w.Scrape.Phase + every*time.Duration(i)/time.Duration(w.Scrape.Targets)) % every
		t.proxy = append(t.proxy, proxy{name: proxyName(i), next: (phase - history*every).Truncate(time.Millisecond)})
	}
	t.now = -(history + 1) * every
	t.trouble(share)
	t.Advance(start, 0)
	return t
}

// attempts is the metric of load reports.
const attempts = "attempts"

// history is how many scrapes there were before the start.
const history = 6

func proxyName(i int) string {
	name := [...]byte{'e', 'n', 'v', 'o', 'y', '-', '0', '0', '0'}
	for at := len(name) - 1; i > 0; at, i = at-1, i/10 {
		name[at] = byte('0' + i%10)
	}
	return string(name[:])
}

// trouble finds out when each trouble comes first.
func (t *Traffic) trouble(share float64) {
	w := t.world
	if w.Incidents.Rate > 0 {
		t.spans = append(t.spans, t.after(span{of: w.Incidents, hits: [2]float64{1, 1}}))
	}
	if w.Outages.Rate == 0 {
		return
	}
	mine := min(w.Pods-1, max(1, int(math.Round(share*float64(w.Pods)))))
	for i := range w.Pods {
		s := span{of: w.Outages}
		if i < mine {
			s.hits[canary] = 1 / float64(mine)
		} else {
			s.hits[stable] = 1 / float64(w.Pods-mine)
		}
		t.spans = append(t.spans, t.after(s))
	}
}

// after is the next time of a trouble.
func (t *Traffic) after(s span) span {
	gap := t.dice.exponential() * 3600 / s.of.Rate
	s.from = max(s.until, t.now) + time.Duration(gap*float64(time.Second))
	s.until = s.from + s.of.Lasts
	return s
}

// Now is how far the world has come.
func (t *Traffic) Now() time.Time { return t.start.Add(t.now) }

// Advance lets requests arrive until the given time, weight percent of them at the canary.
func (t *Traffic) Advance(until time.Time, weight int) {
	end := until.Sub(t.start)
	for t.now < end {
		piece, to := t.world.at(t.now, end)
		for i := range t.proxy {
			to = min(to, t.proxy[i].next)
		}
		if t.world.Scrape.Loads {
			to = min(to, t.now.Truncate(time.Second)+step(t.now))
		}
		bad := [2]float64{piece.Canary, piece.Stable}
		for i := range t.spans {
			to = t.meet(&t.spans[i], &bad, to)
		}
		t.serve(to-t.now, piece.Rate, float64(weight)/100, bad)
		t.now = to
		t.observe()
	}
}

// step is how far it is from a truncated time to the next whole second; before the start times are negative, and
// truncation rounds them up.
func step(now time.Duration) time.Duration {
	if now < 0 && now%time.Second != 0 {
		return 0
	}
	return time.Second
}

// meet counts a trouble in if it lasts now, and gives the time until which nothing about it changes.
func (t *Traffic) meet(s *span, bad *[2]float64, to time.Duration) time.Duration {
	if s.until <= t.now {
		*s = t.after(*s)
	}
	if t.now < s.from {
		return min(to, s.from)
	}
	for arm := range bad {
		bad[arm] += (1 - bad[arm]) * s.hits[arm] * s.of.Share
	}
	return min(to, s.until)
}

// serve lets requests arrive for a stretch of time in which nothing changes.
func (t *Traffic) serve(lasts time.Duration, rate, share float64, bad [2]float64) {
	expected := rate * lasts.Seconds() / float64(len(t.proxy))
	for i := range t.proxy {
		for arm, part := range [2]float64{share, 1 - share} {
			failed := t.dice.poisson(expected * part * bad[arm])
			all := failed + t.dice.poisson(expected*part*(1-bad[arm]))
			for _, c := range []*analysis.Counts{&t.proxy[i].counts[arm], &t.served[arm], &t.second[arm]} {
				c.N += all
				c.Bad += failed
			}
			t.timing.take(&t.proxy[i], arm, all, t.now >= t.world.Fault)
		}
	}
}

// observe scrapes what is due, and takes the load reports of a second.
func (t *Traffic) observe() {
	for i := range t.proxy {
		p := &t.proxy[i]
		if p.next > t.now {
			continue
		}
		p.next += t.world.Scrape.Every
		if t.world.Scrape.Missed > 0 && t.dice.uniform() < t.world.Scrape.Missed {
			continue
		}
		at := t.start.Add(t.now).UnixMilli()
		t.timing.scrape(p, at)
		for arm, c := range p.counts {
			for role, n := range [2]uint64{c.N, c.Bad} {
				if n > 0 { // a proxy shows no counter that never counted
					p.points[arm][role] = append(p.points[arm][role], analysis.Point{T: at, V: float64(n)})
				}
			}
		}
	}
	if t.world.Scrape.Loads && t.now%time.Second == 0 {
		end := t.Now()
		w := analysis.Window{Metric: attempts, Start: end.Add(-time.Second), End: end, Canary: t.second[canary], Stable: t.second[stable]}
		w.Canary.Started, w.Stable.Started = w.Canary.N, w.Stable.N
		t.loads = append(t.loads, w)
		t.second = [2]analysis.Counts{}
	}
}

// Served is what the canary and stable have answered so far, history included.
func (t *Traffic) Served() (ofCanary, ofStable analysis.Counts) {
	return t.served[canary], t.served[stable]
}

// Loads gives the reports since it was last called, stamped with the sequence number of the state.
func (t *Traffic) Loads(seq uint64) []analysis.Window {
	out := t.loads
	for i := range out {
		out[i].Seq = seq
	}
	t.loads = nil
	return out
}

// Read answers a query as a metrics server would that holds all samples.
func (t *Traffic) Read(q analysis.Query) analysis.Read {
	if q.Metric == latency {
		return t.buckets(q)
	}
	out := analysis.Read{Metric: q.Metric}
	for i := range t.proxy {
		p := &t.proxy[i]
		for arm, side := range [2]analysis.Arm{analysis.Canary, analysis.Stable} {
			for role, kind := range [2]analysis.Role{analysis.Total, analysis.Bad} {
				if points := between(p.points[arm][role], q); len(points) > 0 {
					out.Series = append(out.Series, analysis.Series{Target: p.name, Arm: side, Role: kind, Points: points})
				}
			}
		}
	}
	return out
}

// between are the points that a query needs, with from < t <= until: of what lies before its Since the newest is enough. What
// is asked for is mostly the end.
func between(points []analysis.Point, q analysis.Query) []analysis.Point {
	from, since, until := q.From.UnixMilli(), q.Since.UnixMilli(), q.Until.UnixMilli()
	end := len(points)
	for end > 0 && points[end-1].T > until {
		end--
	}
	begin := end
	for begin > 0 && points[begin-1].T > from && (begin == end || points[begin].T > since) {
		begin--
	}
	return points[begin:end]
}
