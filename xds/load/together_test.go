package load

import (
	"strings"
	"testing"
	"time"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/durationpb"
)

// told is what a proxy says of a cluster: so many requests to the endpoints of a service, one in progress.
func told(cluster, service string, interval time.Duration, ok, failed uint64) *endpointv3.ClusterStats {
	return &endpointv3.ClusterStats{ClusterName: cluster, ClusterServiceName: service, LoadReportInterval: durationpb.New(interval), TotalDroppedRequests: 1,
		UpstreamLocalityStats: []*endpointv3.UpstreamLocalityStats{{TotalIssuedRequests: ok + failed, TotalSuccessfulRequests: ok, TotalErrorRequests: failed,
			TotalRequestsInProgress: 1, UpstreamEndpointStats: []*endpointv3.UpstreamEndpointStats{answered(1, ok, failed)}}}}
}

func TestReadAll_aClusterCountsOnce(t *testing.T) {
	all := func(string) bool { return true }
	for _, tc := range []struct {
		name  string
		in    []*endpointv3.ClusterStats
		want  Stats
		wrong string
	}{
		{"once", []*endpointv3.ClusterStats{told("x", "", time.Second, 7, 1)}, Stats{Interval: time.Second, Issued: 8, OK: 7, Failed: 1, Dropped: 1, InProgress: 1}, ""},
		{"of two services", []*endpointv3.ClusterStats{told("x", "old", time.Second, 7, 1), told("x", "new", 2*time.Second, 3, 0)},
			Stats{Interval: 2 * time.Second, Issued: 11, OK: 10, Failed: 1, Dropped: 2, InProgress: 2}, ""},
		{"twice", []*endpointv3.ClusterStats{told("x", "s", time.Second, 7, 1), told("x", "s", time.Second, 7, 1)},
			Stats{Interval: time.Second, Issued: 8, OK: 7, Failed: 1, Dropped: 1, InProgress: 1}, "told twice"},
		{"sum beyond bounds", []*endpointv3.ClusterStats{told("x", "old", time.Second, 7, 1), told("x", "new", time.Second, maxCount-3, 0)},
			Stats{Interval: time.Second, Issued: 8, OK: 7, Failed: 1, Dropped: 1, InProgress: 1}, "no proxy counts"},
		{"one without an interval", []*endpointv3.ClusterStats{told("x", "old", 0, 5, 5), told("x", "new", time.Second, 7, 1)},
			Stats{Interval: time.Second, Issued: 8, OK: 7, Failed: 1, Dropped: 1, InProgress: 1}, "interval"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := ReadAll(tc.in, all)
			if (tc.wrong == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tc.wrong) {
				t.Errorf("the error is %v, want one of %q", err, tc.wrong)
			}
			if len(got) != 1 || len(got[0].Endpoints) != 1 || got[0].Endpoints[0].OK != tc.want.OK || got[0].Endpoints[0].Failed != tc.want.Failed {
				t.Fatalf("got %+v, want one cluster with one endpoint that answered %d and %d", got, tc.want.OK, tc.want.Failed)
			}
			tc.want.Cluster, tc.want.Endpoints = "x", got[0].Endpoints
			if diff := cmp.Diff(tc.want, got[0]); diff != "" {
				t.Error(diff)
			}
		})
	}
	got, err := ReadAll([]*endpointv3.ClusterStats{told("b", "", time.Second, 1, 0), told("mine", "", 0, 1, 0), told("a", "", time.Second, 1, 0)},
		func(name string) bool { return name != "mine" })
	if err != nil || len(got) != 2 || got[0].Cluster != "a" || got[1].Cluster != "b" {
		t.Errorf("of the wanted ones: %+v, %v; want a and b", got, err)
	}
}
