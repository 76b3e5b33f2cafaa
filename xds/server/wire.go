package server

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// wire is a stream in one of the two forms.
type wire interface {
	sotw() bool
	receive() (request, *corev3.Node, error)
	send(response) (bytes int, err error)
}

type deltaWire struct {
	stream     grpc.BidiStreamingServer[discovery.DeltaDiscoveryRequest, discovery.DeltaDiscoveryResponse]
	identifier string
}

func (deltaWire) sotw() bool { return false }

func (w deltaWire) receive() (request, *corev3.Node, error) {
	in, err := w.stream.Recv()
	if err != nil {
		return request{}, nil, err
	}
	r, err := deltaRequest(in)
	return r, in.GetNode(), err
}

func deltaRequest(in *discovery.DeltaDiscoveryRequest) (request, error) {
	r := request{
		typeURL: in.GetTypeUrl(), nonce: in.GetResponseNonce(),
		refused: in.GetErrorDetail() != nil, nack: in.GetErrorDetail().GetMessage(),
		subscribe: in.GetResourceNamesSubscribe(), unsubscribe: in.GetResourceNamesUnsubscribe(),
		versions: in.GetInitialResourceVersions(),
	}
	if n := len(r.subscribe) + len(r.unsubscribe) + len(r.versions); n > maxNames {
		return request{}, status.Errorf(codes.ResourceExhausted, "a request names %d resources, at most %d are accepted", n, maxNames)
	}
	return r, nil
}

func (w deltaWire) send(r response) (int, error) {
	e := encodeDelta(r, w.identifier)
	return e.pieces.Len(), w.stream.SendMsg(e)
}

type sotwWire struct {
	stream     grpc.BidiStreamingServer[discovery.DiscoveryRequest, discovery.DiscoveryResponse]
	identifier string
}

func (sotwWire) sotw() bool { return true }

func (w sotwWire) receive() (request, *corev3.Node, error) {
	in, err := w.stream.Recv()
	if err != nil {
		return request{}, nil, err
	}
	r, err := sotwRequest(in)
	return r, in.GetNode(), err
}

func sotwRequest(in *discovery.DiscoveryRequest) (request, error) {
	if n := len(in.GetResourceNames()); n > maxNames {
		return request{}, status.Errorf(codes.ResourceExhausted, "a request names %d resources, at most %d are accepted", n, maxNames)
	}
	return request{
		typeURL: in.GetTypeUrl(), nonce: in.GetResponseNonce(),
		refused: in.GetErrorDetail() != nil, nack: in.GetErrorDetail().GetMessage(),
		names: in.GetResourceNames(), version: in.GetVersionInfo(),
	}, nil
}

func (w sotwWire) send(r response) (int, error) {
	e := encodeSotw(r, w.identifier)
	return e.pieces.Len(), w.stream.SendMsg(e)
}
