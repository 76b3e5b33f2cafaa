package dataplane

import (
	"context"
	"fmt"
	"maps"
	"math"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/test/poll"
	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/istio"
	"github.com/sluice-dev/sluice/xds/manifest"
	"github.com/sluice-dev/sluice/xds/server"
)

const (
	key      = "shop/reviews"
	host     = "reviews.example"
	patience = 20 * time.Second
)

// backends are the addresses of the versions, "host:port" by version.
type backends map[string]string

// mesh is the text of a mesh with one service on port 8080, its versions, and a gateway on port.
func mesh(t *testing.T, port int, protocol string, to backends) istio.Input {
	t.Helper()
	var endpoints, subsets []string
	for _, v := range slices.Sorted(maps.Keys(to)) {
		ip, backend, err := net.SplitHostPort(to[v])
		if err != nil {
			t.Fatal(err)
		}
		endpoints = append(endpoints, fmt.Sprintf("{address: %s, ports: {main: %s}, labels: {version: %s}}", ip, backend, v))
		subsets = append(subsets, fmt.Sprintf("{name: %s, labels: {version: %s}}", v, v))
	}
	m := manifest.New()
	err := m.Read("mesh.yaml", strings.NewReader(fmt.Sprintf(`
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: reviews, namespace: shop}
spec:
  hosts: [%[1]s]
  ports: [{number: 8080, name: main, protocol: %[2]s}]
  resolution: STATIC
  endpoints: [%[3]s]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: shop}
spec:
  host: %[1]s
  subsets: [%[4]s]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front, namespace: shop}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: %[5]d, name: http, protocol: HTTP}, hosts: ["*"], bind: 127.0.0.1}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: shop}
spec:
  hosts: ["*"]
  gateways: [front]
  http: [{route: [{destination: {host: %[1]s}}], retries: {attempts: 0}}]
`, host, protocol, strings.Join(endpoints, ", "), strings.Join(subsets, ", "), port)))
	if err != nil {
		t.Fatal(err)
	}
	return m.Input("cluster.local", "istio-system")
}

// at is a split between v1 and v2.
func at(seq uint64, weight int) ir.Split {
	return ir.Split{Key: key, UID: "u", Host: host, Stable: "v1", Canary: "v2", Weight: weight, Seq: seq}
}

// compile makes what proxies of the class are served. The mesh must have no error.
func compile(t *testing.T, in istio.Input, class ir.ProxyClass, splits ...ir.Split) envoy.Resources {
	t.Helper()
	in.Splits = splits
	cfg, problems := istio.Translate(in, class)
	if problem.HasError(problems) {
		t.Fatalf("the mesh has errors: %v", problems)
	}
	r, err := envoy.Build(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// plane is a running xDS server.
type plane struct {
	*server.Server
	t    *testing.T
	addr string
	stop func()
}

// serve starts a server on addr; "127.0.0.1:0" is any port.
func serve(t *testing.T, addr string) *plane {
	t.Helper()
	s, err := server.New(server.Config{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return run(t, s, l.Addr().String(), func(ctx context.Context) error { return s.Serve(ctx, l) })
}

// run lets a server serve until the end of the test.
func run(t *testing.T, s *server.Server, addr string, serve func(context.Context) error) *plane {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := serve(ctx); err != nil {
			t.Errorf("serving: %v", err)
		}
	}()
	p := &plane{Server: s, t: t, addr: addr, stop: func() { cancel(); <-ended }}
	t.Cleanup(p.stop)
	s.Open()
	return p
}

func (p *plane) publish(class ir.ProxyClass, r envoy.Resources) {
	p.t.Helper()
	if err := p.Publish(p.t.Context(), class, r); err != nil {
		p.t.Fatal(err)
	}
}

// converged waits until ok holds, and returns that convergence.
func (p *plane) converged(seq uint64, ok func(ir.Convergence) bool) ir.Convergence {
	p.t.Helper()
	var c ir.Convergence
	err := poll.Until(patience, func() error {
		if c = p.Convergence(key, "u", seq); !ok(c) {
			return fmt.Errorf("convergence of seq %d is %+v (first rejection %+v)", seq, c, c.First)
		}
		return nil
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

// done waits until one proxy runs seq and its workers follow.
func (p *plane) done(seq uint64) {
	p.t.Helper()
	c := p.converged(seq, func(c ir.Convergence) bool { return c.Done() && c.Connected == 1 })
	err := poll.Until(patience, func() error {
		if now := time.Now(); now.Before(c.SettledAt) {
			return fmt.Errorf("it settles in %v", c.SettledAt.Sub(now))
		}
		return nil
	})
	if err != nil {
		p.t.Fatal(err)
	}
}

// within checks a share against its weight: n trials, at most five standard deviations away, which is once in two million;
// exactly at 0 and 100.
func within(t *testing.T, weight, n, canary int) {
	t.Helper()
	p := float64(weight) / 100
	mean, sigma := float64(n)*p, math.Sqrt(float64(n)*p*(1-p))
	if math.Abs(float64(canary)-mean) > 5*sigma {
		t.Errorf("at weight %d %d of %d requests reached the canary, want %.0f within %.0f", weight, canary, n, mean, 5*sigma)
	}
}
