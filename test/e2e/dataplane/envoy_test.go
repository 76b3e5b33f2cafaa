package dataplane

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/sluice-dev/sluice/test/poll"
	"github.com/sluice-dev/sluice/test/proxy"
	"github.com/sluice-dev/sluice/xds/bootstrap"
	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/istio"
)

var gatewayClass = ir.ProxyClass{Kind: ir.KindGateway, Namespace: "shop", Labels: "istio=ingressgateway"}

// edge is a real Envoy as a gateway in front of two versions.
type edge struct {
	t     *testing.T
	plane *plane
	envoy *proxy.Proxy
	in    istio.Input
	url   string
}

// start brings everything up with v2 at weight percent, seq 1.
func start(t *testing.T, weight int) *edge {
	t.Helper()
	return startOn(t, serve(t, "127.0.0.1:0"), weight, bootstrap.TLS{})
}

// startOn is start with a server that runs, and the certificates of Envoy.
func startOn(t *testing.T, p *plane, weight int, files bootstrap.TLS) *edge {
	t.Helper()
	to := backends{}
	for _, v := range []string{"v1", "v2"} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, v) }))
		t.Cleanup(s.Close)
		to[v] = s.Listener.Addr().String()
	}
	return startFrom(t, p, to, weight, files)
}

// startFrom is startOn with versions that run.
func startFrom(t *testing.T, p *plane, to backends, weight int, files bootstrap.TLS) *edge {
	t.Helper()
	port := proxy.FreePort(t)
	e := &edge{t: t, plane: p, in: mesh(t, port, "HTTP", to), url: fmt.Sprintf("http://127.0.0.1:%d/", port)}
	e.plane.SetClassKeys(ir.ClassKeys{Labels: []string{"istio"}})
	e.plane.publish(gatewayClass, e.resources(1, weight))
	file, err := bootstrap.JSON(bootstrap.Options{
		Kind: ir.KindGateway, ID: "edge-1", Namespace: "shop", Labels: map[string]string{"istio": "ingressgateway", "pod": "edge-1"},
		XDS: e.plane.addr, TLS: files, Admin: "127.0.0.1:0",
	})
	if err != nil {
		t.Fatal(err)
	}
	e.envoy = proxy.Start(t, file)
	e.envoy.WaitLive(t)
	e.plane.done(1)
	return e
}

func (e *edge) resources(seq uint64, weight int) envoy.Resources {
	e.t.Helper()
	return compile(e.t, e.in, gatewayClass, at(seq, weight))
}

// ask sends n requests and counts the answers of v2. Every request must be answered.
func (e *edge) ask(n int) (canary int) {
	e.t.Helper()
	client := &http.Client{}
	defer client.CloseIdleConnections()
	for range n {
		resp, err := client.Get(e.url)
		if err != nil {
			e.t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		switch version := string(body); {
		case err != nil || resp.StatusCode != http.StatusOK:
			e.t.Fatalf("answer %d %q, %v", resp.StatusCode, body, err)
		case version == "v2":
			canary++
		case version != "v1":
			e.t.Fatalf("answer %q comes from no version", version)
		}
	}
	return canary
}

// counter reads one of Envoy's statistics.
func (e *edge) counter(name string) string {
	e.t.Helper()
	text, err := e.envoy.Get("/stats?filter=" + "^" + regexp.QuoteMeta(name) + "$")
	if err != nil {
		e.t.Fatal(err)
	}
	_, value, _ := strings.Cut(strings.TrimSpace(string(text)), ": ")
	return value
}

// updates are how often Envoy has taken a configuration of each kind; routes apart.
func (e *edge) updates() []string {
	return []string{
		e.counter("cluster_manager.cds.update_success"), e.counter("listener_manager.lds.update_success"),
		e.counter("cluster_manager.cluster_updated"), e.counter("cluster_manager.cluster_added"),
	}
}

// versions are the names and versions that Envoy says it runs.
func (e *edge) versions() []string {
	e.t.Helper()
	var dump struct {
		Configs []struct {
			Clusters []struct {
				Version string                `json:"version_info"`
				Cluster struct{ Name string } `json:"cluster"`
			} `json:"dynamic_active_clusters"`
			Listeners []struct {
				Name   string
				Active struct {
					Version string `json:"version_info"`
				} `json:"active_state"`
			} `json:"dynamic_listeners"`
			Routes []struct {
				Version string                `json:"version_info"`
				Config  struct{ Name string } `json:"route_config"`
			} `json:"dynamic_route_configs"`
			Endpoints []struct {
				Config struct {
					Name string `json:"cluster_name"`
				} `json:"endpoint_config"`
			} `json:"dynamic_endpoint_configs"`
		}
	}
	if err := json.Unmarshal(e.envoy.ConfigDump(e.t), &dump); err != nil {
		e.t.Fatal(err)
	}
	var out []string
	for _, c := range dump.Configs {
		for _, one := range c.Clusters {
			out = append(out, "cluster "+one.Cluster.Name+" "+one.Version)
		}
		for _, one := range c.Listeners {
			out = append(out, "listener "+one.Name+" "+one.Active.Version)
		}
		for _, one := range c.Routes {
			out = append(out, "route "+one.Config.Name+" "+one.Version)
		}
		for _, one := range c.Endpoints {
			out = append(out, "endpoints "+one.Config.Name)
		}
	}
	slices.Sort(out)
	return out
}

// named are the names and versions of resources in the same form. A dump of endpoints has no versions.
func named(r envoy.Resources) []string {
	var out []string
	for prefix, list := range map[string][]envoy.Resource{"cluster ": r.Clusters, "listener ": r.Listeners, "route ": r.Routes} {
		for _, one := range list {
			out = append(out, prefix+one.Name+" "+one.Version)
		}
	}
	for _, one := range r.Endpoints {
		out = append(out, "endpoints "+one.Name)
	}
	slices.Sort(out)
	return out
}

func TestEnvoy_dividesTrafficAsTheSplitSaysAndOnlyRoutesChange(t *testing.T) {
	e := start(t, 0)
	want := e.resources(1, 0)
	if got := e.versions(); !slices.Equal(got, named(want)) {
		t.Errorf("Envoy runs\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(named(want), "\n"))
	}
	if got := e.ask(200); got != 0 {
		t.Errorf("at weight 0 the canary answered %d times", got)
	}
	before := e.updates()
	for i, weight := range []int{15, 50, 100, 0} {
		seq := uint64(i + 2)
		e.plane.publish(gatewayClass, e.resources(seq, weight))
		e.plane.done(seq)
		const n = 4000
		within(t, weight, n, e.ask(n))
	}
	if after := e.updates(); !slices.Equal(before, after) {
		t.Errorf("clusters or listeners were updated: %v before, %v after", before, after)
	}
	if got := e.versions(); !slices.Equal(got, named(e.resources(5, 0))) {
		t.Errorf("in the end Envoy runs %v", got)
	}
}

func TestEnvoy_newClusterIsWarmBeforeTrafficAndLeavesAfterIt(t *testing.T) {
	e := start(t, 0)
	stop, counted := make(chan struct{}), make(chan error, 1)
	go func() { counted <- e.steady(stop) }()
	third := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "v3") }))
	defer third.Close()
	first := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "v1") }))
	defer first.Close()
	var port int
	if _, err := fmt.Sscanf(e.url, "http://127.0.0.1:%d/", &port); err != nil {
		t.Fatal(err)
	}
	in := mesh(t, port, "HTTP", backends{"v1": first.Listener.Addr().String(), "v3": third.Listener.Addr().String()})
	split := at(2, 50)
	split.Canary = "v3"
	e.plane.publish(gatewayClass, compile(t, in, gatewayClass, split)) // a new cluster, its route and its weight in one
	e.plane.done(2)
	close(stop)
	if err := <-counted; err != nil {
		t.Error(err)
	}
	e.plane.converged(2, func(c ir.Convergence) bool { return c.Done() })
	if !slices.ContainsFunc(e.versions(), func(v string) bool { return strings.Contains(v, "|v2|") }) {
		t.Error("the cluster of v2 left at once, while requests could still hold its name")
	}
}

// steady sends requests one after the other until stop, and returns the first that was not answered well.
func (e *edge) steady(stop <-chan struct{}) error {
	client := &http.Client{}
	defer client.CloseIdleConnections()
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		resp, err := client.Get(e.url)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			return fmt.Errorf("answer %d, cut off after %q: %w", resp.StatusCode, body, err)
		}
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("answer %d %q", resp.StatusCode, body)
		}
	}
}

func TestEnvoy_rejectionIsCountedServedOnAndNotRepeated(t *testing.T) {
	e := start(t, 50)
	table := e.resources(1, 50).Routes[0].Name
	bad := e.resources(2, 15)
	config := &routev3.RouteConfiguration{}
	if err := bad.Routes[0].Any.UnmarshalTo(config); err != nil {
		t.Fatal(err)
	}
	config.VirtualHosts = append(config.VirtualHosts, config.VirtualHosts[0]) // twice the same domains
	body, err := anypb.New(config)
	if err != nil {
		t.Fatal(err)
	}
	bad.Routes[0].Any, bad.Routes[0].Version = body, "bad"
	e.plane.publish(gatewayClass, bad)
	c := e.plane.converged(2, func(c ir.Convergence) bool { return c.Nacked == 1 })
	if c.First == nil || c.First.Node != "edge-1" || c.First.Resource != table || !strings.Contains(c.First.Message, "wildcard domain") {
		t.Errorf("first rejection %+v", c.First)
	}
	const n = 2000
	within(t, 50, n, e.ask(n))
	port := strings.TrimSuffix(strings.TrimPrefix(e.url, "http://127.0.0.1:"), "/")
	rejected := func() string {
		text, err := e.envoy.Get("/stats?filter=rds.*update_rejected")
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if got := rejected(); !strings.Contains(got, ": 1\n") {
		t.Errorf("port %s: rejections %q, want 1", port, got)
	}
	e.plane.publish(gatewayClass, e.resources(3, 0)) // the way back is not blocked by what came before
	e.plane.done(3)
	within(t, 0, n, e.ask(n))
	if got := rejected(); !strings.Contains(got, ": 1\n") {
		t.Errorf("in the end: rejections %q, want 1", got)
	}
}

func TestEnvoy_servesWithoutSluiceAndIsNotDisturbedByItsReturn(t *testing.T) {
	e := startOn(t, serve(t, fmt.Sprintf("127.0.0.1:%d", proxy.FreePort(t))), 50, bootstrap.TLS{}) // nobody takes the port meanwhile
	before, dump := e.updates(), e.versions()
	e.plane.stop()
	err := poll.Until(patience, func() error {
		if got := e.counter("control_plane.connected_state"); got != "0" {
			return fmt.Errorf("connected_state is %q", got)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	const n = 2000
	within(t, 50, n, e.ask(n))
	again := serve(t, e.plane.addr)
	again.SetClassKeys(ir.ClassKeys{Labels: []string{"istio"}})
	again.publish(gatewayClass, e.resources(1, 50))
	again.done(1)
	if after := e.updates(); !slices.Equal(before, after) {
		t.Errorf("resources were sent again: %v before, %v after", before, after)
	}
	if got := e.versions(); !slices.Equal(got, dump) {
		t.Errorf("Envoy runs %v, want %v", got, dump)
	}
	again.publish(gatewayClass, e.resources(2, 0))
	again.done(2)
	within(t, 0, n, e.ask(n))
}
