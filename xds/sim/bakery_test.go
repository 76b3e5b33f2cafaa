package sim_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/istio"
	"github.com/sluice-dev/sluice/xds/manifest"
	"github.com/sluice-dev/sluice/xds/sim"
)

// The application of examples/bakery, as its gateway and a client inside the mesh see it while its Rollout is at 15 %.
const (
	bakeryAsked  = 240  // requests
	bakeryShares = 2000 // requests for each split
)

func bakery(t *testing.T, class ir.ProxyClass) envoy.Resources {
	t.Helper()
	paths, err := filepath.Glob("../../examples/bakery/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no example: %v", err)
	}
	files, status := manifest.New(), manifest.New()
	story{own: map[string]bool{}}.readSecrets(t, files, "tls bakery/bakery-cert bakery.example staff.bakery.example")
	for _, p := range paths {
		readManifest(t, files, p)
	}
	readManifest(t, status, "../../examples/status/menu-at-15.yaml")
	files.ReplaceRollouts(status)
	cfg, problems := istio.Translate(files.Input("", ""), class)
	for _, p := range files.Placed(problems) {
		if p.Severity != problem.Info && p.Code != "S067" {
			t.Errorf("the example is not clean: %v", p)
		}
	}
	res, err := envoy.Build(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func readManifest(t *testing.T, into *manifest.Mesh, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := into.Read(path, f); err != nil {
		t.Fatal(err)
	}
}

// TestBakery_envoyAndSimulatorAgree asks both the same random requests, and counts the splits.
func TestBakery_envoyAndSimulatorAgree(t *testing.T) {
	counter := bakery(t, ir.ProxyClass{Kind: ir.KindGateway, Namespace: "bakery", Labels: "app=counter"})
	inside := bakery(t, ir.ProxyClass{Kind: ir.KindSidecar, Namespace: "bakery"})
	r := newRig(t)
	r.add("counter", counter)
	r.add("inside", inside)
	r.start()
	r.checkDump(t)
	n := seedOfToday(t)
	random := rand.New(rand.NewPCG(n, 1))
	outcomes := map[sim.Outcome]int{}
	proxies := map[string]*sim.Proxy{"counter": sim.New(counter), "inside": sim.New(inside)}
	for range bakeryAsked {
		mesh, req := bakeryRequest(random)
		want := proxies[mesh].Route(req)
		outcomes[want.Outcome]++
		r.compare(t, mesh, fmt.Sprintf("%s: %+v", mesh, req), req, want)
	}
	t.Logf("seed %d: %v", n, outcomes)
	for _, o := range []sim.Outcome{sim.Routed, sim.Redirected, sim.DirectResponse, sim.NoRoute, sim.TLSRequired} {
		if outcomes[o] == 0 {
			t.Errorf("no request had outcome %s: %v", o, outcomes)
		}
	}
	r.checkShares(t, "counter", sim.Request{Port: 443, TLS: true, SNI: "bakery.example", Method: "GET", Host: "bakery.example", Path: "/menu"},
		map[string]float64{"v1": 0.85, "v2": 0.15})
	r.checkShares(t, "counter", sim.Request{Port: 443, TLS: true, SNI: "bakery.example", Method: "POST", Host: "bakery.example", Path: "/api/v1/orders"},
		map[string]float64{"paper": 0.5, "tablet": 0.5})
	r.checkShares(t, "inside", sim.Request{Port: 80, Method: "GET", Host: "menu", Path: "/"}, map[string]float64{"v1": 0.85, "v2": 0.15})
}

func bakeryRequest(random *rand.Rand) (string, sim.Request) {
	one := func(list ...string) string { return list[random.IntN(len(list))] }
	req := sim.Request{
		Port: 80, Method: one("GET", "GET", "POST", "HEAD"), Headers: map[string][]string{},
		Path: one("/", "/menu", "/menu/", "/menu/today", "/menus", "/shop.html", "/shop.html?from=mail", "/api/v1/orders", "/api/v1/orders/7?full",
			"/ovens/1", "/ovens/12/temperature", "/ovens/x", "/ovens", "/static/../menu", "/%6Denu"),
	}
	if random.IntN(3) == 0 {
		req.Headers["X-Taster"] = []string{one("anna", "Anna", "bert")}
	}
	if random.IntN(4) == 0 {
		req.Host = one("menu", "menu.bakery", "orders.bakery.svc.cluster.local", "page:80", "nobody", "10.9.0.4")
		return "inside", req
	}
	req.Host = one("bakery.example", "bakery.example", "staff.bakery.example", "BAKERY.example", "other.example")
	if random.IntN(4) > 0 {
		req.Port, req.TLS, req.SNI = 443, true, one("bakery.example", "staff.bakery.example")
	}
	return "counter", req
}

// checkShares counts which subset answers, to four standard deviations.
func (r *rig) checkShares(t *testing.T, mesh string, req sim.Request, want map[string]float64) {
	t.Helper()
	seen := map[string]int{}
	listener := r.meshes[mesh].listeners[req.Port][0]
	for range bakeryShares {
		resp, _ := r.send(t, r.ports[mesh+"/"+listener], req)
		_, subset, _, _ := ir.ParseClusterName(r.meshes[mesh].seen(resp))
		seen[subset]++
	}
	for subset, p := range want {
		mean, slack := bakeryShares*p, 4*math.Sqrt(bakeryShares*p*(1-p))
		if got := float64(seen[subset]); math.Abs(got-mean) > slack {
			t.Errorf("%s%s: %s answers %v of %d requests, want %.0f within %.0f", req.Host, req.Path, subset, got, bakeryShares, mean, slack)
		}
	}
	if len(seen) != len(want) {
		t.Errorf("%s%s: answered by %v, want %v", req.Host, req.Path, seen, want)
	}
}
