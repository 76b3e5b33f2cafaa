package sim_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/test/poll"
	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/istio"
	"github.com/sluice-dev/sluice/xds/manifest"
	"github.com/sluice-dev/sluice/xds/sim"
)

const (
	splitConnections = 2000
	splitDrain       = 16 * time.Second
	heldConnections  = 20
)

// storeAt is the store with one tcp rule and a Rollout at a weight.
func storeAt(t *testing.T, weight int) envoy.Resources {
	t.Helper()
	mesh := manifest.New()
	store, err := os.ReadFile("testdata/store.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"store.yaml": store, "split.yaml": fmt.Appendf(nil, `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: redis, namespace: shop}
spec:
  hosts: [redis]
  tcp: [{route: [{destination: {host: redis}}]}]
---
apiVersion: sluice.dev/v1alpha1
kind: Rollout
metadata: {name: redis, namespace: shop, uid: u1}
spec: {host: redis, subset: v2}
status: {epoch: 1, seq: 7, attempt: 1, phase: Baking, step: 1, weight: %d, since: "2026-01-01T00:00:00.000000Z", traffic: {seq: 7}, stable: {name: v1}, canary: {name: v2}}
`, weight)} {
		if err := mesh.Read(name, bytes.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	cfg, _ := istio.Translate(mesh.Input("", ""), ir.ProxyClass{Kind: ir.KindSidecar, Namespace: "shop"})
	res, err := envoy.Build(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// held is an open connection and the cluster at its other end.
type held struct {
	net.Conn
	cluster string
}

// TestSplit_ofConnectionsHoldsForNewOnes counts connections at two weights. Those that were open before the second weight
// keep their version, and are closed when Envoy has drained them.
func TestSplit_ofConnectionsHoldsForNewOnes(t *testing.T) {
	r := newRig(t)
	r.drain = splitDrain
	r.add("store", storeAt(t, 15))
	r.start()
	r.checkShare(t, 0.15)
	open := r.hold(t)
	r.res = envoy.Resources{}
	r.add("store", storeAt(t, 50))
	r.publish()
	err := poll.Until(rigPatience, func() error {
		if got := r.share(t, 200); got < 0.35 {
			return fmt.Errorf("the canary has %v of new connections", got)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range open {
		resp, err := ask(c)
		if err != nil {
			t.Fatalf("an open connection to %s: %v", c.cluster, err)
		}
		if got := r.meshes["store"].seen(resp); got != c.cluster {
			t.Errorf("an open connection moves from %s to %s", c.cluster, got)
		}
	}
	r.checkShare(t, 0.5)
	for _, c := range open {
		if err := c.SetDeadline(time.Now().Add(splitDrain + rigPatience)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("a connection to %s is not closed after its time: %v", c.cluster, err)
		}
		c.Close()
	}
}

// share is how much of new connections the canary gets.
func (r *rig) share(t *testing.T, connections int) float64 {
	t.Helper()
	canary := 0
	for range connections {
		resp, err := r.open(t, "store", "0.0.0.0_6379", sim.Request{Port: 6379, Raw: true})
		if err != nil {
			t.Fatal(err)
		}
		switch got := r.meshes["store"].seen(resp); got {
		case "outbound|6379|v2|redis.shop.svc.cluster.local":
			canary++
		case "outbound|6379|v1|redis.shop.svc.cluster.local":
		default:
			t.Fatalf("a connection goes to %s", got)
		}
	}
	return float64(canary) / float64(connections)
}

// checkShare expects a share within five standard deviations.
func (r *rig) checkShare(t *testing.T, want float64) {
	t.Helper()
	got, bound := r.share(t, splitConnections), 5*math.Sqrt(want*(1-want)/splitConnections)
	t.Logf("of %d connections the canary has %.4f, want %.2f within %.4f", splitConnections, got, want, bound)
	if math.Abs(got-want) > bound {
		t.Errorf("of %d connections the canary has %v, want %v within %v", splitConnections, got, want, bound)
	}
}

// hold opens connections that stay open, to both versions.
func (r *rig) hold(t *testing.T) []held {
	t.Helper()
	var out []held
	seen := map[string]bool{}
	for len(out) < heldConnections || len(seen) < 2 {
		conn, err := r.dial("store", "0.0.0.0_6379", sim.Request{Port: 6379, Raw: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		resp, err := ask(conn)
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.SetDeadline(time.Now().Add(rigPatience)); err != nil {
			t.Fatal(err)
		}
		out = append(out, held{conn, r.meshes["store"].seen(resp)})
		seen[out[len(out)-1].cluster] = true
	}
	return out
}
