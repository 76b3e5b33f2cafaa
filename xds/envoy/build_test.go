package envoy_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
)

func all(path string) ir.Match { return ir.Match{Path: ir.PathMatch{Value: path}} }

func config(w uint32) ir.Config {
	route := func(ds ...ir.Destination) ir.Route {
		return ir.Route{Name: "primary", Match: all("/"), Forward: &ir.Forward{Destinations: ds, Weighted: true, Mirrors: []ir.Mirror{{Cluster: "m", Millions: 1}}}}
	}
	return ir.Config{
		Kind:      ir.KindGateway,
		Listeners: []*ir.Listener{{Name: "0.0.0.0_80", Address: "0.0.0.0", Port: 80, Chains: []ir.Chain{{Table: "http.80"}}}},
		Tables: []*ir.RouteTable{{Name: "http.80", VirtualHosts: []*ir.VirtualHost{
			{Name: "a:80", Domains: []string{"a"}, Routes: []ir.Route{route(ir.Destination{Cluster: "s", Weight: 100 - w}, ir.Destination{Cluster: "c", Weight: w})}},
			{Name: "b:80", Domains: []string{"b"}, Routes: []ir.Route{route(ir.Destination{Cluster: "s", Weight: 1})}},
		}}},
		Clusters:  []*ir.Cluster{{Name: "s"}, {Name: "c"}},
		Endpoints: []*ir.Endpoints{{Cluster: "s", Localities: []ir.Locality{{Zone: "z", Endpoints: []ir.Endpoint{{Address: "10.0.0.1", Port: 80, Weight: 1}}}}}},
		Splits:    []*ir.SplitUse{{Key: "n/r", Seq: 1, Weight: int(w), Tables: []string{"http.80"}}},
	}
}

func build(t *testing.T, c ir.Config) envoy.Resources {
	t.Helper()
	res, err := envoy.Build(c)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func versions(r envoy.Resources) map[string]string {
	out := map[string]string{}
	for kind, list := range map[string][]envoy.Resource{"lds": r.Listeners, "rds": r.Routes, "cds": r.Clusters, "eds": r.Endpoints} {
		for _, x := range list {
			out[kind+"/"+x.Name] = x.Version
		}
	}
	return out
}

func TestBuild_aWeightChangesTheTableAndNothingElse(t *testing.T) {
	before, again, after := build(t, config(15)), build(t, config(15)), build(t, config(50))
	if diff := cmp.Diff(before, again, protocmp.Transform()); diff != "" {
		t.Errorf("equal input, different resources:\n%s", diff)
	}
	changed := []string{}
	old, now := versions(before), versions(after)
	for name, v := range now {
		if len(v) != 32 || strings.ToLower(v) != v {
			t.Errorf("version of %s is %q, want 32 lower-case hexadecimal digits", name, v)
		}
		if old[name] != v {
			changed = append(changed, name)
		}
	}
	if len(old) != len(now) || len(changed) != 1 || changed[0] != "rds/http.80" {
		t.Errorf("changed: %v, want rds/http.80 alone", changed)
	}
	if diff := cmp.Diff([]string{"c", "m", "s"}, after.Routes[0].Refs); diff != "" {
		t.Errorf("refs of the table (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"http.80"}, after.Listeners[0].Tables); diff != "" {
		t.Errorf("refs of the listener (-want +got):\n%s", diff)
	}
	if after.Splits[0].Weight != 50 {
		t.Errorf("splits %v", after.Splits)
	}
}

func TestBuild_everyClusterHasItsStatNameAndAnAssignment(t *testing.T) {
	res := build(t, config(15))
	if len(res.Endpoints) != 2 || res.Endpoints[0].Name != "c" {
		t.Errorf("assignments of %v, want c and s", versions(res))
	}
	for _, r := range res.Clusters {
		var c clusterv3.Cluster
		if err := proto.Unmarshal(r.Any.GetValue(), &c); err != nil {
			t.Fatal(err)
		}
		if c.GetAltStatName() != r.Name+";" {
			t.Errorf("alt_stat_name of %s is %q", r.Name, c.GetAltStatName())
		}
		if limit := c.GetCircuitBreakers().GetThresholds()[0]; limit.GetMaxConnections().GetValue() != 4294967295 || limit.GetMaxRetries().GetValue() != 4294967295 {
			t.Errorf("thresholds of %s: %v, want none", r.Name, limit)
		}
	}
}

func TestBuild_aBadPartCostsItselfOnly(t *testing.T) {
	good := config(15)
	for _, c := range []struct {
		name   string
		change func(*ir.Config)
		lost   string
	}{
		{"domain twice", func(c *ir.Config) { c.Tables[0].VirtualHosts[1].Domains = []string{"a"} }, "http.80/b:80"},
		{"weights of nothing", func(c *ir.Config) { c.Tables[0].VirtualHosts[1].Routes[0].Forward.Destinations[0].Weight = 0 }, "http.80/b:80"},
		{"no destination", func(c *ir.Config) { c.Tables[0].VirtualHosts[1].Routes[0].Forward.Destinations = nil }, "http.80/b:80"},
		{"bad pattern", func(c *ir.Config) {
			c.Tables[0].VirtualHosts[1].Routes[0].Match.Headers = []ir.HeaderMatch{{Name: "x", Kind: ir.Regex, Value: "("}}
		}, "http.80/b:80"},
		{"bad header name", func(c *ir.Config) {
			c.Tables[0].VirtualHosts[1].Routes[0].Headers.Request.Set = []ir.Header{{Name: "a\nb", Value: "x"}}
		}, "http.80/b:80"},
		{"cluster twice", func(c *ir.Config) { c.Clusters = append(c.Clusters, &ir.Cluster{Name: "s"}) }, "s"},
		{"cluster without a name", func(c *ir.Config) {
			c.Clusters = append(c.Clusters, &ir.Cluster{Name: "", Discovery: ir.DiscoveryStrictDNS})
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			bad := config(15)
			c.change(&bad)
			res, err := envoy.Build(bad)
			var lost *envoy.ResourceError
			if !errors.As(err, &lost) || lost.Name != c.lost {
				t.Fatalf("error %v, want one about %q", err, c.lost)
			}
			if len(res.Routes) != 1 || len(res.Listeners) != 1 || len(res.Clusters) != len(good.Clusters) {
				t.Errorf("left are %v", versions(res))
			}
			var table routev3.RouteConfiguration
			if err := proto.Unmarshal(res.Routes[0].Any.GetValue(), &table); err != nil || len(table.GetVirtualHosts()) == 0 || table.GetVirtualHosts()[0].GetName() != "a:80" {
				t.Errorf("the other virtual host is gone: %v %v", &table, err)
			}
		})
	}
}

func TestBuild_aListenerWithoutItsTableIsLeftOut(t *testing.T) {
	c := config(15)
	c.Tables = nil
	res, err := envoy.Build(c)
	if len(res.Listeners) != 0 || err == nil || !strings.Contains(err.Error(), "http.80") {
		t.Errorf("listeners %v, error %v", res.Listeners, err)
	}
}

func BenchmarkBuild_thousandClusters(b *testing.B) {
	c := config(15)
	for i := range 1000 {
		c.Clusters = append(c.Clusters, &ir.Cluster{Name: fmt.Sprintf("outbound|80||s%d", i)})
	}
	for b.Loop() {
		if _, err := envoy.Build(c); err != nil {
			b.Fatal(err)
		}
	}
}

func TestBuild_answersWithAnyBytes(t *testing.T) {
	for _, body := range []string{"text", "\xff\xfe\x00"} {
		c := ir.Config{Kind: ir.KindGateway, Tables: []*ir.RouteTable{{Name: "http.80", VirtualHosts: []*ir.VirtualHost{{
			Name: "a:80", Domains: []string{"a"}, Routes: []ir.Route{{Match: all("/"), Direct: &ir.Direct{Status: 200, Body: body}}},
		}}}}}
		var table routev3.RouteConfiguration
		if err := build(t, c).Routes[0].Any.UnmarshalTo(&table); err != nil {
			t.Fatal(err)
		}
		got := table.GetVirtualHosts()[0].GetRoutes()[0].GetDirectResponse().GetBody()
		if have := got.GetInlineString() + string(got.GetInlineBytes()); have != body {
			t.Errorf("body %q, want %q", have, body)
		}
	}
}
