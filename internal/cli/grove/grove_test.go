package grove_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
	"github.com/sluice-dev/sluice/internal/cli/grove"
)

// objects reads documents of YAML, with whole numbers as the client reads them.
func objects(t *testing.T, docs ...string) []unstructured.Unstructured {
	t.Helper()
	var out []unstructured.Unstructured
	for _, doc := range docs {
		raw, err := yaml.YAMLToJSON([]byte("apiVersion: v1\nkind: Thing\n" + doc))
		if err != nil {
			t.Fatal(err)
		}
		one := unstructured.Unstructured{}
		if err := one.UnmarshalJSON(raw); err != nil {
			t.Fatal(err)
		}
		out = append(out, one)
	}
	return out
}

// rollout divides requests to reviews: v1 has 85, v2 15.
func rollout() *v1alpha1.Rollout {
	ro := &v1alpha1.Rollout{Spec: v1alpha1.RolloutSpec{Host: "reviews", Subset: "v2"}}
	ro.Namespace, ro.Name = "shop", "reviews"
	ro.Status = &v1alpha1.RolloutStatus{Stable: v1alpha1.VersionStatus{Name: "v1"}, Canary: &v1alpha1.VersionStatus{Name: "v2"}, Weight: 15}
	return ro
}

func labels(nodes []view.TreeNode, indent string) []string {
	var out []string
	for _, n := range nodes {
		out = append(append(out, indent+n.Label()), labels(n.Children, indent+"  ")...)
	}
	return out
}

const subsets = `spec: {host: reviews, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]}`

func TestHost_endpointsAreNamedWithTheirPorts(t *testing.T) {
	t.Parallel()
	pods := objects(t, "metadata: {name: a, labels: {app: reviews, version: v1}}\nstatus: {podIP: 10.1.0.1}",
		"metadata: {name: b, labels: {app: reviews, version: v2}}\nstatus: {podIP: \"fd00::2\"}")
	for name, row := range map[string]struct {
		grove grove.Grove
		want  []string
	}{
		"three on one address": {grove.Grove{Entries: objects(t, `spec:
  hosts: [reviews.shop.svc.cluster.local]
  ports: [{number: 80, name: http, targetPort: 8080}]
  endpoints:
  - {address: 127.0.0.1, ports: {http: 9002}, labels: {version: v1}}
  - {address: 127.0.0.1, ports: {http: 9001}, labels: {version: v1}}
  - {address: 127.0.0.1, labels: {version: v2}}`)}, []string{
			"subset v1  85%  stable", "  endpoint 127.0.0.1:9001  of a ServiceEntry", "  endpoint 127.0.0.1:9002  of a ServiceEntry",
			"subset v2  15%  canary", "  endpoint 127.0.0.1:8080  of a ServiceEntry"}},
		"several ports, and a socket": {grove.Grove{Entries: objects(t, `spec:
  hosts: [reviews]
  ports: [{number: 80, name: http}, {number: 90, name: grpc}]
  endpoints:
  - {address: "fd00::1", ports: {grpc: 9090}, labels: {version: v1}}
  - {address: "unix:///run/reviews", labels: {version: v2}}`)}, []string{
			"subset v1  85%  stable", "  endpoint [fd00::1]:http=80,grpc=9090  of a ServiceEntry",
			"subset v2  15%  canary", "  endpoint unix:///run/reviews  of a ServiceEntry"}},
		"no port is known": {grove.Grove{Entries: objects(t, `spec: {hosts: [reviews], endpoints: [{address: 10.0.0.1, labels: {version: v1}}]}`)}, []string{
			"subset v1  85%  stable", "  endpoint 10.0.0.1  of a ServiceEntry", "subset v2  15%  canary  no endpoint"}},
		"selected": {grove.Grove{Pods: pods, Entries: objects(t, `spec:
  hosts: [reviews]
  ports: [{number: 80, name: http}]
  workloadSelector: {labels: {app: reviews}}`), Others: objects(t,
			"metadata: {name: old, labels: {app: reviews, version: v9}}\nspec: {address: 10.2.0.1, ports: {http: 8000}, labels: {version: v1}}",
			"metadata: {name: bare}\nspec: {address: 10.2.0.3, labels: {app: reviews, version: v2}}",
			"metadata: {name: foreign, labels: {app: ratings, version: v1}}\nspec: {address: 10.2.0.2}")}, []string{
			"subset v1  85%  stable", "  endpoint 10.2.0.1:8000  of WorkloadEntry old", "  endpoint a 10.1.0.1:80  of a ServiceEntry",
			"subset v2  15%  canary", "  endpoint 10.2.0.3:80  of WorkloadEntry bare", "  endpoint b [fd00::2]:80  of a ServiceEntry"}},
		"slices": {grove.Grove{Pods: pods, Slices: objects(t, `metadata: {name: r-1, labels: {kubernetes.io/service-name: reviews}}
ports: [{name: http, port: 9080}]
endpoints:
- {addresses: [10.1.0.1], targetRef: {kind: Pod, name: a}}
- {addresses: ["fd00::2"], conditions: {ready: false}, targetRef: {kind: Pod, name: b}}
- {addresses: [10.1.0.9], targetRef: {kind: Pod, name: gone}}`, `metadata: {name: other, labels: {kubernetes.io/service-name: ratings}}
ports: [{name: http, port: 9080}]
endpoints: [{addresses: [10.1.0.1], targetRef: {kind: Pod, name: a}}]`)}, []string{
			"subset v1  85%  stable", "  endpoint a 10.1.0.1:9080  ready", "subset v2  15%  canary", "  endpoint b [fd00::2]:9080  not ready"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := row.grove
			g.Rollout, g.Domain, g.Rules = rollout(), "cluster.local", objects(t, subsets)
			if diff := cmp.Diff(row.want, labels(g.Host().Children, "")); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestHost_manyEndpointsAreCounted(t *testing.T) {
	t.Parallel()
	var list []string
	for range 25 {
		list = append(list, "{address: 10.0.0.1, labels: {version: v1}}")
	}
	g := grove.Grove{Rollout: rollout(), Domain: "cluster.local", Rules: objects(t, subsets),
		Entries: objects(t, "spec: {hosts: [reviews], endpoints: ["+strings.Join(list, ", ")+"]}")}
	shown := g.Host().Children[0].Children
	if len(shown) != 21 || shown[20].Label() != "endpoint ...  and 5 more" {
		t.Errorf("%d nodes, the last %q; want 21 that end in: and 5 more", len(shown), shown[len(shown)-1].Label())
	}
	g.Rules = nil
	if bare := g.Host(); bare.State != "no DestinationRule defines its subsets" || len(bare.Children) > 0 {
		t.Errorf("without a rule: %+v", bare)
	}
}

func TestRouteNodes_sayWhatIsDividedAndWhatIsLeftAlone(t *testing.T) {
	t.Parallel()
	routes := objects(t, `metadata: {name: shop}
spec:
  http:
  - {name: tester, route: [{destination: {host: reviews, subset: v9}}]}
  - {route: [{destination: {host: reviews.shop.svc, subset: v1}}]}
  - {name: foreign, route: [{destination: {host: ratings}}]}
  tcp:
  - {route: [{destination: {host: reviews.shop.svc.cluster.local}}]}`)
	g := grove.Grove{Rollout: rollout(), Domain: "cluster.local", Routes: routes}
	want := []string{"route shop/tester  left alone: to v9", "route shop/http[1]", "  subset v1  85%  stable", "  subset v2  15%  canary",
		"route shop/tcp[0]", "  subset v1  85%  stable", "  subset v2  15%  canary"}
	got := labels(g.RouteNodes(), "")
	if diff := cmp.Diff(strings.Join(want, "\n"), strings.Join(got, "\n")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	g.Rollout.Status.Canary, g.Rollout.Status.Weight = nil, 0
	if got := labels(g.RouteNodes(), ""); len(got) != 5 || got[2] != "  subset v1  100%  stable" {
		t.Errorf("at rest: %q", got)
	}
	g.Rollout.Status = nil
	if got := labels(g.RouteNodes(), ""); len(got) != 3 {
		t.Errorf("without a status: %q", got)
	}
}
