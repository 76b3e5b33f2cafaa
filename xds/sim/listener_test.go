package sim_test

import (
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/sim"
)

// packed is m as an Any.
func packed(t testing.TB, m proto.Message) *anypb.Any {
	t.Helper()
	out, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// chainFor makes a chain whose table answers with its own name.
func chainFor(t *testing.T, table, transport string, secure bool, names ...string) *listenerv3.FilterChain {
	t.Helper()
	out := &listenerv3.FilterChain{
		Name:             table,
		FilterChainMatch: &listenerv3.FilterChainMatch{ServerNames: names, TransportProtocol: transport},
		Filters: []*listenerv3.Filter{{Name: "http", ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: packed(t, &hcmv3.HttpConnectionManager{
			RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{RouteConfigName: table}},
		})}}},
	}
	if secure {
		out.TransportSocket = &corev3.TransportSocket{Name: "tls"}
	}
	return out
}

func TestProxy_choosesTheChainOfTheLongestServerName(t *testing.T) {
	l := &listenerv3.Listener{
		Name:    "443",
		Address: loopback(443),
		FilterChains: []*listenerv3.FilterChain{
			chainFor(t, "any", "tls", true), chainFor(t, "wide", "", true, "*.example"), chainFor(t, "narrow", "", true, "*.shop.example"),
			chainFor(t, "exact", "", true, "A.shop.example"), chainFor(t, "plain", "raw_buffer", false),
		},
	}
	res := envoy.Resources{Listeners: []envoy.Resource{{Name: "443", Any: packed(t, l)}}}
	for _, c := range l.GetFilterChains() {
		table := &routev3.RouteConfiguration{Name: c.GetName(), VirtualHosts: []*routev3.VirtualHost{{Name: c.GetName(), Domains: []string{"*"}}}}
		res.Routes = append(res.Routes, envoy.Resource{Name: table.GetName(), Any: packed(t, table)})
	}
	p := sim.New(res)
	for _, c := range []struct {
		sni  string
		tls  bool
		want string
	}{
		{"a.shop.example", true, "exact"},
		{"A.Shop.Example", true, "exact"},
		{"b.shop.example", true, "narrow"},
		{"x.b.shop.example", true, "narrow"},
		{"shop.example", true, "wide"},
		{"example", true, "any"},
		{"", true, "any"},
		{"", false, "plain"},
		{"a.shop.example", false, "plain"},
	} {
		got := p.Route(sim.Request{Port: 443, TLS: c.tls, SNI: c.sni, Host: "h", Path: "/"})
		if got.Outcome != sim.NoRoute || got.VirtualHost != c.want || got.Listener != "443" {
			t.Errorf("server name %q, TLS %v: %s by %q, want noRoute by %q", c.sni, c.tls, got.Outcome, got.VirtualHost, c.want)
		}
	}
	if got := p.Route(sim.Request{Port: 80, Host: "h", Path: "/"}); got.Outcome != sim.NoListener {
		t.Errorf("another port: %s, want noListener", got.Outcome)
	}
}

func TestProxy_chainsThatSpeakOtherwiseTakeNothing(t *testing.T) {
	l := &listenerv3.Listener{Name: "443", Address: loopback(443), FilterChains: []*listenerv3.FilterChain{chainFor(t, "tls", "", true, "a.example")}}
	table := &routev3.RouteConfiguration{Name: "tls", VirtualHosts: []*routev3.VirtualHost{{Name: "tls", Domains: []string{"*"}}}}
	p := sim.New(envoy.Resources{Listeners: []envoy.Resource{{Name: "443", Any: packed(t, l)}}, Routes: []envoy.Resource{{Name: "tls", Any: packed(t, table)}}})
	for _, req := range []sim.Request{
		{Port: 443, Host: "a.example", Path: "/"},
		{Port: 443, TLS: true, Host: "a.example", Path: "/"},
		{Port: 443, TLS: true, SNI: "b.example", Host: "a.example", Path: "/"},
	} {
		if got := p.Route(req); got.Outcome != sim.NoListener || got.Status != 0 || got.Listener != "" {
			t.Errorf("%+v: %s %d at %q, want noListener", req, got.Outcome, got.Status, got.Listener)
		}
	}
	if got := p.Route(sim.Request{Port: 443, TLS: true, SNI: "a.example", Host: "a.example", Path: "/"}); got.Outcome != sim.NoRoute || got.Status != 404 {
		t.Errorf("the right name: %s, want noRoute", got.Outcome)
	}
}
