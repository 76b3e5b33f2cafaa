package load

import (
	"fmt"
	"time"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
)

// maxCount bounds what one proxy can have counted of one cluster in one interval.
const maxCount = 1 << 32

// Stats is what one proxy says of one cluster.
type Stats struct {
	Cluster    string
	Interval   time.Duration // that the counts are of, by the proxy's clock
	Issued     uint64
	OK         uint64
	Failed     uint64
	Dropped    uint64
	InProgress uint64 // at the end of the interval
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
	for _, sum := range sums {
		if *sum >= maxCount {
			return Stats{}, fmt.Errorf("load of cluster %q: no proxy counts %d requests in %s", out.Cluster, *sum, out.Interval)
		}
	}
	return out, nil
}
