package load

import (
	"slices"

	"github.com/sluice-dev/sluice/xds/ir"
)

// maxEach is how many endpoints a bucket tells apart.
const maxEach = 4 * maxEndpoints

// spread adds what endpoints answered: of a report over span[2], the part from span[0] to span[1].
func (b *bucket) spread(endpoints []ir.EndpointLoad, span [3]int64) {
	part := func(n uint64) uint64 { return upTo(n, span[1], span[2]) - upTo(n, span[0], span[2]) }
	for _, e := range endpoints {
		e.OK, e.Failed = part(e.OK), part(e.Failed)
		if e.OK+e.Failed > 0 {
			b.each = append(b.each, e)
		}
	}
	if b.each = merged(b.each); len(b.each) > maxEach {
		b.each = b.each[:maxEach]
	}
}

// forget drops what single endpoints answered up to a part.
func (s *series) forget(until int64) {
	for i, b := range slices.Backward(s.buckets) {
		if b.at <= s.forgotten {
			break
		}
		if b.at <= until {
			s.buckets[i].each = nil
		}
	}
	s.forgotten = max(s.forgotten, until)
}
