package bootstrap

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	metricsv3 "github.com/envoyproxy/go-control-plane/envoy/config/metrics/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/sluice-dev/sluice/api/re2"
)

// xdsCluster is the static cluster of the discovery service.
const xdsCluster = "sluice-xds"

func envoyFile(o Options) (*bootstrapv3.Bootstrap, error) {
	meta, err := structpb.NewStruct(metadata(o))
	if err != nil {
		return nil, fmt.Errorf("labels of the proxy: %w", err)
	}
	upstream, err := discoveryCluster(o)
	if err != nil {
		return nil, err
	}
	out := &bootstrapv3.Bootstrap{
		Node:  &corev3.Node{Id: o.ID, Cluster: "sluice", Metadata: meta},
		Admin: &bootstrapv3.Admin{Address: adminAddress(cmp.Or(o.Admin, DefaultAdmin))},
		DynamicResources: &bootstrapv3.Bootstrap_DynamicResources{
			AdsConfig: discovery(), LdsConfig: overADS(), CdsConfig: overADS(),
		},
		StaticResources: &bootstrapv3.Bootstrap_StaticResources{Clusters: []*clusterv3.Cluster{upstream}},
		ClusterManager:  &bootstrapv3.ClusterManager{LoadStatsConfig: loadReports()},
		StatsConfig:     stats(),
		// Histograms merge only when statistics are flushed: do so whenever they are asked for.
		StatsFlush:     &bootstrapv3.Bootstrap_StatsFlushOnAdmin{StatsFlushOnAdmin: true},
		LayeredRuntime: bounds(),
	}
	if o.Ready == "" {
		return out, nil
	}
	return out, ready(out, o.Ready)
}

// bounds lets Envoy take every regular expression that the compiler takes: on its own it refuses a table for one of more than
// a hundred instructions. The other layer is that of the administration interface, which Envoy has without any.
func bounds() *bootstrapv3.LayeredRuntime {
	fixed := &structpb.Struct{Fields: map[string]*structpb.Value{"re2.max_program_size.error_level": structpb.NewNumberValue(re2.MaxProgram)}}
	return &bootstrapv3.LayeredRuntime{Layers: []*bootstrapv3.RuntimeLayer{
		{Name: "bounds", LayerSpecifier: &bootstrapv3.RuntimeLayer_StaticLayer{StaticLayer: fixed}},
		{Name: "admin", LayerSpecifier: &bootstrapv3.RuntimeLayer_AdminLayer_{AdminLayer: &bootstrapv3.RuntimeLayer_AdminLayer{}}},
	}}
}

func discovery() *corev3.ApiConfigSource {
	return &corev3.ApiConfigSource{
		ApiType: corev3.ApiConfigSource_DELTA_GRPC, TransportApiVersion: corev3.ApiVersion_V3,
		SetNodeOnFirstMessageOnly: true,
		GrpcServices: service(&corev3.RetryPolicy{RetryBackOff: &corev3.BackoffStrategy{
			BaseInterval: durationpb.New(200 * time.Millisecond), MaxInterval: durationpb.New(5 * time.Second),
		}}),
	}
}

// loadReports makes Envoy say how the requests to each cluster ended.
func loadReports() *corev3.ApiConfigSource {
	return &corev3.ApiConfigSource{
		ApiType: corev3.ApiConfigSource_GRPC, TransportApiVersion: corev3.ApiVersion_V3,
		GrpcServices: service(nil),
	}
}

func service(retry *corev3.RetryPolicy) []*corev3.GrpcService {
	return []*corev3.GrpcService{{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
		EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: xdsCluster, RetryPolicy: retry},
	}}}
}

func overADS() *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ResourceApiVersion:    corev3.ApiVersion_V3,
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
	}
}

func discoveryCluster(o Options) (*clusterv3.Cluster, error) {
	host, port, err := o.discoveryService()
	if err != nil {
		return nil, err
	}
	secure, err := transport(o.TLS, o.Renewed, host)
	if err != nil {
		return nil, err
	}
	protocol, err := anypb.New(&httpv3.HttpProtocolOptions{UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{
		ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{
			Http2ProtocolOptions: &corev3.Http2ProtocolOptions{ConnectionKeepalive: &corev3.KeepaliveSettings{
				Interval: durationpb.New(30 * time.Second), Timeout: durationpb.New(10 * time.Second),
			}},
		}},
	}})
	if err != nil {
		return nil, fmt.Errorf("making a bootstrap: %w", err)
	}
	return &clusterv3.Cluster{
		Name: xdsCluster, AltStatName: xdsCluster + ";",
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STRICT_DNS},
		ConnectTimeout:       durationpb.New(time.Second),
		TransportSocket:      secure,
		LoadAssignment: &endpointv3.ClusterLoadAssignment{ClusterName: xdsCluster, Endpoints: []*endpointv3.LocalityLbEndpoints{{
			LbEndpoints: []*endpointv3.LbEndpoint{{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{
				Address: socket(host, port),
			}}}},
		}}},
		TypedExtensionProtocolOptions: map[string]*anypb.Any{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": protocol},
	}, nil
}

func socket(host string, port uint32) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: host, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port},
	}}}
}

func adminAddress(addr string) *corev3.Address {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		return &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: path}}}
	}
	host, port, err := local(addr)
	if err != nil {
		return nil // validated before
	}
	if host == "localhost" {
		host = "127.0.0.1" // a listener wants an address
	}
	return socket(host, port)
}

// stats takes the labels apart that analysis selects by. The default tags would cut a cluster's name at its first dot;
// the names of clusters therefore end in a semicolon in statistics, and the tag reads up to it.
func stats() *metricsv3.StatsConfig {
	tags := []*metricsv3.TagSpecifier{{TagName: "envoy.cluster_name", TagValue: &metricsv3.TagSpecifier_Regex{Regex: `^cluster(\.(.+);)`}}}
	for _, name := range []string{"envoy.response_code", "envoy.response_code_class", "envoy.http_conn_manager_prefix", "envoy.listener_address", "envoy.virtual_host"} {
		tags = append(tags, &metricsv3.TagSpecifier{TagName: name})
	}
	return &metricsv3.StatsConfig{UseAllDefaultTags: wrapperspb.Bool(false), StatsTags: tags}
}
