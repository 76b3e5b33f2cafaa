package envoy

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	faultv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	grpcstatsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/grpc_stats/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/sluice-dev/sluice/xds/ir"
)

func (b *builder) listener(l *ir.Listener) *listenerv3.Listener {
	if b.kind == ir.KindGRPC {
		return &listenerv3.Listener{
			Name:        l.Name,
			ApiListener: &listenerv3.ApiListener{ApiListener: packed(b.manager(l, l.Chains[0]))},
		}
	}
	out := &listenerv3.Listener{
		Name:             l.Name,
		Address:          address(l.Address, l.Port),
		TrafficDirection: corev3.TrafficDirection_OUTBOUND,
	}
	taken := map[string]bool{}
	for _, c := range l.Chains {
		if built := b.chain(l, c, taken); built != nil {
			out.FilterChains = append(out.FilterChains, built)
		}
	}
	if l.Default != nil {
		unmatched := *l.Default
		unmatched.Match = ir.ChainMatch{}
		out.DefaultFilterChain = b.chain(l, unmatched, map[string]bool{})
	}
	accept(out, l)
	return out
}

// chain is nil for one that a proxy would refuse; it is left out alone.
func (b *builder) chain(l *ir.Listener, c ir.Chain, taken map[string]bool) *listenerv3.FilterChain {
	match, err := chainMatch(c.Match)
	out := &listenerv3.FilterChain{Name: c.Name, FilterChainMatch: match}
	for _, condition := range conditions(c.Match) {
		if taken[condition] {
			err = errors.Join(err, fmt.Errorf("another chain already takes %s", condition))
		}
		taken[condition] = true
	}
	if c.Proxy != nil {
		err = errors.Join(err, checkProxy(c.Proxy))
		out.Filters = []*listenerv3.Filter{tcpProxy(statPrefix(b.kind, l), c.Proxy)}
	} else {
		out.Filters = []*listenerv3.Filter{{
			Name:       "envoy.filters.network.http_connection_manager",
			ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: packed(b.manager(l, c))},
		}}
	}
	if c.TLS != nil {
		out.TransportSocket = transport(serverTLS(c.TLS))
	}
	if err = errors.Join(err, out.ValidateAll()); err != nil {
		b.fail(item{typeURL: TypeListener, name: l.Name + "/" + c.Name, origins: c.Origins}, err)
		return nil
	}
	return out
}

// chainsOf are all chains of a listener.
func chainsOf(l *ir.Listener) []ir.Chain {
	if l.Default == nil {
		return l.Chains
	}
	return append(slices.Clone(l.Chains), *l.Default)
}

// tables are the names of the route tables that a listener routes by.
func tables(l *ir.Listener) []string {
	var out []string
	for _, c := range chainsOf(l) {
		if c.Table != "" {
			out = append(out, c.Table)
		}
	}
	return out
}

// upstreams are the names of the clusters that a listener itself forwards to.
func upstreams(l *ir.Listener) []string {
	var out []string
	for _, c := range chainsOf(l) {
		if c.Proxy == nil {
			continue
		}
		for _, d := range c.Proxy.Destinations {
			out = append(out, d.Cluster)
		}
	}
	return out
}

func address(host string, port int) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: host, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(port)},
	}}}
}

// manager is the HTTP connection manager of a listener; its routes come by RDS.
func (b *builder) manager(l *ir.Listener, c ir.Chain) *hcmv3.HttpConnectionManager {
	m := &hcmv3.HttpConnectionManager{
		StatPrefix: "outbound_" + l.Name,
		RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{
			RouteConfigName: c.Table,
			ConfigSource:    ads(0),
		}},
		HttpFilters: b.filters(),
	}
	if b.kind == ir.KindGRPC {
		return m
	}
	m.StatPrefix = statPrefix(b.kind, l)
	m.UseRemoteAddress = wrapperspb.Bool(b.kind == ir.KindGateway)
	m.NormalizePath = wrapperspb.Bool(true)
	m.StreamIdleTimeout = durationpb.New(0)
	m.UpgradeConfigs = []*hcmv3.HttpConnectionManager_UpgradeConfig{{UpgradeType: "websocket"}}
	if b.kind == ir.KindGateway {
		m.ForwardClientCertDetails = hcmv3.HttpConnectionManager_SANITIZE_SET
		m.SetCurrentClientCertDetails = clientDetails(c.TLS)
	}
	return m
}

// filters are what a request passes, in order. Fault and cors do nothing but where a route says so.
func (b *builder) filters() []*hcmv3.HttpFilter {
	faults, router := filter(faultFilter, &faultv3.HTTPFault{}), filter("envoy.filters.http.router", &routerv3.Router{})
	if b.kind == ir.KindGRPC {
		return []*hcmv3.HttpFilter{faults, router}
	}
	stats := filter("envoy.filters.http.grpc_stats", &grpcstatsv3.FilterConfig{
		PerMethodStatSpecifier: &grpcstatsv3.FilterConfig_StatsForAllMethods{StatsForAllMethods: wrapperspb.Bool(false)},
	})
	return []*hcmv3.HttpFilter{stats, faults, filter(corsFilter, &corsv3.Cors{}), router}
}

// statPrefix has no dot, so that Envoy's tag rules keep it whole.
func statPrefix(kind ir.Kind, l *ir.Listener) string {
	return string(kind) + "_" + strconv.Itoa(l.Port)
}

func filter(name string, config proto.Message) *hcmv3.HttpFilter {
	return &hcmv3.HttpFilter{Name: name, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: packed(config)}}
}

// ads is the aggregated stream as a source; wait bounds how long the first answer is awaited, 0 is for ever.
func ads(wait time.Duration) *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
		InitialFetchTimeout:   durationpb.New(wait),
		ResourceApiVersion:    corev3.ApiVersion_V3,
	}
}
