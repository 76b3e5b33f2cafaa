package cli_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/internal/cli"
)

const shopMesh = `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front, namespace: shop}
spec:
  selector: {app: gw}
  servers:
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: shop}
spec:
  hosts: ["*"]
  gateways: [front]
  http:
  - name: testers
    match: [{headers: {x-tester: {exact: "yes"}}}]
    route: [{destination: {host: reviews, subset: v2}}]
  - name: primary
    route: [{destination: {host: reviews}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: shop}
spec:
  host: reviews
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
---
apiVersion: sluice.dev/v1alpha1
kind: Rollout
metadata: {name: reviews, namespace: shop}
spec: {host: reviews, subset: v1}
`

const shopService = `apiVersion: v1
kind: List
items:
- apiVersion: networking.istio.io/v1
  kind: ServiceEntry
  metadata: {name: reviews, namespace: shop}
  spec:
    hosts: [reviews.shop.svc.cluster.local]
    ports: [{number: 8080, name: http, protocol: HTTP}]
    resolution: STATIC
    endpoints: [{address: 10.0.0.1, labels: {version: v1}}, {address: 10.0.0.2, labels: {version: v2}}]
`

const atHalf = `apiVersion: sluice.dev/v1alpha1
kind: Rollout
metadata: {name: reviews, namespace: shop}
spec: {host: reviews, subset: v2}
status: {epoch: 1, seq: 5, attempt: 1, phase: Baking, step: 2, weight: 50, since: "2026-01-01T00:00:00.000000Z", traffic: {seq: 5}, stable: {name: v1}, canary: {name: v2}}
`

// files writes files into a fresh directory and gives its path.
func files(t *testing.T, content map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range content {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func runCLI(t *testing.T, stdin string, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = cli.Main(t.Context(), args, cli.Streams{In: strings.NewReader(stdin), Out: &o, Err: &e}, cli.Build{})
	return code, o.String(), e.String()
}

// answer is the part of the printed object that these tests look at.
type answer struct {
	Outcome      string
	Status       int
	VirtualHost  string
	RouteName    string
	Listener     string
	Destinations []struct {
		Cluster, Host, Subset string
		Port                  int
		Probability           float64
	}
	Problems []struct{ Code, Severity, Object, Field, Path string }
}

func route(t *testing.T, args ...string) answer {
	t.Helper()
	code, out, errs := runCLI(t, "", append(append([]string{"route"}, args...), "-o", "json")...)
	if code != 0 {
		t.Fatalf("%v: exit %d: %s", args, code, errs)
	}
	var a answer
	if err := json.Unmarshal([]byte(out), &a); err != nil {
		t.Fatalf("%v: %v in %s", args, err, out)
	}
	return a
}

func shares(a answer) map[string]float64 {
	out := map[string]float64{}
	for _, d := range a.Destinations {
		out[d.Subset] = d.Probability
	}
	return out
}

func TestRoute_readsDirectoriesListsAndRolloutStatus(t *testing.T) {
	dir := files(t, map[string]string{"a/mesh.yaml": shopMesh, "b/list.yml": shopService, "b/notes.txt": "not: read", "z.json": "", "status.yaml.off": atHalf})
	adopted := route(t, "-f", dir, "http://shop.example/")
	if diff := cmp.Diff(map[string]float64{"v1": 1}, shares(adopted)); diff != "" || adopted.Outcome != "route" {
		t.Errorf("a Rollout without status is just adopted: %s %s", adopted.Outcome, diff)
	}
	half := route(t, "-f", dir, "--rollout-status", filepath.Join(dir, "status.yaml.off"), "http://shop.example/")
	if diff := cmp.Diff(map[string]float64{"v1": 0.5, "v2": 0.5}, shares(half)); diff != "" {
		t.Errorf("shares (-want +got):\n%s", diff)
	}
	tester := route(t, "-f", dir, "-H", "X-Tester: yes", "http://shop.example/")
	if tester.RouteName != "testers" || tester.Destinations[0].Cluster != "outbound|8080|v2|reviews.shop.svc.cluster.local" {
		t.Errorf("a tester: %+v", tester)
	}
	other := route(t, "-f", dir, "-H", "Host: else.example", "--port", "80", "http://shop.example:9999/")
	if other.VirtualHost != "*:80" {
		t.Errorf("with --port and a Host header: %+v", other)
	}
}

func TestRoute_jsonAlwaysHasEveryKey(t *testing.T) {
	dir := files(t, map[string]string{"mesh.yaml": shopMesh})
	want := []string{"body", "cors", "destinations", "fault", "hash", "headers", "listener", "mirrors", "outcome", "problems", "redirect", "retries", "rewrite", "routeName", "status", "timeout", "virtualHost"}
	for _, target := range []string{"http://shop.example/", "http://shop.example:81/", "https://shop.example/"} {
		_, out, _ := runCLI(t, "", "route", "-f", dir, target, "-o", "json")
		var keys map[string]json.RawMessage
		if err := json.Unmarshal([]byte(out), &keys); err != nil {
			t.Fatal(err)
		}
		var got []string
		for k, v := range keys {
			got = append(got, k)
			if string(v) == "null" {
				t.Errorf("%s: %s is null", target, k)
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: keys (-want +got):\n%s", target, diff)
		}
	}
}

func TestRoute_partialTakesUnknownHostsOnTrust(t *testing.T) {
	dir := files(t, map[string]string{"mesh.yaml": shopMesh, "half.yaml.off": atHalf})
	if a := route(t, "-f", dir, "http://shop.example/"); a.Outcome != "noHealthyUpstream" || a.Status != 503 {
		t.Errorf("without --partial: %+v", a)
	}
	a := route(t, "-f", dir, "--partial", "--rollout-status", filepath.Join(dir, "half.yaml.off"), "http://shop.example/")
	if diff := cmp.Diff(map[string]float64{"v1": 0.5, "v2": 0.5}, shares(a)); diff != "" || a.Outcome != "route" || a.Destinations[0].Port != 80 {
		t.Errorf("with --partial: %+v %s", a, diff)
	}
	if a := route(t, "-f", dir, "--partial", "--sidecar", "shop/app=x", "http://cart/"); a.Outcome != "route" || a.Destinations[0].Host != "cart.shop.svc.cluster.local" {
		t.Errorf("a client in the mesh: %+v", a)
	}
}

func TestRoute_choosesTheProxy(t *testing.T) {
	second := strings.NewReplacer("name: front", "name: back", "app: gw", "app: other").Replace(shopMesh[:strings.Index(shopMesh, "---")])
	dir := files(t, map[string]string{"mesh.yaml": shopMesh, "second.yaml": second, "service.yaml": shopService})
	code, _, errs := runCLI(t, "", "route", "-f", dir, "http://shop.example/")
	if code != 2 || !strings.Contains(errs, "--gateway") {
		t.Errorf("two Gateways for different proxies: exit %d, %q", code, errs)
	}
	if a := route(t, "-f", dir, "--gateway", "shop/front", "http://shop.example/"); a.RouteName != "primary" {
		t.Errorf("by name: %+v", a)
	}
	if a := route(t, "-f", dir, "--sidecar", "shop", "http://reviews:8080/"); a.RouteName != "default" || a.Destinations[0].Subset != "v1" {
		t.Errorf("a sidecar: %+v", a)
	}
}

func TestRoute_tellsProblemsWithTheirFile(t *testing.T) {
	dir := files(t, map[string]string{"a.yaml": shopMesh, "b.yaml": shopMesh, "c.yaml": strings.ReplaceAll(shopMesh[strings.Index(shopMesh, "apiVersion: networking.istio.io/v1\nkind: DestinationRule"):strings.LastIndex(shopMesh, "---")], "name: reviews,", "name: typo,") + "  trafficPolicies: {}\n"})
	a := route(t, "-f", dir, "http://shop.example/")
	var got []string
	for _, p := range a.Problems {
		if p.Code == "S001" || p.Code == "S004" {
			got = append(got, p.Code+" "+p.Object+" "+p.Field+" "+filepath.Base(p.Path))
		}
	}
	want := []string{
		"S001 DestinationRule/shop/typo spec.trafficPolicies c.yaml",
		"S004 DestinationRule/shop/reviews  b.yaml", "S004 Gateway/shop/front  b.yaml", "S004 Rollout/shop/reviews  b.yaml", "S004 VirtualService/shop/reviews  b.yaml",
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestRoute_exitCodes(t *testing.T) {
	dir := files(t, map[string]string{"mesh.yaml": shopMesh, "bad.yaml.off": "a: [", "text.yaml.off": "just text"})
	for _, c := range []struct {
		args []string
		want int
	}{
		{[]string{"-f", dir, "http://shop.example/"}, 0},
		{[]string{"-f", "-", "http://shop.example/"}, 0},
		{[]string{"-f", filepath.Join(dir, "nosuch"), "http://shop.example/"}, 1},
		{[]string{"-f", filepath.Join(dir, "bad.yaml.off"), "http://shop.example/"}, 1},
		{[]string{"-f", filepath.Join(dir, "text.yaml.off"), "http://shop.example/"}, 1},
		{[]string{"-f", dir, "--rollout-status", filepath.Join(dir, "nosuch"), "http://shop.example/"}, 1},
		{[]string{"http://shop.example/"}, 2},
		{[]string{"-f", dir}, 2},
		{[]string{"-f", dir, "shop.example"}, 2},
		{[]string{"-f", dir, "-o", "yaml", "http://shop.example/"}, 2},
		{[]string{"-f", dir, "-H", "nocolon", "http://shop.example/"}, 2},
		{[]string{"-f", dir, "--gateway", "shop/nosuch", "http://shop.example/"}, 2},
		{[]string{"-f", dir, "--gateway", "shop/front", "--sidecar", "shop", "http://shop.example/"}, 2},
		{[]string{"-f", dir, "--nosuch", "http://shop.example/"}, 2},
	} {
		code, out, errs := runCLI(t, shopMesh, append([]string{"route"}, c.args...)...)
		if code != c.want || (code == 0) != (out != "") || (code != 0) != strings.Contains(errs, "error: ") {
			t.Errorf("%v: exit %d, want %d; stdout %q, stderr %q", c.args, code, c.want, out, errs)
		}
	}
}

func TestRoute_textSaysItInLines(t *testing.T) {
	dir := files(t, map[string]string{"mesh.yaml": shopMesh, "service.yaml": shopService, "half.off": atHalf})
	_, out, _ := runCLI(t, "", "route", "-f", dir, "--rollout-status", filepath.Join(dir, "half.off"), "http://shop.example/cart")
	for _, want := range []string{"GET http://shop.example/cart at the gateway of namespace shop (app=gw), port 80\nis forwarded\n", `by route "primary"`, "50%   v1   reviews.shop.svc.cluster.local:8080   LEAST_REQUEST", "timeout   none", "problems\n", "warning S067"} {
		if !strings.Contains(out, want) {
			t.Errorf("the text lacks %q:\n%s", want, out)
		}
	}
	_, out, _ = runCLI(t, "", "route", "-f", dir, "http://shop.example:81/")
	if !strings.Contains(out, "finds no listener") {
		t.Errorf("no listener: %s", out)
	}
}
