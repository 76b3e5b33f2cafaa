package server

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/load"
)

const maxLoadInterval = time.Minute

const noRoom = "there are more clusters than load reports are kept of"

// loads are what proxies report of their requests, and who reports. Reports have arrivals and places of their own: in
// a storm they take none from streams of configuration.
type loads struct {
	interval time.Duration
	arrivals *rate.Limiter
	watchers watchers

	mu   sync.Mutex // guards everything below
	book *load.Book
	following
	reporters map[string]map[*reporter]struct{} // by node
	streams   int                               // admitted, though they may have named no node yet
	reports   uint64
	full      bool  // there was no room for a cluster
	known     known // up to when
	shared    exchange
}

// following is what splits say of their clusters, by class.
type following struct {
	fed      map[ir.ProxyClass][]string // they give weight to these
	compared map[ir.ProxyClass]bool     // they divide their traffic
}

func newLoads(now time.Time, interval time.Duration) *loads {
	return &loads{
		interval: interval, arrivals: rate.NewLimiter(newPerSecond, newPerSecond),
		book: load.NewBook(now), reporters: map[string]map[*reporter]struct{}{},
		following: following{fed: map[ir.ProxyClass][]string{}, compared: map[ir.ProxyClass]bool{}},
		shared:    exchange{begun: now, open: map[ir.ProxyClass][][]string{}, others: map[string]*other{}},
	}
}

// Loads gives what the proxies of this server, and those of others that tell it, have reported of a cluster, oldest first: the seconds, and parts of the newest
// ones, that begin at since or later and that all proxies have reported or had the time to. No second means that nothing is
// known. Of a cluster that a split gives weight to 15 minutes are kept, of others one. What another process may have been told
// is left out.
func (s *Server) Loads(cluster string, since time.Time) []ir.Load {
	now := s.now()
	s.loads.mu.Lock()
	defer s.loads.mu.Unlock()
	return s.loads.book.Loads(cluster, latest(since, s.loads.shared.told), s.loads.shows(now))
}

// LoadsOf is Loads of several clusters as they were at one moment: what is known of a second of one is known of all.
func (s *Server) LoadsOf(clusters []string, since time.Time) []ir.Load {
	now := s.now()
	s.loads.mu.Lock()
	defer s.loads.mu.Unlock()
	since, until := latest(since, s.loads.shared.told), s.loads.shows(now)
	var out []ir.Load
	for _, name := range clusters {
		out = append(out, s.loads.book.Loads(name, since, until)...)
	}
	return out
}

// fed are the clusters that splits give weight to, sorted.
func (s *set) fed() []string {
	var out []string
	for _, use := range s.uses {
		out = append(out, use.Clusters...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// compared reports that a split divides traffic between two versions: then single endpoints matter.
func (s *set) compared() bool {
	return slices.ContainsFunc(s.uses, func(u *ir.SplitUse) bool { return !u.Rest && u.Weight > 0 })
}

// follow takes over which clusters splits give weight to in a class, and whether they divide it; nil: there is no such class.
func (l *loads) follow(of ir.ProxyClass, next *set) {
	var clusters []string
	var open [][]string
	compared := false
	if next != nil {
		clusters, open, compared = next.fed(), next.open(), next.compared()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count(of, open)
	if slices.Equal(l.fed[of], clusters) && l.compared[of] == compared {
		return
	}
	l.fed[of], l.compared[of] = clusters, compared
	if len(clusters) == 0 {
		delete(l.fed, of)
		delete(l.compared, of)
	}
	l.refollow()
	for _, of := range l.reporters {
		for rp := range of {
			poke(rp.relisted)
		}
	}
}

// grown tells the reports of a node that it has clusters which it does not count yet.
func (l *loads) grown(node string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for rp := range l.reporters[node] {
		poke(rp.grown)
	}
}

// poke leaves a signal, unless there is one already.
func poke(signal chan<- struct{}) {
	select {
	case signal <- struct{}{}:
	default:
	}
}

// admit lets a new stream of reports in, or says why not.
func (s *Server) admitReporter(ctx context.Context) error {
	if err := s.pass(ctx, s.loads.arrivals); err != nil {
		return err
	}
	if !s.loads.reserve(maxStreams) {
		return s.refuse(refusedTooMany, status.Errorf(codes.Unavailable, "%d streams of load reports are open already", maxStreams))
	}
	return nil
}

func (l *loads) reserve(limit int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.streams >= limit {
		return false
	}
	l.streams++
	return true
}

func (l *loads) dismiss() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.streams--
}

func (l *loads) join(rp *reporter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	node := rp.who.key()
	if l.reporters[node] == nil {
		l.reporters[node] = map[*reporter]struct{}{}
	}
	l.reporters[node][rp] = struct{}{}
}

func (l *loads) leave(rp *reporter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	node := rp.who.key()
	delete(l.reporters[node], rp)
	if len(l.reporters[node]) == 0 {
		delete(l.reporters, node)
	}
}

// add takes one proxy's report of several clusters. It reports true when there was no room for one, the first time.
func (l *loads) add(from *load.Reporter, stats []load.Stats, now time.Time) (full bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reports++
	for _, one := range stats {
		l.shared.till.Add(one)
		if !l.book.Add(from, one, now) && !l.full {
			l.full, full = true, true
		}
	}
	return full
}

// servedTo is what the class of a proxy should have; nil: nothing.
func (s *Server) servedTo(who identity) *set {
	s.registry.mu.Lock()
	defer s.registry.mu.Unlock()
	c := s.registry.classes[who.classify(s.registry.keys)]
	if c == nil {
		return nil
	}
	return c.base()
}

// collectors are what is measured of the reports.
func (l *loads) collectors() []prometheus.Collector {
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "sluice_lrs_streams", Help: "Streams by which proxies report their requests.",
		}, func() float64 { streams, _ := l.measure(); return float64(streams) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "sluice_lrs_reports_total", Help: "Reports of requests that were taken.",
		}, func() float64 { _, reports := l.measure(); return float64(reports) }),
	}
}

func (l *loads) measure() (streams int, reports uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.streams, l.reports
}
