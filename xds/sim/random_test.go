package sim_test

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/test/httpmesh"
	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/istio"
	"github.com/sluice-dev/sluice/xds/manifest"
	"github.com/sluice-dev/sluice/xds/sim"
)

var (
	seed = flag.Uint64("seed", 0, "of the random meshes and requests; 0: another each day")
	many = flag.Int("meshes", randomMeshes, "how many random meshes are asked")
)

const (
	randomMeshes = 100
	perMesh      = 20 // requests
)

// TestRoute_saysWhatEnvoyDoesWithRandomMeshes asks Envoy and the simulator the same random questions of random meshes.
// Each difference that was found stands as a case in testdata.
func TestRoute_saysWhatEnvoyDoesWithRandomMeshes(t *testing.T) {
	n := seedOfToday(t)
	t.Logf("again with: go test ./xds/sim -run RandomMeshes -seed %d -meshes %d", n, *many)
	random := rand.New(rand.NewPCG(n, 0))
	r := newRig(t)
	var all []randomMesh
	for i := range *many {
		m := newRandomMesh(t, fmt.Sprintf("mesh%d", i), random)
		all = append(all, m)
		r.add(m.name, m.res)
	}
	r.start()
	r.checkDump(t)
	outcomes := map[sim.Outcome]int{}
	for _, m := range all {
		p := sim.New(m.res)
		for range perMesh {
			req := m.request(random)
			want := p.Route(req)
			outcomes[want.Outcome]++
			asked := fmt.Sprintf("%s: %s %s%s port %d %v", m.name, req.Method, req.Host, req.Path, req.Port, req.Headers)
			r.compare(t, m.name, asked, req, want)
			if t.Failed() {
				t.Fatalf("the mesh, for a %s, chose route %q of %q; its rules:\n%s", m.class.Kind, want.RouteName, want.VirtualHost, m.rules())
			}
		}
	}
	t.Logf("%d sent, %d questions: %v", r.sent, *many*perMesh, outcomes)
}

// seedOfToday is the seed that was asked for, else that of the day.
func seedOfToday(t *testing.T) uint64 {
	t.Helper()
	if *seed != 0 {
		return *seed
	}
	return uint64(time.Now().Unix() / (24 * 60 * 60))
}

type randomMesh struct {
	name  string
	text  []byte
	class ir.ProxyClass
	res   envoy.Resources
	ports []int    // of listeners
	hosts []string // of virtual hosts
}

func newRandomMesh(t *testing.T, name string, random *rand.Rand) randomMesh {
	t.Helper()
	out := randomMesh{name: name, text: httpmesh.Random(random).YAML(), class: ir.ProxyClass{Kind: ir.KindGateway, Namespace: httpmesh.Namespace, Labels: "app=gateway"}}
	if random.IntN(3) == 0 {
		out.class = ir.ProxyClass{Kind: ir.KindSidecar, Namespace: httpmesh.Namespace}
	}
	files := manifest.New()
	if err := files.Read("random.yaml", bytes.NewReader(out.text)); err != nil {
		t.Fatal(err)
	}
	cfg, _ := istio.Translate(files.Input("", ""), out.class)
	var err error
	if out.res, err = envoy.Build(cfg); err != nil {
		t.Fatalf("%v\n%s", err, out.text)
	}
	for _, l := range cfg.Listeners {
		out.ports = append(out.ports, l.Port)
	}
	for _, table := range cfg.Tables {
		for _, h := range table.VirtualHosts {
			for _, d := range h.Domains {
				out.hosts = append(out.hosts, strings.Replace(d, "*", "any", 1))
			}
		}
	}
	return out
}

// rules are the documents of the mesh that say where requests go.
func (m randomMesh) rules() string {
	var out []string
	for doc := range strings.SplitSeq(string(m.text), "---\n") {
		if strings.Contains(doc, "kind: VirtualService") || strings.Contains(doc, "kind: Gateway") || strings.Contains(doc, "kind: Rollout") {
			out = append(out, doc)
		}
	}
	return strings.Join(out, "---\n")
}

func (m randomMesh) request(random *rand.Rand) sim.Request {
	one := func(list []string) string { return list[random.IntN(len(list))] }
	req := sim.Request{
		Port: m.ports[random.IntN(len(m.ports))], Method: one(httpmesh.Methods()), Host: one(m.hosts), Path: one(httpmesh.Paths()), Headers: map[string][]string{},
	}
	switch {
	case random.IntN(2) == 0:
	case m.class.Kind == ir.KindSidecar:
		req.Host = one(httpmesh.Services()) + one([]string{"", ".shop", ".shop.svc", ".shop.svc.cluster.local"})
	default:
		req.Host = one(httpmesh.Hosts())
	}
	if random.IntN(4) == 0 {
		req.Host += fmt.Sprintf(":%d", req.Port)
	}
	names, values := httpmesh.Headers()
	for range random.IntN(3) {
		name := one(names)
		req.Headers[name] = append(req.Headers[name], one(values))
	}
	if random.IntN(12) == 0 {
		req.Headers["X-Forwarded-Proto"] = []string{"https"}
	}
	if random.IntN(6) == 0 {
		req.Headers["Origin"] = []string{one([]string{"https://page.example", "http://page.example", "https://evil.test"})}
	}
	return req
}
