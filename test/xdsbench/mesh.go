package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
)

const (
	tableName = "http.80"
	splitName = "shop/reviews"
	splitUID  = "u"
)

func gateway() ir.ProxyClass { return ir.ProxyClass{Kind: ir.KindGateway, Namespace: "shop"} }

func clusterNames() []string { return []string{"reviews-v1", "reviews-v2", "shop-v1"} }

// scene is a mesh of one listener, one table of about size bytes, and three clusters.
type scene struct {
	seq     uint64
	size    int
	weight  int // of the canary
	address int // of its endpoints
}

// table is the route table: the split in the first route, and as many other routes as the size needs.
func (s scene) table() *routev3.RouteConfiguration {
	weights := []*routev3.WeightedCluster_ClusterWeight{
		{Name: "reviews-v1", Weight: wrapperspb.UInt32(uint32(1000 - s.weight))},
		{Name: "reviews-v2", Weight: wrapperspb.UInt32(uint32(s.weight))},
	}
	host := &routev3.VirtualHost{Name: "shop", Domains: []string{"shop.example"}, Routes: []*routev3.Route{{
		Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/reviews"}},
		Action: &routev3.Route_Route{Route: &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_WeightedClusters{WeightedClusters: &routev3.WeightedCluster{Clusters: weights}}}},
	}}}
	other := func(i int) *routev3.Route {
		return &routev3.Route{
			Name:   fmt.Sprintf("shop/catalogue/route-%04d", i),
			Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: fmt.Sprintf("/catalogue/section-%04d/", i)}},
			Action: &routev3.Route_Route{Route: &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: "shop-v1"}}},
		}
	}
	for i := range s.size / (proto.Size(other(1000)) + 2) {
		host.Routes = append(host.Routes, other(i))
	}
	return &routev3.RouteConfiguration{Name: tableName, VirtualHosts: []*routev3.VirtualHost{host}}
}

func (s scene) listener() *listenerv3.Listener { return &listenerv3.Listener{Name: "0.0.0.0_80"} }

func cluster(name string) *clusterv3.Cluster {
	return &clusterv3.Cluster{Name: name, ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS}}
}

func (s scene) endpoints(name string) *endpointv3.ClusterLoadAssignment {
	out := &endpointv3.ClusterLoadAssignment{ClusterName: name}
	if s.address > 0 && name == "reviews-v2" {
		out.Policy = &endpointv3.ClusterLoadAssignment_Policy{OverprovisioningFactor: wrapperspb.UInt32(uint32(100 + s.address))}
	}
	return out
}

// resources are the scene as the compiler would publish it: marshalled and hashed once.
func (s scene) resources() envoy.Resources {
	r := s.rest()
	r.Routes = []envoy.Resource{resource(tableName, envoy.TypeRoute, s.table(), clusterNames()...)}
	return r
}

// rest is everything but the table.
func (s scene) rest() envoy.Resources {
	r := envoy.Resources{
		Listeners: []envoy.Resource{resource("0.0.0.0_80", envoy.TypeListener, s.listener())},
		Splits:    []*ir.SplitUse{{Key: splitName, UID: splitUID, Seq: s.seq, Weight: s.weight, Clusters: []string{"reviews-v2"}, Tables: []string{tableName}}},
	}
	for _, name := range clusterNames() {
		r.Clusters = append(r.Clusters, resource(name, envoy.TypeCluster, cluster(name)))
		r.Endpoints = append(r.Endpoints, resource(name, envoy.TypeEndpoint, s.endpoints(name)))
	}
	return r
}

func resource(name, typeURL string, m proto.Message, refs ...string) envoy.Resource {
	value, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic(err) // a message of our own making
	}
	sum := sha256.Sum256(value)
	return envoy.Resource{Name: name, Version: hex.EncodeToString(sum[:16]), Any: &anypb.Any{TypeUrl: typeURL, Value: value}, Refs: refs}
}
