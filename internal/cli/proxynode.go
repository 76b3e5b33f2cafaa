package cli

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	statusv3 "github.com/envoyproxy/go-control-plane/envoy/service/status/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/view"
	"github.com/sluice-dev/sluice/xds/bootstrap"
)

const (
	askWithin = 5 * time.Second
	maxStatus = 64 << 20 // bytes of an answer
	maxWords  = 512      // bytes of a name or a message
)

// node shows what one proxy has, as the replica knows that it is connected to.
func (o *proxyStatusOptions) node(ctx context.Context, s Streams, id string) error {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	configs, err := o.ask(ctx, id)
	if err != nil {
		return err
	}
	v := proxyView(id, configs)
	err = o.output.show(s, v, v.Table)
	if err == nil && !v.InSync() {
		return &Exit{Code: ExitNo}
	}
	return err
}

// ask asks the discovery service for the status of clients.
func (o *proxyStatusOptions) ask(ctx context.Context, id string) ([]*statusv3.ClientConfig, error) {
	creds, err := o.credentials()
	if err != nil {
		return nil, &Exit{Code: ExitUsage, Err: err, Next: "sluice proxy-status --help"}
	}
	conn, err := grpc.NewClient(o.xds, grpc.WithTransportCredentials(creds), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxStatus)))
	if err != nil {
		return nil, &Exit{Code: ExitUsage, Err: fmt.Errorf("--xds %q: %w", o.xds, err), Next: "sluice proxy-status --help"}
	}
	defer conn.Close() //nolint:errcheck // nothing is under way
	match := &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: id}}
	out, err := statusv3.NewClientStatusDiscoveryServiceClient(conn).FetchClientStatus(ctx, &statusv3.ClientStatusRequest{
		NodeMatchers: []*matcherv3.NodeMatcher{{NodeId: match}},
	})
	if err != nil {
		exit := &Exit{Code: ExitUsage, Err: fmt.Errorf("asking %s for the status of %s: %s", o.xds, id, status.Convert(err).Message())}
		switch status.Code(err) {
		case codes.Unavailable, codes.DeadlineExceeded:
			exit.Code, exit.Next = ExitUnreachable, "name the replica's discovery service by --xds"
		case codes.PermissionDenied, codes.Unauthenticated:
			exit.Code = ExitUnauthorized
		case codes.Canceled:
			exit.Code = ExitInterrupted
		default: // a failure not listed
		}
		return nil, exit
	}
	if len(out.GetConfig()) == 0 {
		return nil, &Exit{Code: ExitNotFound, Err: fmt.Errorf("no proxy %q is connected to %s", id, o.xds), Next: "sluice proxy-status"}
	}
	return out.GetConfig(), nil
}

// credentials are what the discovery service is asked with: plain text, or a certificate on both sides.
func (o *proxyStatusOptions) credentials() (credentials.TransportCredentials, error) {
	f := o.files
	switch {
	case f == bootstrap.TLS{}:
		return insecure.NewCredentials(), nil
	case f.Cert == "" || f.Key == "" || f.CA == "":
		return nil, errors.New("--cert, --key and --ca are needed together")
	}
	cert, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, fmt.Errorf("reading --cert and --key: %w", err)
	}
	signers, err := os.ReadFile(f.CA)
	if err != nil {
		return nil, fmt.Errorf("reading --ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(signers) {
		return nil, fmt.Errorf("reading --ca: %s holds no certificate in PEM", f.CA)
	}
	return credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert}, RootCAs: pool}), nil
}

// proxyView puts together what the streams of one proxy have.
func proxyView(id string, configs []*statusv3.ClientConfig) view.ProxyView {
	meta := configs[0].GetNode().GetMetadata().GetFields()
	v := view.ProxyView{
		APIVersion: view.APIVersion, Kind: view.KindProxyView, Node: problem.Clean(id, maxWords),
		Namespace: meta["NAMESPACE"].GetStringValue(), ProxyKind: meta["SLUICE_KIND"].GetStringValue(),
		Resources: []view.ProxyResource{}, Weights: []view.ProxyWeight{},
	}
	for _, c := range configs {
		for _, r := range c.GetGenericXdsConfigs() {
			v.Resources = append(v.Resources, proxyResource(r))
			table := &routev3.RouteConfiguration{}
			if r.GetXdsConfig().MessageIs(table) && r.GetXdsConfig().UnmarshalTo(table) == nil {
				v.Weights = append(v.Weights, weights(r.GetName(), table)...)
			}
		}
	}
	slices.SortStableFunc(v.Resources, func(a, b view.ProxyResource) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Name, b.Name))
	})
	slices.SortStableFunc(v.Weights, func(a, b view.ProxyWeight) int { return cmp.Compare(a.Table, b.Table) })
	return v
}

func proxyResource(r *statusv3.ClientConfig_GenericXdsConfig) view.ProxyResource {
	out := view.ProxyResource{
		Type: r.GetTypeUrl()[strings.LastIndexByte(r.GetTypeUrl(), '.')+1:], Name: problem.Clean(r.GetName(), maxWords),
		State: r.GetConfigStatus().String(), Acked: r.GetVersionInfo(),
	}
	switch {
	case r.GetConfigStatus() == statusv3.ConfigStatus_SYNCED:
		out.Wanted = out.Acked
	case r.GetConfigStatus() == statusv3.ConfigStatus_ERROR:
		out.Wanted, out.Message = r.GetErrorState().GetVersionInfo(), problem.Clean(r.GetErrorState().GetDetails(), maxWords)
	case r.GetClientStatus() == adminv3.ClientResourceStatus_DOES_NOT_EXIST:
		out.State = view.ResourceAbsent
	}
	return out
}

// weights are those of the routes of a table that divide requests.
func weights(name string, table *routev3.RouteConfiguration) []view.ProxyWeight {
	var out []view.ProxyWeight
	for _, host := range table.GetVirtualHosts() {
		for _, route := range host.GetRoutes() {
			shares, total := route.GetRoute().GetWeightedClusters().GetClusters(), uint32(0)
			for _, c := range shares {
				total += c.GetWeight().GetValue()
			}
			for _, c := range shares {
				out = append(out, view.ProxyWeight{Table: name, VirtualHost: host.GetName(), Route: route.GetName(),
					Cluster: c.GetName(), Weight: c.GetWeight().GetValue(), Total: total})
			}
		}
	}
	return out
}
