package cli_test

import (
	"strings"
	"testing"
)

const storeMesh = `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: redis, namespace: shop}
spec:
  hosts: [redis.shop.svc.cluster.local]
  addresses: [10.0.0.20]
  ports: [{number: 6379, name: tcp, protocol: TCP}]
  resolution: STATIC
  endpoints: [{address: 10.3.0.1, labels: {version: v1}}, {address: 10.3.0.2, labels: {version: v2}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: idle, namespace: shop}
spec:
  hosts: [idle.example]
  ports: [{number: 7000, name: tcp, protocol: TCP}]
  resolution: STATIC
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: redis, namespace: shop}
spec:
  host: redis
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: redis, namespace: shop}
spec:
  hosts: [redis]
  tcp: [{route: [{destination: {host: redis}}]}]
`

const storeAtHalf = `apiVersion: sluice.dev/v1alpha1
kind: Rollout
metadata: {name: redis, namespace: shop}
spec: {host: redis, subset: v2}
status: {epoch: 1, seq: 5, attempt: 1, phase: Baking, step: 2, weight: 50, since: "2026-01-01T00:00:00.000000Z", traffic: {seq: 5}, stable: {name: v1}, canary: {name: v2}}
`

func TestRoute_followsConnections(t *testing.T) {
	dir := files(t, map[string]string{"mesh.yaml": storeMesh, "rollout.yaml": storeAtHalf})
	for _, c := range []struct {
		args    string
		outcome string
		route   string
		cluster string
	}{
		{"--sidecar shop tcp://redis:6379", "route", "shop/redis tcp[0]", "outbound|6379|v1|redis.shop.svc.cluster.local"},
		{"--sidecar shop --capture redirect tcp://redis:6379", "route", "shop/redis tcp[0]", "outbound|6379|v1|redis.shop.svc.cluster.local"},
		{"--sidecar shop --capture redirect tcp://10.0.0.20:6379", "route", "shop/redis tcp[0]", "outbound|6379|v1|redis.shop.svc.cluster.local"},
		{"--sidecar shop --capture redirect tcp://elsewhere.test:6379", "route", "allow_any", "PassthroughCluster"},
		{"--sidecar shop tcp://idle.example:7000", "noHealthyUpstream", "default", "outbound|7000||idle.example"},
		{"--sidecar shop tcp://elsewhere.test:9999", "noListener", "", ""},
		{"--sidecar shop --partial tcp://elsewhere.test:9999", "route", "default", "outbound|9999||elsewhere.test"},
		{"--sidecar shop --partial --tls tcp://elsewhere.test:9999", "route", "default", "outbound|9999||elsewhere.test"},
		{"--sidecar shop --partial --sni other.test tcp://elsewhere.test:9999", "noListener", "", ""},
	} {
		got := route(t, append([]string{"-f", dir}, strings.Fields(c.args)...)...)
		cluster := ""
		if len(got.Destinations) > 0 {
			cluster = got.Destinations[0].Cluster
		}
		if got.Outcome != c.outcome || got.RouteName != c.route || cluster != c.cluster || got.Status != 0 {
			t.Errorf("%s: %s %d by %q to %q, want %s 0 by %q to %q", c.args, got.Outcome, got.Status, got.RouteName, cluster, c.outcome, c.route, c.cluster)
		}
	}
	if half := shares(route(t, "-f", dir, "--sidecar", "shop", "tcp://redis:6379")); half["v1"] != 0.5 || half["v2"] != 0.5 {
		t.Errorf("at half of a rollout connections go %v", half)
	}
}

func TestRoute_saysConnectionsInWords(t *testing.T) {
	dir := files(t, map[string]string{"mesh.yaml": storeMesh})
	for want, args := range map[string][]string{
		"is closed: no endpoint is ready\n": {"tcp://idle.example:7000"},
		"(all)   PassthroughCluster":        {"--capture", "redirect", "tcp://elsewhere.test:1"},
	} {
		if code, out, errs := runCLI(t, "", append([]string{"route", "-f", dir, "--sidecar", "shop"}, args...)...); code != 0 || !strings.Contains(out, want) {
			t.Errorf("%v: exit %d, %s%s, want %q in it", args, code, out, errs, want)
		}
	}
	for _, args := range [][]string{{"--sidecar", "shop", "--capture", "maybe"}, {"--capture", "nosuch"}} {
		if code, _, errs := runCLI(t, "", append(append([]string{"route", "-f", dir}, args...), "tcp://redis:6379")...); code != 2 || !strings.Contains(errs, "capture") {
			t.Errorf("%v: exit %d, %q, want 2 and a word about capture", args, code, errs)
		}
	}
}
