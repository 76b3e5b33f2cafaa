package server

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	clusterservice "github.com/envoyproxy/go-control-plane/envoy/service/cluster/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	endpointservice "github.com/envoyproxy/go-control-plane/envoy/service/endpoint/v3"
	listenerservice "github.com/envoyproxy/go-control-plane/envoy/service/listener/v3"
	loadservice "github.com/envoyproxy/go-control-plane/envoy/service/load_stats/v3"
	routeservice "github.com/envoyproxy/go-control-plane/envoy/service/route/v3"
	secretservice "github.com/envoyproxy/go-control-plane/envoy/service/secret/v3"
	statusservice "github.com/envoyproxy/go-control-plane/envoy/service/status/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Streams in the two forms.
type (
	sotwStream  = grpc.BidiStreamingServer[discovery.DiscoveryRequest, discovery.DiscoveryResponse]
	deltaStream = grpc.BidiStreamingServer[discovery.DeltaDiscoveryRequest, discovery.DeltaDiscoveryResponse]
)

// register adds the discovery services to a gRPC server: the aggregated one, and one for each kind. A stream of one kind
// has no gates: what it does not subscribe to holds nothing.
func (s *Server) register(g *grpc.Server) {
	discovery.RegisterAggregatedDiscoveryServiceServer(g, aggregated{server: s})
	clusterservice.RegisterClusterDiscoveryServiceServer(g, clusterDiscovery{server: s})
	endpointservice.RegisterEndpointDiscoveryServiceServer(g, endpointDiscovery{server: s})
	secretservice.RegisterSecretDiscoveryServiceServer(g, secretDiscovery{server: s})
	listenerservice.RegisterListenerDiscoveryServiceServer(g, listenerDiscovery{server: s})
	routeservice.RegisterRouteDiscoveryServiceServer(g, routeDiscovery{server: s})
	loadservice.RegisterLoadReportingServiceServer(g, loadReporting{server: s})
	statusservice.RegisterClientStatusDiscoveryServiceServer(g, clientStatus{server: s})
}

// aggregated is the discovery service for everything.
type aggregated struct {
	discovery.UnimplementedAggregatedDiscoveryServiceServer
	server *Server
}

// StreamAggregatedResources serves the state of the world.
func (a aggregated) StreamAggregatedResources(stream sotwStream) error {
	return a.server.serve(stream.Context(), sotwWire{stream: stream, identifier: a.server.identifier})
}

// DeltaAggregatedResources serves differences.
func (a aggregated) DeltaAggregatedResources(stream deltaStream) error {
	return a.server.serve(stream.Context(), deltaWire{stream: stream, identifier: a.server.identifier})
}

// single is a stream of one kind.
type single struct {
	wire
	kind kind
}

func (w single) receive() (request, *corev3.Node, error) {
	r, node, err := w.wire.receive()
	if err != nil {
		return r, node, err
	}
	if r.typeURL == "" {
		r.typeURL = w.kind.typeURL()
	}
	if r.typeURL != w.kind.typeURL() {
		return r, node, status.Errorf(codes.InvalidArgument, "this service is for %s, not for %q", w.kind.typeURL(), r.typeURL)
	}
	return r, node, nil
}

func (s *Server) sotwOf(k kind, stream sotwStream) error {
	return s.serve(stream.Context(), single{sotwWire{stream: stream, identifier: s.identifier}, k})
}

func (s *Server) deltaOf(k kind, stream deltaStream) error {
	return s.serve(stream.Context(), single{deltaWire{stream: stream, identifier: s.identifier}, k})
}

type clusterDiscovery struct {
	clusterservice.UnimplementedClusterDiscoveryServiceServer
	server *Server
}

// StreamClusters serves the state of the world.
func (d clusterDiscovery) StreamClusters(stream sotwStream) error {
	return d.server.sotwOf(clusters, stream)
}

// DeltaClusters serves differences.
func (d clusterDiscovery) DeltaClusters(stream deltaStream) error {
	return d.server.deltaOf(clusters, stream)
}

type endpointDiscovery struct {
	endpointservice.UnimplementedEndpointDiscoveryServiceServer
	server *Server
}

// StreamEndpoints serves the state of the world.
func (d endpointDiscovery) StreamEndpoints(stream sotwStream) error {
	return d.server.sotwOf(endpoints, stream)
}

// DeltaEndpoints serves differences.
func (d endpointDiscovery) DeltaEndpoints(stream deltaStream) error {
	return d.server.deltaOf(endpoints, stream)
}

type secretDiscovery struct {
	secretservice.UnimplementedSecretDiscoveryServiceServer
	server *Server
}

// StreamSecrets serves the state of the world.
func (d secretDiscovery) StreamSecrets(stream sotwStream) error {
	return d.server.sotwOf(secrets, stream)
}

// DeltaSecrets serves differences.
func (d secretDiscovery) DeltaSecrets(stream deltaStream) error {
	return d.server.deltaOf(secrets, stream)
}

type listenerDiscovery struct {
	listenerservice.UnimplementedListenerDiscoveryServiceServer
	server *Server
}

// StreamListeners serves the state of the world.
func (d listenerDiscovery) StreamListeners(stream sotwStream) error {
	return d.server.sotwOf(listeners, stream)
}

// DeltaListeners serves differences.
func (d listenerDiscovery) DeltaListeners(stream deltaStream) error {
	return d.server.deltaOf(listeners, stream)
}

type routeDiscovery struct {
	routeservice.UnimplementedRouteDiscoveryServiceServer
	server *Server
}

// StreamRoutes serves the state of the world.
func (d routeDiscovery) StreamRoutes(stream sotwStream) error {
	return d.server.sotwOf(routes, stream)
}

// DeltaRoutes serves differences.
func (d routeDiscovery) DeltaRoutes(stream deltaStream) error {
	return d.server.deltaOf(routes, stream)
}
