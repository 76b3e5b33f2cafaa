package decode

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/gitsync"
	"github.com/sluice-dev/sluice/gitsync/render"
)

type tree struct{ fstest.MapFS }

func (t tree) Hash(string) string     { return "" }
func (t tree) Commit() gitsync.Commit { return gitsync.Commit{} }
func (t tree) Close() error           { return nil }

func build(t *testing.T, content string) gitsync.Build {
	t.Helper()
	b, err := render.New(render.Limits{}).Render(t.Context(), tree{fstest.MapFS{"a.yaml": {Data: []byte(content), Mode: 0o444}}}, gitsync.Options{Namespace: "shop"})
	if err != nil || b.Reason != "" || len(b.Problems) > 0 {
		t.Fatalf("rendering: %v %s %v", err, b.Reason, b.Problems)
	}
	return b
}

func TestCheck_table(t *testing.T) {
	t.Parallel()
	d, err := New(Policy{})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name, in, code, field string
		line                  int
	}{
		{"good rollout", "apiVersion: sluice.dev/v1alpha1\nkind: Rollout\nmetadata: {name: a}\nspec: {host: a, subset: v1}\n", "", "", 0},
		{"misspelt field", "apiVersion: sluice.dev/v1alpha1\nkind: Rollout\nmetadata: {name: a}\nspec:\n  host: a\n  subset: v1\n  stepz: []\n", "S502", "spec.stepz", 7},
		{"wrong type", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec:\n  replicas: two\n", "S504", "spec.replicas", 5},
		{"unknown version", "apiVersion: apps/v9\nkind: Deployment\nmetadata: {name: a}\n", "S505", "apiVersion", 1},
		{"unknown kind", "apiVersion: apps/v1\nkind: Deploymint\nmetadata: {name: a}\n", "S401", "kind", 2},
		{"Secret", "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n", "S401", "kind", 2},
		{"cluster role binding", "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: a}\n", "S401", "kind", 2},
		{"other namespace", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: kube-system}\n", "S402", "metadata.namespace", 3},
		{"reserved annotation", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  annotations:\n    sluice.dev/digest: x\n", "S323", "metadata.annotations[sluice.dev/digest]", 6},
		{"freeze is a person's", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  annotations:\n    sluice.dev/freeze: \"true\"\n", "S323", "metadata.annotations[sluice.dev/freeze]", 6},
		{"reserved label", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, labels: {source.sluice.dev/name: x}}\n", "S323", "metadata.labels[source.sluice.dev/name]", 3},
		{"annotation that may be set", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, annotations: {sluice.dev/prune: disabled}}\n", "", "", 0},
		{"order of VirtualServices", "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a, annotations: {sluice.dev/order: \"1\"}}\nspec: {}\n", "", "", 0},
		{"uid", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, uid: x}\n", "S323", "metadata.uid", 3},
		{"encrypted", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\nsops: {}\n", "S324", "sops", 4},
		{"kind of another group", "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nspec: {anything: 1}\n", "", "", 0},
		{"leftovers of tools", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, creationTimestamp: null}\nstatus: {}\n", "", "", 0},
	} {
		objects, problems := d.Check(build(t, row.in), Scope{Namespace: "shop"})
		if len(objects) != 1 || objects[0].Content["status"] != nil {
			t.Errorf("%s: objects %v, want the one without status", row.name, objects)
		}
		if row.code == "" {
			if len(problems) > 0 {
				t.Errorf("%s: %v, want no Problem", row.name, problems)
			}
			continue
		}
		if len(problems) != 1 || problems[0].Code != row.code || problems[0].Field != row.field || problems[0].Line != row.line || problems[0].Path != "a.yaml" || problems[0].Hint == "" {
			t.Errorf("%s: %v, want %s at %s in line %d with a hint", row.name, problems, row.code, row.field, row.line)
		}
	}
}

func TestCheck_asksWhoKnowsTheKindOnceTheFormIsRight(t *testing.T) {
	t.Parallel()
	d, err := New(Policy{Sound: func(map[string]any) []problem.Problem {
		return []problem.Problem{{Code: "S711", Field: "spec.ratio", Message: "m", Hint: "h"}}
	}})
	if err != nil {
		t.Fatal(err)
	}
	template := "apiVersion: sluice.dev/v1alpha1\nkind: MetricTemplate\nmetadata: {name: a}\nspec:\n  ratio: {bad: b, total: t}\n"
	for in, want := range map[string]string{
		template:            "S711",
		template + "x: y\n": "S502",
		"apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nspec: {ratio: 1}\n": "S711",
	} {
		if _, got := d.Check(build(t, in), Scope{Namespace: "shop"}); len(got) != 1 || got[0].Code != want || got[0].Path != "a.yaml" {
			t.Errorf("%s: %v, want %s alone", in, got, want)
		}
	}
}

func TestPolicy_wildcardsDoNotReachDelicateKinds(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		kinds []string
		id    gitsync.ID
		want  bool
	}{
		{[]string{"*"}, gitsync.ID{Kind: "Pod"}, true},
		{[]string{"*"}, gitsync.ID{Kind: "Secret"}, false},
		{[]string{"Secret"}, gitsync.ID{Kind: "Secret"}, true},
		{[]string{"*"}, gitsync.ID{Group: "rbac.authorization.k8s.io", Kind: "Role"}, false},
		{[]string{"*.rbac.authorization.k8s.io"}, gitsync.ID{Group: "rbac.authorization.k8s.io", Kind: "Role"}, false},
		{[]string{"*.apps"}, gitsync.ID{Group: "apps", Kind: "DaemonSet"}, true},
		{[]string{"*", "RolloutAction.sluice.dev"}, gitsync.ID{Group: "sluice.dev", Kind: "RolloutAction"}, false},
		{nil, gitsync.ID{Group: "sluice.dev", Kind: "Source"}, false},
		{[]string{}, gitsync.ID{Kind: "ConfigMap"}, false},
	} {
		if got := (Policy{Kinds: row.kinds}).allows(row.id); got != row.want {
			t.Errorf("%v allows %s: %v, want %v", row.kinds, row.id, got, row.want)
		}
	}
}

func TestPolicy_namespacesOnlyWhereTheOperatorAllowsThem(t *testing.T) {
	t.Parallel()
	own, listed := Scope{Namespace: "shop"}, Scope{Namespace: "shop", Namespaces: []string{"team-*", "mesh"}}
	for _, row := range []struct {
		cross     bool
		scope     Scope
		namespace string
		want      bool
	}{
		{false, own, "shop", true},
		{false, own, "mesh", false},
		{false, own, "", false},
		{false, listed, "mesh", false},
		{false, listed, "shop", false},
		{true, own, "shop", true},
		{true, own, "mesh", false},
		{true, own, "", true},
		{true, listed, "mesh", true},
		{true, listed, "mesh2", false},
		{true, listed, "team-a", true},
		{true, listed, "shop", false},
		{true, Scope{Namespace: "shop", Namespaces: []string{"*"}}, "any", true},
	} {
		if got := (Policy{CrossNamespace: row.cross}).reaches(row.scope, row.namespace); got != row.want {
			t.Errorf("cross %v, %v to %q: %v, want %v", row.cross, row.scope, row.namespace, got, row.want)
		}
	}
}

func TestCheck_aSourceNarrowsAndNeverWidens(t *testing.T) {
	t.Parallel()
	d, err := New(Policy{Kinds: []string{"*", "Secret"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		kinds []string
		kind  string
		want  string
	}{
		{nil, "ConfigMap", ""},
		{[]string{"ConfigMap"}, "ConfigMap", ""},
		{[]string{"Service"}, "ConfigMap", "S401"},
		{[]string{"*"}, "Secret", ""},
		{[]string{"Namespace"}, "Namespace", "S401"},
	} {
		_, problems := d.Check(build(t, "apiVersion: v1\nkind: "+row.kind+"\nmetadata: {name: a}\n"), Scope{Namespace: "shop", Kinds: row.kinds})
		got := ""
		for _, p := range problems {
			if p.Severity == problem.Error {
				got += p.Code
			}
		}
		if got != row.want {
			t.Errorf("kinds %v, %s: %v, want %q", row.kinds, row.kind, problems, row.want)
		}
	}
}

func TestNew_refusesKindsThatNameNothing(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"", "configmaps", "a.*", "ConfigMap."} {
		if _, err := New(Policy{Kinds: []string{kind}}); err == nil || !strings.Contains(err.Error(), "*.group") {
			t.Errorf("%q: %v, want the forms that are allowed", kind, err)
		}
	}
}
