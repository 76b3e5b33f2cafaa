package cli_test

import (
	"context"
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	statusv3 "github.com/envoyproxy/go-control-plane/envoy/service/status/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/crd"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
	"github.com/sluice-dev/sluice/internal/cli"
	"github.com/sluice-dev/sluice/test/kube"
)

// serveReports makes the API server know the kind.
func (d *desk) serveReports(t *testing.T) {
	t.Helper()
	own, err := crd.Own()
	if err != nil {
		t.Fatal(err)
	}
	if err := apiextensionsv1.AddToScheme(d.client.Scheme()); err != nil {
		t.Fatal(err)
	}
	for _, def := range own {
		if def.Spec.Names.Kind == v1alpha1.KindFleetReport {
			if err := client.IgnoreAlreadyExists(d.client.Create(t.Context(), def)); err != nil {
				t.Fatal(err)
			}
		}
	}
	kube.Eventually(t, 10*time.Second, func() error { return d.client.List(t.Context(), &v1alpha1.FleetReportList{}) })
}

// report stores what a replica says.
func (d *desk) report(t *testing.T, name string, st v1alpha1.FleetReportStatus) {
	t.Helper()
	r := &v1alpha1.FleetReport{ObjectMeta: metav1.ObjectMeta{Namespace: d.ns, Name: name}}
	if err := d.client.Create(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	r.Status = st
	if err := d.client.Status().Update(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

func TestProxyStatus_addsUpWhatReplicasReport(t *testing.T) {
	d := newDesk(t)
	d.serveReports(t)
	if code, out, errs := d.run(t, "proxy-status"); code != cli.ExitNotFound || out != "" || !strings.Contains(errs, "no replica of Sluice has reported") {
		t.Errorf("without replicas: exit %d, %q, %q", code, out, errs)
	}
	d.report(t, "sluice-1", v1alpha1.FleetReportStatus{Proxies: v1alpha1.FleetProxies{Connected: 2, Synced: 2}})
	code, out, errs := d.run(t, "proxy-status")
	if want := "2/2 proxies in sync: 0 pending, 0 rejected, 0 lost (replicas: sluice-1)\n"; code != 0 || out != want {
		t.Errorf("one replica: exit %d, %q, %q; want %q", code, out, errs, want)
	}
	d.report(t, "sluice-0", v1alpha1.FleetReportStatus{
		Proxies: v1alpha1.FleetProxies{Connected: 3, Synced: 1, Pending: 1, Rejected: 1},
		Splits:  []v1alpha1.FleetSplit{{Split: "bookinfo/reviews", UID: "u", Seq: 7, Weight: 15, Rendered: true, Connected: 3, Acked: 1, Nacked: 1}},
		Exceptions: []v1alpha1.FleetException{
			{Node: "gw-1", Namespace: "shop", Kind: "gateway", State: v1alpha1.FleetRejected, Type: "RouteConfiguration", Resource: "http.80", Message: "no cluster", Since: since},
			{Node: "gw-2", Namespace: "shop", Kind: "gateway", State: v1alpha1.FleetPending, Since: since},
		},
		ExceptionsOmitted: 4,
	})
	code, out, errs = d.run(t, "proxy-status")
	want := `3/5 proxies in sync: 1 pending, 1 rejected, 0 lost (replicas: sluice-0, sluice-1)

SPLIT              WEIGHT   SEQ   RUN   REJECTED   REPLICA
bookinfo/reviews   15%      7     1/3   1          sluice-0

PROXY   NAMESPACE   KIND      STATE      RESOURCE                     REPLICA    MESSAGE
gw-1    shop        gateway   Rejected   RouteConfiguration http.80   sluice-0   no cluster
gw-2    shop        gateway   Pending    -                            sluice-0   -
and 4 more
`
	if diff := cmp.Diff(want, out); code != cli.ExitNo || diff != "" || errs != "" {
		t.Errorf("two replicas: exit %d, %q (-want +got)\n%s", code, errs, diff)
	}
	var v view.FleetView
	code, out, _ = d.run(t, "proxy-status", "-o", "json")
	if err := json.Unmarshal([]byte(out), &v); err != nil || code != cli.ExitNo || v.Kind != view.KindFleetView || v.Proxies.Connected != 5 ||
		len(v.Exceptions) != 2 || v.Exceptions[0].Message != "no cluster" || !v.Exceptions[0].Since.Equal(since.Time) || v.Splits[0].Acked != 1 {
		t.Errorf("exit %d, %v, %+v", code, err, v)
	}
}

// statuses answers with what a replica knows of one proxy.
type statuses struct {
	statusv3.UnimplementedClientStatusDiscoveryServiceServer
	config *statusv3.ClientConfig
}

// FetchClientStatus implements the service.
func (s statuses) FetchClientStatus(_ context.Context, in *statusv3.ClientStatusRequest) (*statusv3.ClientStatusResponse, error) {
	out := &statusv3.ClientStatusResponse{}
	if in.GetNodeMatchers()[0].GetNodeId().GetExact() == s.config.GetNode().GetId() {
		out.Config = append(out.Config, s.config)
	}
	return out, nil
}

// table is an acknowledged table that gives the canary 15 %.
func table(t *testing.T) *anypb.Any {
	t.Helper()
	share := func(name string, weight uint32) *routev3.WeightedCluster_ClusterWeight {
		return &routev3.WeightedCluster_ClusterWeight{Name: name, Weight: wrapperspb.UInt32(weight)}
	}
	out, err := anypb.New(&routev3.RouteConfiguration{Name: "http.80", VirtualHosts: []*routev3.VirtualHost{{Name: "reviews:80", Routes: []*routev3.Route{{
		Name: "main", Action: &routev3.Route_Route{Route: &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_WeightedClusters{
			WeightedClusters: &routev3.WeightedCluster{Clusters: []*routev3.WeightedCluster_ClusterWeight{share("v1", 85), share("v2", 15)}}}}}}}}}})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// oneProxy serves what a replica knows of the proxy gw-1, and gives the address.
func oneProxy(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	meta, err := structpb.NewStruct(map[string]any{"NAMESPACE": "shop", "SLUICE_KIND": "gateway"})
	if err != nil {
		t.Fatal(err)
	}
	resource := func(kind, name, version string, state statusv3.ConfigStatus) *statusv3.ClientConfig_GenericXdsConfig {
		return &statusv3.ClientConfig_GenericXdsConfig{TypeUrl: "type.googleapis.com/x." + kind, Name: name, VersionInfo: version, ConfigStatus: state}
	}
	rejected := resource("RouteConfiguration", "http.80", "0123456789abcdef", statusv3.ConfigStatus_ERROR)
	rejected.XdsConfig, rejected.ErrorState = table(t), &adminv3.UpdateFailureState{Details: "no cluster", VersionInfo: "fedcba9876543210"}
	absent := resource("Cluster", "gone", "", statusv3.ConfigStatus_STALE)
	absent.ClientStatus = adminv3.ClientResourceStatus_DOES_NOT_EXIST
	s := grpc.NewServer()
	statusv3.RegisterClientStatusDiscoveryServiceServer(s, statuses{config: &statusv3.ClientConfig{
		Node: &corev3.Node{Id: "gw-1", Metadata: meta},
		GenericXdsConfigs: []*statusv3.ClientConfig_GenericXdsConfig{
			resource("Cluster", "v1", "c1", statusv3.ConfigStatus_SYNCED), absent, rejected,
			resource("Listener", "0.0.0.0_80", "l1", statusv3.ConfigStatus_STALE),
		},
	}})
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

func TestProxyStatus_ofOneProxy(t *testing.T) {
	address := oneProxy(t)
	ask := func(args ...string) (int, string, string) {
		var out, errs strings.Builder
		code := cli.Main(t.Context(), append([]string{"proxy-status", "--xds", address}, args...), cli.Streams{Out: &out, Err: &errs}, cli.Build{})
		return code, out.String(), errs.String()
	}
	code, out, errs := ask("gw-1")
	want := `gw-1 (gateway of namespace shop)

TYPE                 IN SYNC   RESOURCE     STATE   WANTED         ACKED          MESSAGE
Cluster              2/2       -            -       -              -              -
Listener             0/1       0.0.0.0_80   STALE   -              l1             -
RouteConfiguration   0/1       http.80      ERROR   fedcba987654   0123456789ab   no cluster

TABLE     VIRTUAL HOST   ROUTE   CLUSTER   WEIGHT
http.80   reviews:80     main    v1        85/100
http.80   reviews:80     main    v2        15/100
`
	if diff := cmp.Diff(want, out); code != cli.ExitNo || diff != "" || errs != "" {
		t.Errorf("exit %d, %q (-want +got)\n%s", code, errs, diff)
	}
	var v view.ProxyView
	code, out, _ = ask("gw-1", "-o", "json")
	if err := json.Unmarshal([]byte(out), &v); err != nil || code != cli.ExitNo || len(v.Resources) != 4 || v.Resources[3].Message != "no cluster" || v.Weights[1].Weight != 15 {
		t.Errorf("exit %d, %v, %+v", code, err, v)
	}
	if code, out, errs := ask("gw-2"); code != cli.ExitNotFound || out != "" || !strings.Contains(errs, `no proxy "gw-2" is connected`) {
		t.Errorf("a stranger: exit %d, %q, %q", code, out, errs)
	}
}
