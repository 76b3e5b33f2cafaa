package load

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"

	"github.com/sluice-dev/sluice/xds/ir"
)

// maxCount bounds what one proxy can have counted of one cluster in one interval.
const maxCount = 1 << 32

// maxEndpoints is how many endpoints of a cluster are told apart in one report.
const maxEndpoints = 64

// Stats is what one proxy says of one cluster.
type Stats struct {
	Cluster    string
	Interval   time.Duration // that the counts are of, by the proxy's clock
	Issued     uint64
	OK         uint64
	Failed     uint64
	Dropped    uint64
	InProgress uint64            // at the end of the interval
	Endpoints  []ir.EndpointLoad // by rising ID; nil: the proxy did not tell
}

// Read sums what a proxy says of a cluster over localities and priorities. One that is missing has no requests. Counts
// without the interval that they are of say nothing and are an error.
func Read(in *endpointv3.ClusterStats) (Stats, error) {
	out := Stats{Cluster: in.GetClusterName(), Interval: in.GetLoadReportInterval().AsDuration(), Dropped: in.GetTotalDroppedRequests()}
	if out.Interval <= 0 {
		return Stats{}, fmt.Errorf("load of cluster %q: its interval is %s", out.Cluster, out.Interval)
	}
	sums := []*uint64{&out.Issued, &out.OK, &out.Failed, &out.InProgress, &out.Dropped}
	for _, l := range in.GetUpstreamLocalityStats() {
		for i, n := range []uint64{l.GetTotalIssuedRequests(), l.GetTotalSuccessfulRequests(), l.GetTotalErrorRequests(), l.GetTotalRequestsInProgress()} {
			*sums[i] = min(*sums[i], maxCount) + min(n, maxCount)
		}
	}
	out.Endpoints = endpoints(in)
	for _, sum := range sums {
		if *sum >= maxCount {
			return Stats{}, fmt.Errorf("load of cluster %q: no proxy counts %d requests in %s", out.Cluster, *sum, out.Interval)
		}
	}
	return out, nil
}

// endpoints are those that requests ended at. Of very many, some go together.
func endpoints(in *endpointv3.ClusterStats) []ir.EndpointLoad {
	var all []ir.EndpointLoad
	for _, l := range in.GetUpstreamLocalityStats() {
		for _, e := range l.GetUpstreamEndpointStats() {
			one := ir.EndpointLoad{ID: identify(e.GetAddress()), OK: min(e.GetTotalSuccessfulRequests(), maxCount), Failed: min(e.GetTotalErrorRequests(), maxCount)}
			if one.OK+one.Failed > 0 {
				all = append(all, one)
			}
		}
	}
	if len(all) > maxEndpoints {
		for i := range all {
			all[i].ID %= maxEndpoints
		}
	}
	return merged(all)
}

// merged sorts by ID and sums what has the same.
func merged(all []ir.EndpointLoad) []ir.EndpointLoad {
	slices.SortFunc(all, func(a, b ir.EndpointLoad) int { return cmp.Compare(a.ID, b.ID) })
	var out []ir.EndpointLoad
	for _, e := range all {
		if n := len(out); n > 0 && out[n-1].ID == e.ID {
			out[n-1].OK += e.OK
			out[n-1].Failed += e.Failed
			continue
		}
		out = append(out, e)
	}
	return out
}

// identify makes a short name of an address.
func identify(a *corev3.Address) uint32 {
	h := fnv.New32a()
	switch {
	case a.GetSocketAddress() != nil:
		fmt.Fprintf(h, "%s %d", a.GetSocketAddress().GetAddress(), a.GetSocketAddress().GetPortValue())
	case a.GetPipe() != nil:
		fmt.Fprintf(h, "%s", a.GetPipe().GetPath())
	default:
		fmt.Fprintf(h, "%s", a.GetEnvoyInternalAddress().GetEndpointId())
	}
	return h.Sum32()
}
