package envoy

import (
	"cmp"
	"math"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	upstreamsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/sluice-dev/sluice/xds/ir"
)

const (
	defaultConnect = 10 * time.Second
	edsWait        = 5 * time.Second
	dnsRefresh     = 60 * time.Second
	httpOptions    = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
)

func (b *builder) cluster(c *ir.Cluster) *clusterv3.Cluster {
	out := &clusterv3.Cluster{
		Name: c.Name,
		// Envoy's tag rules cut a cluster's name at its first dot; the semicolon marks its end for ours.
		AltStatName:     c.Name + ";",
		ConnectTimeout:  durationpb.New(cmp.Or(c.Pool.ConnectTimeout, defaultConnect)),
		LbPolicy:        balance(c.Balance),
		CircuitBreakers: &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{thresholds(c.Pool.Limits)}},
	}
	spread(out, c.Spread)
	b.discover(out, c)
	if c.Outlier != nil {
		out.OutlierDetection = outlier(*c.Outlier)
		common(out).HealthyPanicThreshold = &typev3.Percent{Value: float64(c.Outlier.PanicThreshold)}
	}
	if k := c.Pool.Keepalive; k != nil {
		out.UpstreamConnectionOptions = &clusterv3.UpstreamConnectionOptions{TcpKeepalive: &corev3.TcpKeepalive{
			KeepaliveProbes: count(k.Probes), KeepaliveTime: seconds(k.Time), KeepaliveInterval: seconds(k.Interval),
		}}
	}
	if c.TLS != nil {
		out.TransportSocket = transport(clientTLS(c))
	}
	if b.kind == ir.KindGRPC {
		out.LrsServer = &corev3.ConfigSource{ConfigSourceSpecifier: &corev3.ConfigSource_Self{Self: &corev3.SelfConfigSource{}}}
		return out
	}
	out.TypedExtensionProtocolOptions = map[string]*anypb.Any{httpOptions: packed(protocol(c))}
	return out
}

func (b *builder) discover(out *clusterv3.Cluster, c *ir.Cluster) {
	switch c.Discovery {
	case ir.DiscoveryEDS:
		out.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS}
		out.EdsClusterConfig = &clusterv3.Cluster_EdsClusterConfig{EdsConfig: ads(edsWait), ServiceName: c.Name}
		return
	case ir.DiscoveryOriginal:
		chosenByClient(out)
		return
	case ir.DiscoveryNothing:
		out.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC}
		return
	case ir.DiscoveryStrictDNS:
		out.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STRICT_DNS}
	case ir.DiscoveryLogicalDNS:
		out.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_LOGICAL_DNS}
	}
	// The newer extension envoy.clusters.dns takes the place of these fields and of the type, which is all that gRPC knows.
	out.RespectDnsTtl = true                        //nolint:staticcheck // one form for both kinds of client
	out.DnsRefreshRate = durationpb.New(dnsRefresh) //nolint:staticcheck // likewise
	out.LoadAssignment = b.assignment(&ir.Endpoints{Cluster: c.Name, Localities: c.Targets})
}

func thresholds(l ir.Limits) *clusterv3.CircuitBreakers_Thresholds {
	out := &clusterv3.CircuitBreakers_Thresholds{
		MaxConnections: bound(l.MaxConnections), MaxPendingRequests: bound(l.MaxPending),
		MaxRequests: bound(l.MaxRequests), MaxRetries: bound(l.MaxRetries),
	}
	if b := l.Budget; b != nil {
		out.RetryBudget = &clusterv3.CircuitBreakers_Thresholds_RetryBudget{
			BudgetPercent: percent(b.Percent), MinRetryConcurrency: count(b.Least), BudgetInterval: span(b.Interval),
		}
	}
	return out
}

func percent(p *float64) *typev3.Percent {
	if p == nil {
		return nil
	}
	return &typev3.Percent{Value: *p}
}

// bound is a threshold; without one, Envoy would stop at 1024 of each.
func bound(n uint32) *wrapperspb.UInt32Value {
	if n == 0 {
		n = math.MaxUint32
	}
	return wrapperspb.UInt32(n)
}

func count(n uint32) *wrapperspb.UInt32Value {
	if n == 0 {
		return nil
	}
	return wrapperspb.UInt32(n)
}

func seconds(d time.Duration) *wrapperspb.UInt32Value { return count(uint32(d / time.Second)) }

func span(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}

func optional(d *time.Duration) *durationpb.Duration {
	if d == nil {
		return nil
	}
	return durationpb.New(*d)
}

func protocol(c *ir.Cluster) *upstreamsv3.HttpProtocolOptions {
	out := &upstreamsv3.HttpProtocolOptions{UpstreamHttpProtocolOptions: upstreamNames(c.TLS)}
	if c.Pool.IdleTimeout != nil || c.Pool.RequestsPerConnection != 0 || c.Pool.ConnectionDuration != 0 {
		out.CommonHttpProtocolOptions = &corev3.HttpProtocolOptions{
			IdleTimeout: optional(c.Pool.IdleTimeout), MaxRequestsPerConnection: count(c.Pool.RequestsPerConnection),
			MaxConnectionDuration: span(c.Pool.ConnectionDuration),
		}
	}
	http2 := &corev3.Http2ProtocolOptions{MaxConcurrentStreams: count(c.Pool.ConcurrentStreams)}
	if p := c.Pool.Ping; p != nil {
		http2.ConnectionKeepalive = &corev3.KeepaliveSettings{Interval: span(p.Interval), Timeout: span(p.Timeout)}
	}
	switch {
	case c.Pool.ClientProtocol:
		out.UpstreamProtocolOptions = &upstreamsv3.HttpProtocolOptions_UseDownstreamProtocolConfig{
			UseDownstreamProtocolConfig: &upstreamsv3.HttpProtocolOptions_UseDownstreamHttpConfig{
				HttpProtocolOptions: &corev3.Http1ProtocolOptions{}, Http2ProtocolOptions: http2,
			},
		}
	case c.HTTP2:
		out.UpstreamProtocolOptions = explicit(&upstreamsv3.HttpProtocolOptions_ExplicitHttpConfig{
			ProtocolConfig: &upstreamsv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{Http2ProtocolOptions: http2},
		})
	default:
		out.UpstreamProtocolOptions = explicit(&upstreamsv3.HttpProtocolOptions_ExplicitHttpConfig{
			ProtocolConfig: &upstreamsv3.HttpProtocolOptions_ExplicitHttpConfig_HttpProtocolOptions{HttpProtocolOptions: &corev3.Http1ProtocolOptions{}},
		})
	}
	return out
}

func explicit(c *upstreamsv3.HttpProtocolOptions_ExplicitHttpConfig) *upstreamsv3.HttpProtocolOptions_ExplicitHttpConfig_ {
	return &upstreamsv3.HttpProtocolOptions_ExplicitHttpConfig_{ExplicitHttpConfig: c}
}

func outlier(o ir.Outlier) *clusterv3.OutlierDetection {
	out := &clusterv3.OutlierDetection{
		Interval: span(o.Interval), BaseEjectionTime: span(o.BaseEjection), MaxEjectionPercent: count(o.MaxEjectionPercent),
		EnforcingSuccessRate: wrapperspb.UInt32(0), SplitExternalLocalOriginErrors: o.SplitLocal,
	}
	out.Consecutive_5Xx, out.EnforcingConsecutive_5Xx = detector(o.Consecutive5xx)
	out.ConsecutiveGatewayFailure, out.EnforcingConsecutiveGatewayFailure = detector(o.ConsecutiveGateway)
	if o.SplitLocal {
		out.ConsecutiveLocalOriginFailure, out.EnforcingConsecutiveLocalOriginFailure = detector(o.ConsecutiveLocal)
		out.EnforcingLocalOriginSuccessRate = wrapperspb.UInt32(0)
	}
	return out
}

// detector enforces a count fully, or not at all when it is 0; unset leaves Envoy's default.
func detector(n *uint32) (threshold, enforcing *wrapperspb.UInt32Value) {
	switch {
	case n == nil:
		return nil, nil
	case *n == 0:
		return nil, wrapperspb.UInt32(0)
	default:
		return wrapperspb.UInt32(*n), wrapperspb.UInt32(100)
	}
}
