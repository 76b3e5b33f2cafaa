package envoy

import (
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// part is a virtual host that divides, and mirrors to one cluster.
func part(t *testing.T, domain, mirror string, weights ...any) Part {
	t.Helper()
	action := &routev3.RouteAction{RequestMirrorPolicies: []*routev3.RouteAction_RequestMirrorPolicy{{Cluster: mirror}}}
	list := &routev3.WeightedCluster{}
	for i := 0; i < len(weights); i += 2 {
		list.Clusters = append(list.Clusters, &routev3.WeightedCluster_ClusterWeight{Name: weights[i].(string), Weight: wrapperspb.UInt32(uint32(weights[i+1].(int)))})
	}
	action.ClusterSpecifier = &routev3.RouteAction_WeightedClusters{WeightedClusters: list}
	value, err := proto.MarshalOptions{Deterministic: true}.Marshal(&routev3.VirtualHost{
		Name: "h", Domains: []string{domain}, Routes: []*routev3.Route{{Action: &routev3.Route_Route{Route: action}}}})
	if err != nil {
		t.Fatal(err)
	}
	return Part{Name: "h", Version: hashed(value), Bytes: value}
}

func TestShape_isBlindToWeightsOnly(t *testing.T) {
	shape := string(Shape(part(t, "a", "m", "v1", 85, "v2", 15)))
	if shape != string(Shape(part(t, "a", "m", "v1", 100))) {
		t.Error("weights change the shape")
	}
	if shape == string(Shape(part(t, "b", "m", "v1", 85, "v2", 15))) {
		t.Error("another domain has the same shape")
	}
	if got := Shape(Part{Bytes: []byte("\xff")}); string(got) != "\xff" {
		t.Errorf("what cannot be read has the shape %q", got)
	}
}

func TestWithdrawn_givesWhatACanaryHadToTheSamePort(t *testing.T) {
	const v1, v2, other = "outbound|80|v1|h", "outbound|80|v2|h", "outbound|81|v2|h"
	got := Withdrawn(part(t, "a", v2, v1, 85, v2, 15, other, 7), []string{v2, other}, []string{v1})
	want := part(t, "a", "", v1, 85, v1, 15, other, 7)
	host, wanted := &routev3.VirtualHost{}, &routev3.VirtualHost{}
	if err := proto.Unmarshal(got.Bytes, host); err != nil {
		t.Fatal(err)
	}
	if err := proto.Unmarshal(want.Bytes, wanted); err != nil {
		t.Fatal(err)
	}
	wanted.Routes[0].GetRoute().RequestMirrorPolicies = nil
	if !proto.Equal(host, wanted) {
		t.Errorf("got %v, want %v", host, wanted)
	}
	if got.Version != hashed(got.Bytes) {
		t.Error("the version is not that of the bytes")
	}
	same := part(t, "a", "m", v1, 100)
	if again := Withdrawn(same, []string{v2}, []string{v1}); again.Version != same.Version {
		t.Error("a part that sends nothing there changes")
	}
}
