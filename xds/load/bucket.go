package load

import (
	"cmp"
	"slices"
	"time"

	"github.com/sluice-dev/sluice/xds/ir"
)

// The newest seconds are kept by parts, so that a fault is seen before the second is over.
const (
	parts      = 4 // of a second
	partLength = int64(time.Second) / parts
)

// bucket is what was reported of a part, or of a whole second.
type bucket struct {
	at      int64 // its first part
	long    int64 // in parts: 1 or all of a second
	counts  [counted]uint64
	waiting uint64 // requests in progress
	proxies int
	each    []ir.EndpointLoad
}

// floor divides, downwards.
func floor(n, by int64) int64 {
	if n%by < 0 {
		return n/by - 1
	}
	return n / by
}

// second is the second that holds an instant, part its quarter.
func second(at int64) int64 { return floor(at, int64(time.Second)) }
func part(at int64) int64   { return floor(at, partLength) }

// over finds or makes the bucket that holds a part. It is mostly the last one.
func (s *series) over(at int64, fine bool) *bucket {
	i, found := s.search(at)
	if found {
		return &s.buckets[i]
	}
	one := bucket{at: at, long: 1, waiting: s.others.waiting, proxies: s.others.proxies}
	if whole := floor(at, parts) * parts; !fine && s.free(i, whole) {
		one.at, one.long = whole, parts
	}
	s.buckets = slices.Insert(s.buckets, i, one)
	return &s.buckets[i]
}

// search finds the bucket that holds a part, or where it belongs.
func (s *series) search(at int64) (int, bool) {
	if n := len(s.buckets); n > 0 {
		switch last := s.buckets[n-1]; {
		case at >= last.at+last.long:
			return n, false
		case at >= last.at:
			return n - 1, true
		}
	}
	i, _ := slices.BinarySearchFunc(s.buckets, at, func(b bucket, want int64) int { return cmp.Compare(b.at+b.long-1, want) })
	return i, i < len(s.buckets) && s.buckets[i].at <= at
}

// free reports that no bucket holds a part of the second, around the place i.
func (s *series) free(i int, whole int64) bool {
	return (i == 0 || s.buckets[i-1].at+s.buckets[i-1].long <= whole) && (i == len(s.buckets) || s.buckets[i].at >= whole+parts)
}

// newest is the last second of which something is known.
func (s *series) newest() int64 { return floor(s.buckets[len(s.buckets)-1].at, parts) }

// trim drops the buckets up to a part.
func (s *series) trim(until int64) {
	n := 0
	for n < len(s.buckets) && s.buckets[n].at <= until {
		n++
	}
	s.buckets = slices.Delete(s.buckets, 0, n)
}

// merge makes seconds of the parts before the second that holds a part.
func (s *series) merge(until int64) {
	until = floor(until, parts) * parts
	if until <= s.merged {
		return
	}
	first, _ := s.search(s.merged)
	s.merged = until
	kept := s.buckets[:first]
	for _, b := range s.buckets[first:] {
		whole := floor(b.at, parts) * parts
		n := len(kept)
		switch {
		case b.at >= until || b.long == parts:
			kept = append(kept, b)
		case n > first && kept[n-1].at == whole && kept[n-1].long == parts:
			kept[n-1].add(b)
		default:
			b.at, b.long = whole, parts
			kept = append(kept, b)
		}
	}
	clear(s.buckets[len(kept):])
	s.buckets = kept
}

// add takes in a later part of the second.
func (b *bucket) add(later bucket) {
	for i, n := range later.counts {
		b.counts[i] += n
	}
	b.waiting, b.proxies = later.waiting, max(b.proxies, later.proxies)
	if b.each = merged(append(b.each, later.each...)); len(b.each) > maxEach {
		b.each = b.each[:maxEach]
	}
}
