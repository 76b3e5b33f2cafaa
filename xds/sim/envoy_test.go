package sim_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/sluice-dev/sluice/test/proxy"
	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/sim"
)

// triesOfSplit is how many requests show the arms of a weighted route; an arm of a tenth stays unseen in one of 10^13 runs.
const triesOfSplit = 300

// seenPath is the header in which an upstream says which path it was asked for.
const seenPath = "X-Seen-Path"

// TestRoute_saysWhatEnvoyDoes loads the resources of all cases into one real Envoy, each case under names of its own,
// and asks it every question. Envoy thereby also accepts every resource.
func TestRoute_saysWhatEnvoyDoes(t *testing.T) {
	w := &proxied{t: t, boot: &bootstrapv3.Bootstrap{StaticResources: &bootstrapv3.Bootstrap_StaticResources{}}, ports: map[string]int{}}
	all := stories(t)
	for i, s := range all {
		if s.class.Kind != ir.KindGRPC {
			w.add(fmt.Sprintf("case%d/", i), s.res)
		}
	}
	w.boot.Admin = &bootstrapv3.Admin{Address: loopback(0)}
	data, err := protojson.Marshal(w.boot)
	if err != nil {
		t.Fatal(err)
	}
	p := proxy.Start(t, data)
	p.WaitLive(t)
	w.readPorts(p)
	for i, s := range all {
		if s.class.Kind == ir.KindGRPC {
			continue
		}
		t.Run(strings.TrimSuffix(filepath.Base(s.path), ".txtar"), func(t *testing.T) {
			for j, req := range s.requests {
				want := sim.Route(s.res, req)
				if want.Outcome != sim.NoListener {
					w.compare(t, s.asked[j], fmt.Sprintf("case%d/", i), req, want)
				}
			}
		})
	}
}

// proxied is all cases in one Envoy.
type proxied struct {
	t     *testing.T
	boot  *bootstrapv3.Bootstrap
	ports map[string]int // by case and listener
}

func (w *proxied) add(prefix string, res envoy.Resources) {
	tables := map[string]*routev3.RouteConfiguration{}
	for _, r := range res.Routes {
		table := unpack(w.t, r, &routev3.RouteConfiguration{})
		for _, h := range table.GetVirtualHosts() {
			for _, route := range h.GetRoutes() {
				rename(prefix, route.GetRoute())
			}
		}
		tables[r.Name] = table
	}
	for _, r := range res.Listeners {
		w.listen(prefix, unpack(w.t, r, &listenerv3.Listener{}), tables)
	}
	assignments := map[string]*endpointv3.ClusterLoadAssignment{}
	for _, r := range res.Endpoints {
		assignments[r.Name] = unpack(w.t, r, &endpointv3.ClusterLoadAssignment{})
	}
	for _, r := range res.Clusters {
		w.cluster(prefix, unpack(w.t, r, &clusterv3.Cluster{}), assignments)
	}
}

func unpack[M proto.Message](t *testing.T, r envoy.Resource, m M) M {
	t.Helper()
	if err := proto.Unmarshal(r.Any.GetValue(), m); err != nil {
		t.Fatal(err)
	}
	return m
}

func rename(prefix string, a *routev3.RouteAction) {
	if c, ok := a.GetClusterSpecifier().(*routev3.RouteAction_Cluster); ok {
		c.Cluster = prefix + c.Cluster
	}
	for _, c := range a.GetWeightedClusters().GetClusters() {
		c.Name = prefix + c.GetName()
	}
	for _, m := range a.GetRequestMirrorPolicies() {
		m.Cluster = prefix + m.GetCluster()
	}
}

// readPorts learns which ports Envoy has taken.
func (w *proxied) readPorts(p *proxy.Proxy) {
	data, err := p.Get("/listeners?format=json")
	if err != nil {
		w.t.Fatal(err)
	}
	var list adminv3.Listeners
	if err := protojson.Unmarshal(data, &list); err != nil {
		w.t.Fatal(err)
	}
	for _, l := range list.GetListenerStatuses() {
		w.ports[l.GetName()] = int(l.GetLocalAddress().GetSocketAddress().GetPortValue())
	}
}

// listen puts the table into the listener and the listener onto a port that Envoy chooses.
func (w *proxied) listen(prefix string, l *listenerv3.Listener, tables map[string]*routev3.RouteConfiguration) {
	l.Name, l.Address = prefix+l.GetName(), loopback(0)
	for _, chain := range l.GetFilterChains() {
		for _, f := range chain.GetFilters() {
			var m hcmv3.HttpConnectionManager
			if err := f.GetTypedConfig().UnmarshalTo(&m); err != nil {
				w.t.Fatal(err)
			}
			m.RouteSpecifier = &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: tables[m.GetRds().GetRouteConfigName()]}
			config, err := anypb.New(&m)
			if err != nil {
				w.t.Fatal(err)
			}
			f.ConfigType = &listenerv3.Filter_TypedConfig{TypedConfig: config}
		}
	}
	w.boot.StaticResources.Listeners = append(w.boot.StaticResources.Listeners, l)
}

// cluster makes a cluster static; its endpoints become one server that answers with the cluster's name.
func (w *proxied) cluster(prefix string, c *clusterv3.Cluster, assignments map[string]*endpointv3.ClusterLoadAssignment) {
	name := c.GetName()
	assignment := c.GetLoadAssignment()
	if c.GetType() == clusterv3.Cluster_EDS {
		assignment = assignments[name]
	}
	c.Name, c.AltStatName = prefix+name, prefix+c.GetAltStatName()
	c.ClusterDiscoveryType, c.EdsClusterConfig = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC}, nil
	c.DnsRefreshRate, c.RespectDnsTtl = nil, false //nolint:staticcheck // the form that xds/envoy writes
	c.LoadAssignment = &endpointv3.ClusterLoadAssignment{ClusterName: prefix + name}
	if len(assignment.GetEndpoints()) > 0 {
		server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, in *http.Request) {
			out.Header().Set(seenPath, in.URL.Path)
			fmt.Fprint(out, name)
		}))
		w.t.Cleanup(server.Close)
		c.LoadAssignment.Endpoints = []*endpointv3.LocalityLbEndpoints{{LbEndpoints: []*endpointv3.LbEndpoint{{
			HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: loopback(server.Listener.Addr().(*net.TCPAddr).Port)}},
		}}}}
	}
	w.boot.StaticResources.Clusters = append(w.boot.StaticResources.Clusters, c)
}

func loopback(port int) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: "127.0.0.1", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(port)}}}}
}

func (w *proxied) compare(t *testing.T, asked, prefix string, req sim.Request, want sim.Result) {
	t.Helper()
	tries := 1
	if len(want.Destinations) > 1 {
		tries = triesOfSplit
	}
	seen := map[string]int{}
	for range tries {
		resp, body := w.send(t, w.ports[prefix+want.Listener], req)
		if aborted(want) {
			checkAbort(t, asked, want.Fault.V.Abort.V, resp)
			continue
		}
		if checkCors(t, asked, want.Cors.V, req, resp) {
			continue
		}
		switch want.Outcome {
		case sim.Routed:
			if resp.StatusCode == http.StatusServiceUnavailable {
				body = "503"
			}
			if got := resp.Header.Get(seenPath); want.Rewrite.V != nil && got != "" && got != want.Rewrite.V.Path {
				t.Errorf("%s: the upstream is asked for %q, want %q", asked, got, want.Rewrite.V.Path)
			}
			seen[body]++
		case sim.DirectResponse:
			if body != want.Body {
				t.Errorf("%s: body %q, want %q", asked, body, want.Body)
			}
		case sim.Redirected, sim.TLSRequired:
			if got := resp.Header.Get("Location"); got != want.Redirect.V.Location {
				t.Errorf("%s: location %q, want %q", asked, got, want.Redirect.V.Location)
			}
		case sim.NoRoute, sim.NoListener, sim.NoHealthyUpstream: // the status says it all
		}
		if want.Outcome != sim.Routed && resp.StatusCode != want.Status {
			t.Errorf("%s: status %d, want %s %d", asked, resp.StatusCode, want.Outcome, want.Status)
		}
	}
	for _, d := range want.Destinations {
		if len(seen) == 0 && req.Method == http.MethodOptions {
			break // Envoy answered itself
		}
		if want.Outcome != sim.Routed || aborted(want) {
			break
		}
		name := d.Cluster
		if d.LB == "" {
			name = "503"
		}
		if seen[name] == 0 {
			t.Errorf("%s: Envoy never chose %s (%v of %v)", asked, name, d.Probability, seen)
		}
		delete(seen, name)
	}
	if len(seen) > 0 {
		t.Errorf("%s: Envoy chose %v, which is not among %v", asked, seen, want.Destinations)
	}
}

// aborted reports whether the proxy itself answers every request, whatever the outcome would be.
func aborted(r sim.Result) bool {
	return r.Fault.V != nil && r.Fault.V.Abort.V != nil && r.Fault.V.Abort.V.Percent == 100
}

func checkAbort(t *testing.T, asked string, want *sim.Abort, resp *http.Response) {
	t.Helper()
	if want.GRPCStatus == "" {
		if resp.StatusCode != want.HTTPStatus {
			t.Errorf("%s: status %d, want the fault's %d", asked, resp.StatusCode, want.HTTPStatus)
		}
		return
	}
	code, err := strconv.Atoi(resp.Header.Get("Grpc-Status"))
	if name := ir.GRPCStatusName(uint32(code)); err != nil || name != want.GRPCStatus {
		t.Errorf("%s: gRPC status %d %s (%v), want the fault's %s", asked, code, name, err, want.GRPCStatus)
	}
}

// checkCors holds whether Envoy lets the page read the answer against what the policy says of its origin. It is true for
// a preflight that Envoy answers itself.
func checkCors(t *testing.T, asked string, want *sim.Cors, req sim.Request, resp *http.Response) bool {
	t.Helper()
	allowed := ""
	if origins := req.Headers["Origin"]; want != nil && len(origins) > 0 && slices.ContainsFunc(want.AllowOrigins, func(m sim.OriginMatch) bool {
		return m.Exact == "*" || m.Exact == origins[0] || (m.Prefix != "" && strings.HasPrefix(origins[0], m.Prefix)) ||
			(m.Regex != "" && regexp.MustCompile("^(?:"+m.Regex+")$").MatchString(origins[0]))
	}) {
		allowed = origins[0]
	}
	if got := resp.Header.Get("Access-Control-Allow-Origin"); got != allowed {
		t.Errorf("%s: the origin allowed is %q, want %q", asked, got, allowed)
	}
	if got := resp.Header.Get("Access-Control-Allow-Credentials"); allowed != "" && (got == "true") != want.AllowCredentials {
		t.Errorf("%s: credentials %q, want %v", asked, got, want.AllowCredentials)
	}
	if req.Method != http.MethodOptions || allowed == "" {
		return false
	}
	if got := resp.Header.Get("Access-Control-Allow-Methods"); got != strings.Join(want.AllowMethods, ",") || resp.StatusCode != http.StatusOK {
		t.Errorf("%s: the preflight is answered %d with methods %q, want 200 and %q", asked, resp.StatusCode, got, want.AllowMethods)
	}
	if got, _ := time.ParseDuration(resp.Header.Get("Access-Control-Max-Age") + "s"); got.String() != want.MaxAge {
		t.Errorf("%s: the preflight holds for %s, want %s", asked, got, want.MaxAge)
	}
	return true
}

func (w *proxied) send(t *testing.T, port int, req sim.Request) (*http.Response, string) {
	t.Helper()
	out, err := http.NewRequestWithContext(t.Context(), req.Method, fmt.Sprintf("http://127.0.0.1:%d%s", port, req.Path), nil)
	if err != nil {
		t.Fatal(err)
	}
	out.Host = req.Host
	for name, values := range req.Headers {
		for _, v := range values {
			out.Header.Add(name, v)
		}
	}
	client := http.Client{Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(out)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}
