package manifest_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/xds/manifest"
)

const list = `apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Service
  metadata: {name: a, namespace: shop}
  spec: {ports: [{port: 80}]}
- {apiVersion: networking.istio.io/v1, kind: Gateway, metadata: {name: a}, spec: {servers: [], slectors: {}}}
`

func lines(ps []problem.Problem) []string {
	var out []string
	for _, p := range ps {
		p.Hint = ""
		out = append(out, p.String())
	}
	return out
}

func TestPlaced_saysWhereInItsFileAnObjectsFieldStands(t *testing.T) {
	t.Parallel()
	mesh := manifest.New()
	if err := mesh.Read("a.yaml", strings.NewReader("---\n"+list)); err != nil {
		t.Fatal(err)
	}
	if err := mesh.Read("b.yaml", strings.NewReader("# again\n"+list[strings.Index(list, "- {")+2:])); err != nil {
		t.Fatal(err)
	}
	got := lines(mesh.Placed([]problem.Problem{
		{Code: "S001", Severity: problem.Error, Object: "Gateway/default/a", Field: "spec.slectors", Message: "m"},
		{Code: "S018", Severity: problem.Error, Object: "Service/shop/a", Field: "spec.ports[0].name", Message: "m"},
		{Code: "S090", Severity: problem.Error, Object: "Service/shop/none", Message: "m"},
	}))
	want := []string{
		"b.yaml:2:1: error S004: Gateway/default/a: the object stands also in a.yaml:9, which holds",
		"a.yaml:9:106: error S001: Gateway/default/a spec.slectors: m",
		"a.yaml:8:18: error S018: Service/shop/a spec.ports[0].name: m",
		"error S090: Service/shop/none: m",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if items := mesh.Items(); len(items) != 2 || items[0].Ref != "Service/shop/a" || items[1].Path != "a.yaml" {
		t.Errorf("items: %+v", items)
	}
}

func TestLoad_keepsWhatCanBeRead(t *testing.T) {
	t.Parallel()
	mesh := manifest.New()
	found := mesh.Load("a.yaml", []byte(list+"---\nkind: x\n---\n- 1\n---\na: .nan\n---\n{apiVersion: v1, kind: Pod, metadata: {name: a, name: b}}\n---\na: [\n"))
	var codes []string
	for _, p := range found {
		codes = append(codes, p.Code)
	}
	if diff := cmp.Diff([]string{"S503", "S501", "S320", "S320", "S504"}, codes); diff != "" || len(mesh.Items()) != 3 {
		t.Errorf("%d objects, codes (-want +got):\n%s", len(mesh.Items()), diff)
	}
}

func TestRead_failsWhereTextIsNoObject(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"a: [":            "reading f, line 1: not YAML: ",
		"\njust text":     "reading f, line 2: a document that is not an object",
		"{kind: Gateway}": "reading f, line 1: a document without apiVersion or kind",
		"apiVersion: v1\nkind: Service\nspec: {ports: [{port: many}]}\n": "reading f, line 1: Service/default/: cannot unmarshal string",
		"{apiVersion: v1, kind: Pod, kind: Pod}":                         "",
	} {
		err := manifest.New().Read("f", strings.NewReader(in))
		if (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %q", in, err, want)
		}
	}
}
