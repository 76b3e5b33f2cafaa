package envoy

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tlsinspectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"
	tcpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/sluice-dev/sluice/xds/ir"
)

const (
	tcpProxyFilter = "envoy.filters.network.tcp_proxy"
	inspector      = "envoy.filters.listener.tls_inspector"
	// helloWait is how long a listener that also serves other protocols waits for a client to begin with TLS: one that
	// waits for the server's first word says nothing.
	helloWait = 5 * time.Second
)

// tcpProxy forwards the connections of a chain.
func tcpProxy(prefix string, p *ir.TCPProxy) *listenerv3.Filter {
	out := &tcpproxyv3.TcpProxy{StatPrefix: prefix, IdleTimeout: optional(p.IdleTimeout)}
	if p.Hash {
		out.HashPolicy = []*typev3.HashPolicy{{PolicySpecifier: &typev3.HashPolicy_SourceIp_{SourceIp: &typev3.HashPolicy_SourceIp{}}}}
	}
	if p.Weighted {
		weighted := &tcpproxyv3.TcpProxy_WeightedCluster{}
		for _, d := range p.Destinations {
			weighted.Clusters = append(weighted.Clusters, &tcpproxyv3.TcpProxy_WeightedCluster_ClusterWeight{Name: d.Cluster, Weight: d.Weight})
		}
		out.ClusterSpecifier = &tcpproxyv3.TcpProxy_WeightedClusters{WeightedClusters: weighted}
	} else if len(p.Destinations) > 0 {
		out.ClusterSpecifier = &tcpproxyv3.TcpProxy_Cluster{Cluster: p.Destinations[0].Cluster}
	}
	return &listenerv3.Filter{Name: tcpProxyFilter, ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: packed(out)}}
}

// checkProxy holds what a proxy checks beyond the generated rules.
func checkProxy(p *ir.TCPProxy) error {
	total := uint64(0)
	for _, d := range p.Destinations {
		total += uint64(d.Weight)
	}
	switch {
	case len(p.Destinations) == 0:
		return errors.New("it has no destination")
	case p.Weighted && (total == 0 || total > math.MaxUint32):
		return fmt.Errorf("its weights add up to %d", total)
	}
	return nil
}

// chainMatch is nil for a chain that takes every connection.
func chainMatch(m ir.ChainMatch) (*listenerv3.FilterChainMatch, error) {
	if m.Port == 0 && len(m.ServerNames) == 0 && m.Transport == ir.AnyTransport && len(m.Prefixes) == 0 {
		return nil, nil
	}
	out := &listenerv3.FilterChainMatch{ServerNames: m.ServerNames, TransportProtocol: string(m.Transport)}
	if m.Port != 0 {
		out.DestinationPort = wrapperspb.UInt32(uint32(m.Port))
	}
	for _, text := range m.Prefixes {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("reading an address block: %w", err)
		}
		out.PrefixRanges = append(out.PrefixRanges, &corev3.CidrRange{AddressPrefix: p.Addr().String(), PrefixLen: wrapperspb.UInt32(uint32(p.Bits()))})
	}
	for _, n := range m.ServerNames {
		if rest, _ := strings.CutPrefix(n, "*."); rest == "" || strings.Contains(rest, "*") {
			return nil, fmt.Errorf("no proxy compares the server name %q", n)
		}
	}
	return out, nil
}

// conditions are a match's single combinations: of no two chains of a listener may one be the same.
func conditions(m ir.ChainMatch) []string {
	names, prefixes := m.ServerNames, m.Prefixes
	if len(names) == 0 {
		names = []string{""}
	}
	if len(prefixes) == 0 {
		prefixes = []string{""}
	}
	var out []string
	for _, p := range prefixes {
		for _, n := range names {
			out = append(out, fmt.Sprintf("port %d, addresses %q, server name %q, transport %q", m.Port, p, n, m.Transport))
		}
	}
	return out
}

// accept sets how connections get to a listener, and what is read of them before a chain is chosen.
func accept(out *listenerv3.Listener, l *ir.Listener) {
	switch l.Capture {
	case ir.HandsOver:
		out.UseOriginalDst = wrapperspb.Bool(true)
	case ir.HandedOnly:
		out.BindToPort = wrapperspb.Bool(false)
	case ir.BoundPort:
	}
	secure, plain := false, l.Default != nil
	for _, c := range l.Chains {
		byTLS := len(c.Match.ServerNames) > 0 || c.Match.Transport != ir.AnyTransport
		secure = secure || byTLS
		plain = plain || !byTLS || c.Match.Transport == ir.RawTransport
	}
	if !secure {
		return
	}
	out.ListenerFilters = append(out.ListenerFilters, &listenerv3.ListenerFilter{
		Name: inspector, ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: packed(&tlsinspectorv3.TlsInspector{})},
	})
	if plain {
		out.ListenerFiltersTimeout, out.ContinueOnListenerFiltersTimeout = durationpb.New(helloWait), true
	}
}

// chosenByClient makes a cluster whose endpoint is what the client meant to reach.
func chosenByClient(out *clusterv3.Cluster) {
	out.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_ORIGINAL_DST}
	out.LbPolicy, out.LbConfig = clusterv3.Cluster_CLUSTER_PROVIDED, nil
}
