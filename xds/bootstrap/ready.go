package bootstrap

import (
	"errors"
	"fmt"
	"net"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
)

// ReadyPath is what a proxy with Options.Ready answers by 200, from the moment at which it has its configuration.
const ReadyPath = "/ready"

// readyAddress takes the address of readiness apart: any of the machine's.
func readyAddress(addr string) (host string, port uint32, err error) {
	host, port, err = apart(addr)
	if err != nil {
		return "", 0, err
	}
	if net.ParseIP(host) == nil {
		return "", 0, fmt.Errorf("%q has no address of this machine, such as 0.0.0.0", addr)
	}
	return host, port, nil
}

func (o Options) validateReady() error {
	if o.Ready == "" {
		return nil
	}
	if _, _, err := readyAddress(o.Ready); err != nil {
		return fmt.Errorf("address of readiness: %w", err)
	}
	return nil
}

// ready lets Envoy say when it has its configuration: it listens nowhere before, and waits for the discovery service as long as that
// takes instead of going on with nothing after 15 s.
func ready(b *bootstrapv3.Bootstrap, addr string) error {
	host, port, err := readyAddress(addr)
	if err != nil {
		return err
	}
	router, err := anypb.New(&routerv3.Router{})
	manager, errOfManager := anypb.New(&hcmv3.HttpConnectionManager{
		StatPrefix:  "ready",
		HttpFilters: []*hcmv3.HttpFilter{{Name: "router", ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: router}}},
		RouteSpecifier: &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: &routev3.RouteConfiguration{VirtualHosts: []*routev3.VirtualHost{{
			Name: "ready", Domains: []string{"*"}, Routes: []*routev3.Route{{
				Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Path{Path: ReadyPath}},
				Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: 200}},
			}},
		}}}},
	})
	if err := errors.Join(err, errOfManager); err != nil {
		return fmt.Errorf("making a bootstrap: %w", err)
	}
	b.StaticResources.Listeners = []*listenerv3.Listener{{
		Name: "ready", Address: socket(host, port),
		FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{Name: "http", ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: manager}}}}},
	}}
	for _, source := range []**corev3.ConfigSource{&b.DynamicResources.LdsConfig, &b.DynamicResources.CdsConfig} {
		patient := proto.CloneOf(*source)
		patient.InitialFetchTimeout = durationpb.New(0)
		*source = patient
	}
	return nil
}
