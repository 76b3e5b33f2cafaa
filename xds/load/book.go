package load

import (
	"cmp"
	"maps"
	"math"
	"math/bits"
	"slices"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/xds/ir"
)

const (
	maxClusters = 2000
	keepSplit   = 900 // seconds, of clusters that splits give weight to
	keepOther   = 60  // seconds
	keepEach    = 30  // seconds, what single endpoints of the former answered
	keepFine    = 10  // seconds, those of the former that are kept by parts
)

// Book holds the sums of all proxies. It is not safe for use by several goroutines at once.
type Book struct {
	base   time.Time // second 0; with the monotonic clock, so that a corrected clock moves nothing
	series map[string]*series
	splits map[string]bool  // clusters that splits give weight to
	left   map[string]int64 // those that they gave weight to until then; lately: until the next report
	others map[string]gauge // what other processes see of them now
	swept  int64            // second in which clusters without reports were last looked for
}

// lately stands for the second of a cluster that has left since it was reported last.
const lately = math.MaxInt64

// series is one cluster: its buckets, oldest first, that do not overlap.
type series struct {
	buckets   []bucket
	forgotten int64 // up to this part nothing is known of single endpoints
	merged    int64 // before this part are whole seconds only
	others    gauge // what buckets begin with
}

// What is counted and therefore spread over time.
const (
	issued = iota
	ok
	failed
	dropped
	counted // their number
)

// Reporter is what a Book remembers of one proxy. The zero value has reported nothing.
type Reporter struct {
	seen map[string]int64 // newest part in which it counts as a proxy, by cluster
}

// NewBook makes an empty Book whose seconds are those of the clock.
func NewBook(now time.Time) *Book {
	base := now.Add(-time.Duration(now.Nanosecond())) // Truncate would lose the monotonic clock
	return &Book{base: base, series: map[string]*series{}, splits: map[string]bool{}, left: map[string]int64{}, others: map[string]gauge{}}
}

// Follow says which clusters splits give weight to. What is kept of one that loses its weight grows old, as it would
// have: why a canary was taken back is asked afterwards.
func (b *Book) Follow(clusters []string) {
	for name := range b.splits {
		b.left[name] = lately
	}
	maps.DeleteFunc(b.left, func(name string, _ int64) bool { return b.series[name] == nil })
	b.splits = make(map[string]bool, len(clusters))
	for _, name := range clusters {
		b.splits[name] = true
		delete(b.left, name)
	}
}

// Add takes a report whose interval ended now. It reports false when there is no room for another cluster.
func (b *Book) Add(from *Reporter, s Stats, now time.Time) bool {
	end := int64(now.Sub(b.base))
	of := b.open(s.Cluster, second(end-1))
	if of == nil {
		return false
	}
	last := b.fill(of, s, [2]int64{end - int64(s.Interval), end}, func(one *bucket) {
		if from.enters(s.Cluster, one.at) {
			one.proxies++
			one.waiting += s.InProgress
		}
	})
	from.trim(last - parts*keepSplit)
	return true
}

// fill spreads what was counted over a time, lets see be called with each bucket of it, and gives the last part of it.
func (b *Book) fill(of *series, s Stats, span [2]int64, see func(*bucket)) (last int64) {
	begin, end := span[0], span[1]
	last = part(end - 1)
	keep := parts * b.keep(s.Cluster, second(end-1))
	counts := [counted]uint64{issued: s.Issued, ok: s.OK, failed: s.Failed, dropped: s.Dropped}
	for at := max(part(begin), last-keep+1); at <= last; {
		one := of.over(at, b.splits[s.Cluster] && at > last-parts*keepFine)
		left, right := max(one.at*partLength, begin), min((one.at+one.long)*partLength, end)
		for i, n := range counts {
			one.counts[i] += upTo(n, right-begin, end-begin) - upTo(n, left-begin, end-begin)
		}
		if at > max(last-parts*keepEach, of.forgotten) && b.splits[s.Cluster] {
			one.spread(s.Endpoints, [3]int64{left - begin, right - begin, end - begin})
		}
		see(one)
		at = one.at + one.long
	}
	of.trim(last - keep)
	of.forget(last - parts*keepEach)
	of.merge(last - parts*keepFine)
	return last
}

// upTo is how many of n requests, spread evenly over whole, fall into the first part of it.
func upTo(n uint64, part, whole int64) uint64 {
	hi, lo := bits.Mul64(n, uint64(part))
	out, _ := bits.Div64(hi, lo, uint64(whole))
	return out
}

// keep is how many seconds are kept of a cluster, now.
func (b *Book) keep(cluster string, now int64) int64 {
	if b.splits[cluster] {
		return keepSplit
	}
	left, did := b.left[cluster]
	switch {
	case !did:
		return keepOther
	case left == lately:
		b.left[cluster] = now
		return keepSplit
	case now-left < keepSplit-keepOther:
		return keepSplit // from the bucket before it left to the newest
	default:
		delete(b.left, cluster)
		return keepOther
	}
}

// open finds or makes a cluster's series; nil: there is no room. One that a split gives weight to takes the place of
// another that has none.
func (b *Book) open(cluster string, now int64) *series {
	of := b.series[cluster]
	if of != nil {
		return of
	}
	if len(b.series) >= maxClusters && b.swept != now {
		b.swept = now
		maps.DeleteFunc(b.series, func(name string, of *series) bool { return of.newest() <= now-b.keep(name, now) })
	}
	if len(b.series) >= maxClusters {
		if !b.splits[cluster] || !b.evict() {
			return nil
		}
	}
	of = &series{forgotten: math.MinInt64, merged: math.MinInt64, others: b.others[cluster]}
	b.series[cluster] = of
	return of
}

// evict drops a cluster that no split gives weight to, the first by name.
func (b *Book) evict() bool {
	victim := ""
	for name := range b.series {
		if !b.splits[name] && (victim == "" || strings.Compare(name, victim) < 0) {
			victim = name
		}
	}
	delete(b.series, victim)
	return victim != ""
}

// enters reports whether the proxy does not count in a part yet, and makes it count.
func (r *Reporter) enters(cluster string, at int64) bool {
	if last, ok := r.seen[cluster]; ok && at <= last {
		return false
	}
	if r.seen == nil {
		r.seen = map[string]int64{}
	}
	r.seen[cluster] = at
	return true
}

// trim forgets clusters that were not reported since a part, when they have become many.
func (r *Reporter) trim(until int64) {
	if len(r.seen) > maxClusters {
		maps.DeleteFunc(r.seen, func(_ string, last int64) bool { return last <= until })
	}
}

// Part is the number of the quarter of a second that holds an instant.
func (b *Book) Part(at time.Time) int64 { return part(int64(at.Sub(b.base))) }

// Loads gives the times of a cluster in which some proxy has reported, that begin at since or later and end at until
// or sooner, oldest first: whole seconds, and the newest of a cluster that a split gives weight to in quarters.
func (b *Book) Loads(cluster string, since, until time.Time) []ir.Load {
	of := b.series[cluster]
	if of == nil {
		return nil
	}
	first := 0
	if !since.IsZero() {
		after := b.Part(since.Add(time.Duration(partLength - 1))) // before it none begins in time
		first, _ = slices.BinarySearchFunc(of.buckets, after, func(b bucket, want int64) int { return cmp.Compare(b.at, want) })
	}
	var out []ir.Load
	for _, one := range of.buckets[first:] {
		from := b.base.Add(time.Duration(one.at * partLength))
		to := from.Add(time.Duration(one.long * partLength))
		if to.After(until) {
			break
		}
		out = append(out, ir.Load{
			Cluster: cluster, From: from, To: to,
			Issued: one.counts[issued], OK: one.counts[ok], Failed: one.counts[failed], Dropped: one.counts[dropped],
			InProgress: one.waiting, Proxies: one.proxies, Endpoints: slices.Clone(one.each),
		})
	}
	return out
}
