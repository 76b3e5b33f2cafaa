package load

import (
	"cmp"
	"fmt"
	"slices"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
)

// ReadAll reads what one message of a proxy says of the clusters that are wanted: one Stats of each, by name. A cluster may stand in a
// message once for each service that its endpoints come from, as gRPC has it when the service changes: these are summed, over the
// longest of their intervals. One that stands there twice with the same service is told twice, and counts once. What makes no sense
// is left out and is an error, beside which the others stand.
func ReadAll(in []*endpointv3.ClusterStats, wanted func(cluster string) bool) ([]Stats, error) {
	type told struct{ cluster, service string }
	var wrong error
	seen, at := map[told]bool{}, map[string]int{}
	var out []Stats
	for _, one := range in {
		name := one.GetClusterName()
		if !wanted(name) {
			continue
		}
		key := told{name, one.GetClusterServiceName()}
		if seen[key] {
			wrong = cmp.Or(wrong, fmt.Errorf("load of cluster %q: it is told twice in one report", name))
			continue
		}
		seen[key] = true
		s, err := Read(one)
		if err != nil {
			wrong = cmp.Or(wrong, err)
			continue
		}
		i, known := at[name]
		if !known {
			at[name], out = len(out), append(out, s)
			continue
		}
		if sum, ok := out[i].with(s); ok {
			out[i] = sum
		} else {
			wrong = cmp.Or(wrong, fmt.Errorf("load of cluster %q: no proxy counts so many requests in %s", name, sum.Interval))
		}
	}
	slices.SortFunc(out, func(a, b Stats) int { return cmp.Compare(a.Cluster, b.Cluster) })
	return out, wrong
}

// with adds what the same proxy says of the same cluster, of another service. It reports false where that is out of bounds.
func (s Stats) with(more Stats) (Stats, bool) {
	s.Interval = max(s.Interval, more.Interval)
	s.Issued, s.OK, s.Failed = s.Issued+more.Issued, s.OK+more.OK, s.Failed+more.Failed
	s.Dropped, s.InProgress = s.Dropped+more.Dropped, s.InProgress+more.InProgress
	both := slices.Concat(s.Endpoints, more.Endpoints)
	if len(both) > maxEndpoints {
		for i := range both {
			both[i].ID %= maxEndpoints
		}
	}
	s.Endpoints = merged(both)
	return s, max(s.Issued, s.OK, s.Failed, s.Dropped, s.InProgress) < maxCount
}
