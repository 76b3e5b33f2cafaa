package load

import (
	"maps"
	"time"
)

// Other is what a Book remembers of another process that tells it sums. The zero value has told nothing.
type Other struct {
	of map[string]*taken
}

// taken is the last that was told of a cluster.
type taken struct {
	Sum
	until int64 // up to then it is in buckets
}

// gauge is what others see of a cluster, as they said last.
type gauge struct {
	waiting uint64
	proxies int
}

// Taken is what became of a Sum.
type Taken int

// What may become of a Sum.
const (
	Added   Taken = iota
	NoRoom        // for another cluster
	Unsound       // it shrank, which no count does
)

// Take adds what another process told of a cluster since the last time. It goes into the time since then that nobody was told
// of yet, and of that into the newest seconds: shown is up to when somebody was; zero: nobody ever. So nothing is added to what
// was judged, and nothing is left out.
func (b *Book) Take(from *Other, cluster string, s Sum, shown, now time.Time) Taken {
	had := from.of[cluster]
	if had == nil {
		had = &taken{}
	}
	more, sound := s.less(had.Sum)
	if !sound {
		return Unsound
	}
	end := max(int64(now.Sub(b.base)), 1)
	begin := part(end-1) * partLength
	if !shown.IsZero() {
		begin = max(had.until, part(int64(shown.Sub(b.base)))*partLength, end-keepFine*int64(time.Second))
	}
	end = max(end, begin+1)
	of := b.open(cluster, second(end-1))
	if of == nil {
		return NoRoom
	}
	b.see(cluster, had.Sum, s)
	of.others = b.others[cluster]
	more.Cluster = cluster
	b.fill(of, more, [2]int64{begin, end}, func(*bucket) {})
	if from.of == nil {
		from.of = map[string]*taken{}
	}
	if len(from.of) > maxShared {
		maps.DeleteFunc(from.of, func(_ string, had *taken) bool { return had.until < end-keepSplit*int64(time.Second) })
	}
	from.of[cluster] = &taken{Sum: s, until: end}
	return Added
}

// see puts what a process sees of a cluster in the place of what it saw.
func (b *Book) see(cluster string, before, now Sum) {
	sees := b.others[cluster]
	sees.waiting += now.InProgress - before.InProgress
	sees.proxies += now.Proxies - before.Proxies
	b.others[cluster] = sees
	if sees == (gauge{}) {
		delete(b.others, cluster)
	}
	if of := b.series[cluster]; of != nil {
		of.others = sees
	}
}

// Fade takes out what another process sees now of clusters that it has not told of since an instant. Its sums stay, so that one that
// tells again after a while adds only what is new.
func (b *Book) Fade(from *Other, since time.Time) {
	end := int64(since.Sub(b.base))
	for cluster, had := range from.of {
		if had.until <= end {
			b.see(cluster, had.Sum, Sum{})
			had.InProgress, had.Proxies = 0, 0
		}
	}
}

// Clusters are those that another process has told of lately.
func (from *Other) Clusters(b *Book, now time.Time) (out []string) {
	for cluster, had := range from.of {
		if int64(now.Sub(b.base))-had.until < keepOther*int64(time.Second) {
			out = append(out, cluster)
		}
	}
	return out
}

// Gauge is what the newest part of a cluster that ended at until or sooner, but not long ago, shows.
func (b *Book) Gauge(cluster string, until time.Time) Gauge {
	of := b.series[cluster]
	if of == nil {
		return Gauge{}
	}
	last := b.Part(until)
	for i := len(of.buckets) - 1; i >= 0; i-- {
		switch one := of.buckets[i]; {
		case one.at+one.long > last:
		case one.at < last-5*parts:
			return Gauge{}
		default:
			return Gauge{InProgress: one.waiting, Proxies: one.proxies}
		}
	}
	return Gauge{}
}
