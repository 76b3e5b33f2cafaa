package load

import (
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sluice-dev/sluice/xds/ir"
)

func answered(port uint32, ok, failed uint64) *endpointv3.UpstreamEndpointStats {
	return &endpointv3.UpstreamEndpointStats{TotalSuccessfulRequests: ok, TotalErrorRequests: failed, Address: &corev3.Address{Address: &corev3.Address_SocketAddress{
		SocketAddress: &corev3.SocketAddress{Address: "10.0.0.1", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port}},
	}}}
}

func TestRead_tellsEndpointsApart(t *testing.T) {
	read := func(stats ...*endpointv3.UpstreamEndpointStats) []ir.EndpointLoad {
		t.Helper()
		got, err := Read(&endpointv3.ClusterStats{ClusterName: "x", LoadReportInterval: durationpb.New(time.Second),
			UpstreamLocalityStats: []*endpointv3.UpstreamLocalityStats{{UpstreamEndpointStats: stats}, {UpstreamEndpointStats: stats[:1]}}})
		if err != nil {
			t.Fatal(err)
		}
		return got.Endpoints
	}
	got := read(answered(1, 5, 1), answered(2, 7, 0), answered(3, 0, 0))
	if len(got) != 2 || got[0].ID >= got[1].ID {
		t.Fatalf("endpoints %+v, want the two that answered, by rising ID", got)
	}
	var both ir.EndpointLoad
	for _, e := range got {
		both.OK, both.Failed = both.OK+e.OK, both.Failed+e.Failed
	}
	if both.OK != 17 || both.Failed != 2 {
		t.Errorf("endpoints %+v, want 17 well and 2 failed, those of both localities", got)
	}
	var many []*endpointv3.UpstreamEndpointStats
	for port := range uint32(1000) {
		many = append(many, answered(port, 1, 1))
	}
	var sum uint64
	got = read(many...)
	for _, e := range got {
		sum += e.OK
	}
	if len(got) > maxEndpoints || sum != 1001 {
		t.Errorf("of 1000 endpoints %d are told apart with %d requests, want at most %d with 1001", len(got), sum, maxEndpoints)
	}
}

func TestBook_keepsEndpointsOfSplitsForAShortTime(t *testing.T) {
	b, r := NewBook(start), &Reporter{}
	b.Follow([]string{"split"})
	for i := range 100 {
		for _, name := range []string{"split", "other"} {
			s := one(name, 2*time.Second, 10)
			s.Endpoints = []ir.EndpointLoad{{ID: 7, OK: 4}, {ID: 9, Failed: 6}}
			b.Add(r, s, on(float64(2*i+2)))
		}
	}
	known := 0
	for _, l := range seconds(b.Loads("split", time.Time{}, on(999))) {
		if l.Endpoints == nil {
			continue
		}
		known++
		if diff := cmp.Diff([]ir.EndpointLoad{{ID: 7, OK: 2}, {ID: 9, Failed: 3}}, l.Endpoints); diff != "" {
			t.Errorf("half of a report (-want +got):\n%s", diff)
		}
	}
	if known != keepEach {
		t.Errorf("endpoints are known of %d seconds, want %d", known, keepEach)
	}
	for _, l := range b.Loads("other", time.Time{}, on(999)) {
		if l.Endpoints != nil {
			t.Errorf("a cluster without a split has endpoints: %+v", l)
		}
	}
}
