package lint_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/internal/cli/lint"
	"github.com/sluice-dev/sluice/xds/manifest"
)

func file(name, content string) lint.File { return lint.File{Name: name, Content: []byte(content)} }

// codes are the findings as "code line".
func codes(ps []problem.Problem) []string {
	out := []string{}
	for _, p := range ps {
		out = append(out, fmt.Sprintf("%s %d", p.Code, p.Line))
	}
	return out
}

const pinned = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a, namespace: shop}
spec:
  hosts: [a]
  http:
  - route: [{destination: {host: b, subset: v1}}]
`

func TestRun_partialTakesHostsAsExistingButNotSubsets(t *testing.T) {
	t.Parallel()
	if got := codes(run(t, lint.Options{}, file("a.yaml", pinned)).Problems); !slices.Equal(got, []string{"S011 7"}) {
		t.Errorf("the whole mesh: %v", got)
	}
	if got := codes(run(t, lint.Options{Partial: true}, file("a.yaml", pinned)).Problems); !slices.Equal(got, []string{"S010 7"}) {
		t.Errorf("a part of it: %v", got)
	}
}

func TestRun_grpcClientsAreLookedAtWhereAskedFor(t *testing.T) {
	t.Parallel()
	text := strings.Replace(pinned, "  - route", "  - match: [{queryParams: {q: {exact: x}}}]\n    route", 1) + `---
apiVersion: v1
kind: Service
metadata: {name: a, namespace: shop}
spec: {ports: [{name: grpc, port: 80}]}
`
	with, without := run(t, lint.Options{Partial: true, GRPC: true}, file("a.yaml", text)), run(t, lint.Options{Partial: true}, file("a.yaml", text))
	has := func(ps []problem.Problem) bool {
		return slices.ContainsFunc(ps, func(p problem.Problem) bool { return p.Code == "S081" })
	}
	if !has(with.Problems) || has(without.Problems) {
		t.Errorf("with: %v, without: %v", codes(with.Problems), codes(without.Problems))
	}
}

// TestRun_namespacesOfOneViewAreLookedAtOnce holds the short cut against its reason: what only one namespace sees is found.
func TestRun_namespacesOfOneViewAreLookedAtOnce(t *testing.T) {
	t.Parallel()
	const service = `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: b, namespace: bank}
spec: {hosts: [b.example], exportTo: [EXPORT], ports: [{number: 80, name: http, protocol: HTTP}], resolution: STATIC, endpoints: [{address: 10.0.0.1}]}
---
`
	vs := func(namespace string) string {
		return strings.NewReplacer("namespace: shop", "namespace: "+namespace, "host: b, subset: v1", "host: b.example").Replace(pinned)
	}
	text := func(export string) string {
		return strings.Replace(service, "EXPORT", export, 1) + vs("alpha") + "---\n" + vs("bank") + "---\n" + vs("omega")
	}
	if got := codes(run(t, lint.Options{}, file("a.yaml", text("'*'"))).Problems); len(got) != 0 {
		t.Errorf("visible to all: %v", got)
	}
	if got := codes(run(t, lint.Options{}, file("a.yaml", text("bank"))).Problems); len(got) == 0 {
		t.Error("visible to one namespace: nothing was found for the others")
	}
	if got := codes(run(t, lint.Options{}, file("a.yaml", text("bank, alpha"))).Problems); len(got) == 0 {
		t.Error("visible to two namespaces: nothing was found for the third")
	}
}

func TestRun_workloadsThatAreSelectedAreLookedAtBesides(t *testing.T) {
	t.Parallel()
	const text = `---
apiVersion: v1
kind: Service
metadata: {name: b, namespace: shop}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: b, namespace: shop}
spec: {host: b, subsets: [{name: v1, labels: {version: v1}}]}
`
	const narrow = `---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: b-for-a, namespace: shop}
spec: {host: b, workloadSelector: {matchLabels: {app: a}}, trafficPolicy: {loadBalancer: {simple: RANDOM}}}
`
	if got := codes(run(t, lint.Options{}, file("a.yaml", pinned+text)).Problems); len(got) != 0 {
		t.Errorf("one rule for all: %v", got)
	}
	if got := codes(run(t, lint.Options{}, file("a.yaml", pinned+text+narrow)).Problems); !slices.Contains(got, "S010 7") {
		t.Errorf("another rule for some, without the subset: %v", got)
	}
}

func TestRun_kindsThatSayNothingAboutTrafficArePassedOver(t *testing.T) {
	t.Parallel()
	for version, want := range map[string][]string{
		"apps/v1 Deployment": {}, "batch/v1 Job": {}, "monitoring.example/v1 Alert": {}, "cert-manager.example/v1 Ingress": {},
		"telemetry.istio.io/v1 Telemetry": {"S003 1"}, "networking.istio.io/v1alpha3 EnvoyFilter": {"S003 1"},
		"gateway.networking.k8s.io/v1 HTTPRoute": {"S003 1"}, "networking.k8s.io/v1 Ingress": {"S003 1"}, "networking.k8s.io/v1 NetworkPolicy": {},
	} {
		group, kind, _ := strings.Cut(version, " ")
		got := codes(run(t, lint.Options{}, file("a.yaml", fmt.Sprintf("{apiVersion: %s, kind: %s, metadata: {name: a}}\n", group, kind))).Problems)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", version, diff)
		}
	}
}

func TestRun_oneFindingOfSeveralUnitsCountsOnce(t *testing.T) {
	t.Parallel()
	f := file("a.yaml", pinned)
	in := lint.Input{Files: []lint.File{f}}
	for range 3 {
		mesh := manifest.New()
		mesh.Load(f.Name, f.Content)
		in.Units = append(in.Units, lint.Unit{Mesh: mesh, Found: []problem.Problem{{Code: "S312", Severity: problem.Error, Message: "m", Path: "k.yaml"}}})
	}
	r, err := lint.Run(in, lint.Options{})
	if got := codes(r.Problems); err != nil || !slices.Equal(got, []string{"S011 7", "S312 0"}) || r.Objects != 1 || r.Files != 1 {
		t.Errorf("%v %v, %d objects in %d files", err, got, r.Objects, r.Files)
	}
}

func TestSuppress_isOnTheLineOrAloneAboveIt(t *testing.T) {
	t.Parallel()
	place := func(before, behind string) string {
		return strings.Replace(pinned, "  - route: [{destination: {host: b, subset: v1}}]", before+"  - route: [{destination: {host: b}}]"+behind, 1)
	}
	for name, row := range map[string]struct {
		text       string
		want       []string
		suppressed int
	}{
		"on the line":                   {place("", " # sluice:ignore S011 b comes later"), []string{}, 1},
		"above":                         {place("  # sluice:ignore S011 b comes later\n", ""), []string{}, 1},
		"above, with a comment between": {place("  # sluice:ignore S011 b comes later\n  # indeed\n\n", ""), []string{}, 1},
		"behind text of the line above": {strings.Replace(place("", ""), "http:", "http: # sluice:ignore S011 b comes later", 1), []string{"S507 6", "S011 7"}, 0},
		"of another code":               {place("", " # sluice:ignore S010 b comes later"), []string{"S011 7", "S507 7"}, 0},
		"without a reason":              {place("", " # sluice:ignore S011"), []string{"S011 7", "S506 7"}, 0},
		"without a code":                {place("", " # sluice:ignore because"), []string{"S011 7", "S506 7"}, 0},
		"without white space before":    {place("", " #nothing#sluice:ignore S011 x"), []string{"S011 7"}, 0},
		"two above one line":            {place("  # sluice:ignore S011 b\n  # sluice:ignore S020 c\n", ""), []string{"S507 8"}, 1},
	} {
		r := run(t, lint.Options{}, file("a.yaml", row.text))
		if diff := cmp.Diff(row.want, codes(r.Problems)); diff != "" || len(r.Suppressed) != row.suppressed {
			t.Errorf("%s: %d suppressed, problems (-want +got):\n%s", name, len(r.Suppressed), diff)
		}
	}
}

// BenchmarkRun_thousandFiles lints a thousand small services of fifty teams.
func BenchmarkRun_thousandFiles(b *testing.B) {
	var files []lint.File
	for i := range 1000 {
		files = append(files, file(fmt.Sprintf("%d.yaml", i), strings.NewReplacer("NAME", fmt.Sprintf("svc%d", i), "TEAM", fmt.Sprintf("team%d", i%50)).Replace(`apiVersion: v1
kind: Service
metadata: {name: NAME, namespace: TEAM}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: NAME, namespace: TEAM}
spec: {host: NAME, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: NAME, namespace: TEAM}
spec:
  hosts: [NAME]
  http:
  - match: [{headers: {x-beta: {exact: "1"}}}]
    route: [{destination: {host: NAME, subset: v2}}]
  - route: [{destination: {host: NAME}}]
---
apiVersion: sluice.dev/v1alpha1
kind: Rollout
metadata: {name: NAME, namespace: TEAM}
spec: {host: NAME, subset: v1}
`)))
	}
	for b.Loop() {
		mesh := manifest.New()
		for _, f := range files {
			mesh.Load(f.Name, f.Content)
		}
		r, err := lint.Run(lint.Input{Units: []lint.Unit{{Mesh: mesh}}, Files: files}, lint.Options{})
		if err != nil || len(r.Problems) > 0 {
			b.Fatalf("%v %v", err, r.Problems)
		}
	}
}

// FuzzRun holds the linter to two promises: it does not panic, and each of its findings has a code of the catalogue and,
// where it is about an object of the file, a place in it.
func FuzzRun(f *testing.F) {
	for _, e := range problem.Catalogue() {
		f.Add([]byte(e.Before))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r := run(t, lint.Options{Partial: len(text)%2 == 0, GRPC: len(text)%3 == 0}, lint.File{Name: "a.yaml", Content: text})
		for _, p := range r.Problems {
			if _, ok := problem.Explain(p.Code); !ok || p.Path == "a.yaml" && p.Line < 1 || p.Message == "" {
				t.Errorf("%+v", p)
			}
		}
	})
}
