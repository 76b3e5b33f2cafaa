package dataplane

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	statusservice "github.com/envoyproxy/go-control-plane/envoy/service/status/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/sluice-dev/sluice/test/load"
	"github.com/sluice-dev/sluice/test/poll"
	"github.com/sluice-dev/sluice/xds/bootstrap"
	"github.com/sluice-dev/sluice/xds/envoy"
)

// total is the sum of the loads of one version since the beginning.
func (p *plane) total(version string) (issued, ok, failed uint64) {
	for _, l := range p.Loads("outbound|8080|"+version+"|"+host, time.Time{}) {
		issued, ok, failed = issued+l.Issued, ok+l.OK, failed+l.Failed
	}
	return issued, ok, failed
}

// totals waits until the loads of a version sum up to n requests of which bad have failed, and stay so.
func (p *plane) totals(version string, n, bad int) {
	p.t.Helper()
	err := poll.Until(patience, func() error {
		issued, ok, failed := p.total(version)
		if issued != uint64(n) || ok != uint64(n-bad) || failed != uint64(bad) {
			return fmt.Errorf("loads of %s: %d requests, %d well, %d failed; want %d, %d, %d", version, issued, ok, failed, n, n-bad, bad)
		}
		return nil
	})
	if err != nil {
		p.t.Fatal(err)
	}
}

// reporting waits until the proxy's reports of both versions come in: what it counts before that is void.
func (p *plane) reporting() {
	p.t.Helper()
	err := poll.Until(patience, func() error {
		for _, version := range []string{"v1", "v2"} {
			if len(p.Loads("outbound|8080|"+version+"|"+host, time.Time{})) == 0 {
				return fmt.Errorf("nobody reports %s", version)
			}
		}
		return nil
	})
	if err != nil {
		p.t.Fatal(err)
	}
}

// versioned serves a version: every tenth answer is a 503, every tenth a 404.
func versioned(t *testing.T, version string) string {
	t.Helper()
	turns := make(chan int, 1)
	turns <- 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := <-turns
		turns <- n + 1
		w.Header().Set(load.VersionHeader, version)
		switch n % 10 {
		case 3:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 7:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// TestEnvoy_loadsAreTheGenerators lets an Envoy report what it sends, over a step, and compares it with what the
// generator has counted: no request is missing, none is twice, and a 404 is no failure.
func TestEnvoy_loadsAreTheGenerators(t *testing.T) {
	e := startFrom(t, serve(t, "127.0.0.1:0"), backends{"v1": versioned(t, "v1"), "v2": versioned(t, "v2")}, 50, bootstrap.TLS{})
	e.plane.reporting()
	g, err := load.Start(t.Context(), load.Config{URL: e.url, RPS: 400, Seed: 1, Timeout: time.Minute}) // late is not failed
	if err != nil {
		t.Fatal(err)
	}
	enough := func(n int) {
		t.Helper()
		err := poll.Until(patience, func() error {
			if got := g.Record().Tally(time.Time{}, time.Time{}).Total; got < n {
				return fmt.Errorf("%d requests, want %d", got, n)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	enough(400) // what single endpoints answered is known for half a minute
	e.plane.publish(gatewayClass, e.resources(2, 15))
	e.plane.done(2)
	enough(1200)
	g.Stop()
	tally := g.Record().Tally(time.Time{}, time.Time{})
	for _, version := range []string{"v1", "v2"} {
		of := tally.Versions[version]
		if of.Requests == 0 || of.Status[http.StatusServiceUnavailable] == 0 || of.Status[http.StatusNotFound] == 0 {
			t.Fatalf("the generator has counted nothing to compare with: %+v", tally)
		}
		e.plane.totals(version, of.Requests, of.Status[http.StatusServiceUnavailable])
		e.plane.byEndpoint(version)
	}
}

// byEndpoint holds what single endpoints of a version answered against the sums.
func (p *plane) byEndpoint(version string) {
	p.t.Helper()
	var ok, failed uint64
	ids := map[uint32]bool{}
	for _, l := range p.Loads("outbound|8080|"+version+"|"+host, time.Time{}) {
		for _, e := range l.Endpoints {
			ok, failed, ids[e.ID] = ok+e.OK, failed+e.Failed, true
		}
	}
	if _, wantOK, wantFailed := p.total(version); ok != wantOK || failed != wantFailed || len(ids) != 1 {
		p.t.Errorf("the %d endpoints of %s answered %d requests well and failed %d, want 1 with %d and %d", len(ids), version, ok, failed, wantOK, wantFailed)
	}
}

// TestEnvoy_newClusterIsCountedAfterItsAnswer adds a version to a proxy that reports already.
func TestEnvoy_newClusterIsCountedAfterItsAnswer(t *testing.T) {
	e := start(t, 0)
	e.plane.reporting()
	var port int
	if _, err := fmt.Sscanf(e.url, "http://127.0.0.1:%d/", &port); err != nil {
		t.Fatal(err)
	}
	in := mesh(t, port, "HTTP", backends{"v1": versioned(t, "v1"), "v2": versioned(t, "v2"), "v3": versioned(t, "v3")})
	split := at(2, 100)
	split.Canary = "v3"
	e.plane.publish(gatewayClass, compile(t, in, gatewayClass, split))
	e.plane.done(2)
	third := "outbound|8080|v3|" + host
	err := poll.Until(patience, func() error {
		if len(e.plane.Loads(third, time.Time{})) == 0 {
			return fmt.Errorf("nobody reports %s", third)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		resp, err := http.Get(e.url)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	e.plane.totals("v3", 20, 2)
}

// TestEnvoy_statusOfItsClient reads what the server says that an Envoy has, before and after it refuses something.
func TestEnvoy_statusOfItsClient(t *testing.T) {
	e := start(t, 50)
	conn, err := grpc.NewClient(e.plane.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := statusservice.NewClientStatusDiscoveryServiceClient(conn)
	fetch := func() *statusservice.ClientConfig {
		t.Helper()
		out, err := client.FetchClientStatus(t.Context(), &statusservice.ClientStatusRequest{})
		if err != nil || len(out.GetConfig()) != 1 || out.GetConfig()[0].GetNode().GetId() != "edge-1" {
			t.Fatalf("status %v, %v", out, err)
		}
		return out.GetConfig()[0]
	}
	versions := map[string]string{}
	want := e.resources(1, 50)
	for _, list := range [][]envoy.Resource{want.Clusters, want.Listeners, want.Routes, want.Endpoints} {
		for _, r := range list {
			versions[r.Any.GetTypeUrl()+" "+r.Name] = r.Version
		}
	}
	got := fetch().GetGenericXdsConfigs()
	for _, one := range got {
		if v := versions[one.GetTypeUrl()+" "+one.GetName()]; one.GetConfigStatus() != statusservice.ConfigStatus_SYNCED ||
			one.GetClientStatus() != adminv3.ClientResourceStatus_ACKED || one.GetVersionInfo() != v || one.GetXdsConfig() == nil {
			t.Errorf("%s %s is %s of version %q, want %q", one.GetName(), one.GetConfigStatus(), one.GetClientStatus(), one.GetVersionInfo(), v)
		}
	}
	if len(got) != len(versions) {
		t.Errorf("%d resources, want %d", len(got), len(versions))
	}
	e.plane.publish(gatewayClass, withBadHost(t, e.resources(2, 100)))
	err = poll.Until(patience, func() error {
		for _, one := range fetch().GetGenericXdsConfigs() {
			if one.GetName() == want.Routes[0].Name && one.GetConfigStatus() == statusservice.ConfigStatus_ERROR &&
				one.GetClientStatus() == adminv3.ClientResourceStatus_NACKED && strings.Contains(one.GetErrorState().GetDetails(), "missing )") {
				return nil
			}
		}
		return fmt.Errorf("the refusal is not told")
	})
	if err != nil {
		t.Fatal(err)
	}
}
