package gitsync

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/api/problem"
)

func names(set Set) []string {
	var out []string
	for _, it := range set.Items {
		out = append(out, it.Object.ID.Kind+"/"+it.Object.ID.Name)
	}
	return out
}

func TestUnits_gathersWhatARolloutNeeds(t *testing.T) {
	t.Parallel()
	units := Units(shop(), nil, "cluster.local")
	if len(units) != 2 {
		t.Fatalf("got %d units, want the Rollout's and one of its own: %v", len(units), units)
	}
	for _, u := range units {
		if len(u.Rollouts) == 0 && (len(u.Objects) != 1 || u.Objects[0].Name != "other") {
			t.Errorf("unit without Rollout: got %v, want ConfigMap other alone", u.Objects)
		}
	}
}

func TestUnits_sharedObjectCouplesOnlyWhenItChanges(t *testing.T) {
	t.Parallel()
	route := func(host string) map[string]any {
		return map[string]any{"route": []any{map[string]any{"destination": map[string]any{"host": host}}}}
	}
	shared := object("networking.istio.io", "VirtualService", "both", map[string]any{"spec": map[string]any{
		"hosts": []any{"x.example.com"}, "http": []any{route("a"), route("b.bookinfo.svc.cluster.local")}}})
	objects := []Object{rolloutObject("a", "v1"), rolloutObject("b", "v1"), shared}
	if got := len(Units(objects, nil, "cluster.local")); got != 2 {
		t.Errorf("unchanged: %d units, want 2", got)
	}
	if got := len(Units(objects, map[ID]bool{shared.ID: true}, "cluster.local")); got != 1 {
		t.Errorf("changed: %d units, want 1", got)
	}
}

func TestPlan_ordersByStageRolloutLast(t *testing.T) {
	t.Parallel()
	got := names(Plan(Input{Owner: bookinfo, Domain: "cluster.local", Want: shop()}))
	want := []string{"ConfigMap/cfg-v1", "ConfigMap/cfg-v2", "ConfigMap/other", "Secret/key-v2", "Service/reviews", "Deployment/reviews-v1",
		"Deployment/reviews-v2", "HorizontalPodAutoscaler/scale-v1", "DestinationRule/reviews", "VirtualService/front", "Rollout/reviews"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func TestPlan_holdsTheWholeUnitAndNothingElse(t *testing.T) {
	t.Parallel()
	in := Input{Owner: bookinfo, Domain: "cluster.local", Want: shop(), Problems: []problem.Problem{
		{Code: "S320", Severity: problem.Error, Object: "VirtualService/bookinfo/front", Message: "bad"}}}
	set := Plan(in)
	if diff := cmp.Diff([]string{"ConfigMap/other"}, names(set)); diff != "" {
		t.Errorf("items (-want +got):\n%s", diff)
	}
	if len(set.Held) != 1 || !slices.Equal(set.Held[0].Codes, []string{"S320"}) {
		t.Errorf("held = %+v, want the Rollout's unit by S320", set.Held)
	}
}

func TestPlan_brokenFileHoldsTheUnitOfItsLiveObjects(t *testing.T) {
	t.Parallel()
	all := shop()
	live := alive(bookinfo, all...)
	rest := slices.DeleteFunc(slices.Clone(all), func(o Object) bool { return o.ID.Kind == "DestinationRule" })
	in := Input{Owner: bookinfo, Domain: "cluster.local", Want: rest, Have: created(live), Live: live, Problems: []problem.Problem{
		{Code: "S501", Severity: problem.Error, Path: "DestinationRule-reviews.yaml", Line: 3, Message: "not YAML"}}}
	set := Plan(in)
	if diff := cmp.Diff([]string{"ConfigMap/other"}, names(set)); diff != "" {
		t.Errorf("items (-want +got):\n%s", diff)
	}
}

func TestPlan_barrierSendsOnlyTheRollout(t *testing.T) {
	t.Parallel()
	all := shop()
	live := alive(bookinfo, all...)
	view := View{ID: all[0].ID, Object: all[0], Stable: "v1", Canary: "v2", Attempted: "old"}
	in := Input{Owner: bookinfo, Domain: "cluster.local", Want: all, Have: created(live), Live: live, Rollouts: []View{view}}
	set := Plan(in)
	if diff := cmp.Diff([]string{"Rollout/reviews", "ConfigMap/other"}, names(set)); diff != "" {
		t.Errorf("open attempt, other digest (-want +got):\n%s", diff)
	}
	if len(set.Waiting) != 1 {
		t.Errorf("waiting = %v, want the Rollout", set.Waiting)
	}
	in.Rollouts[0].Attempted = Annotation(set.Items[0].Object.Content, AnnotationDigest)
	if got := len(names(Plan(in))); got != len(all) {
		t.Errorf("digest attempted: %d items, want all %d", got, len(all))
	}
	in.Rollouts[0].Attempted, in.Rollouts[0].Rest = "old", true
	if got := len(names(Plan(in))); got != len(all) {
		t.Errorf("at rest: %d items, want all %d", got, len(all))
	}
}

func TestPlan_refusesToDropTheStableSubset(t *testing.T) {
	t.Parallel()
	all := shop()
	live := alive(bookinfo, shop()...)
	for _, o := range all {
		if o.ID.Kind == "DestinationRule" {
			spec := mapping(o.Content, "spec")
			spec["subsets"] = list(spec, "subsets")[1:]
		}
	}
	set := Plan(Input{Owner: bookinfo, Domain: "cluster.local", Want: all, Have: created(live), Live: live,
		Rollouts: []View{{ID: all[0].ID, Object: all[0], Stable: "v1", Rest: true}}})
	if len(set.Held) != 1 || !slices.Equal(set.Held[0].Codes, []string{"S405"}) {
		t.Errorf("held = %+v, want S405", set.Held)
	}
}

func TestPlan_keepsProvenanceOfUnchangedContent(t *testing.T) {
	t.Parallel()
	all := shop()
	live := alive(bookinfo, shop()...)
	set(all[8], "other", "2", "data", "a")
	plan := Plan(Input{Owner: bookinfo, Commit: Commit{ID: "c1"}, Domain: "cluster.local", Want: all, Have: created(live), Live: live})
	for _, it := range plan.Items {
		want := "c0"
		if it.Object.ID.Name == "other" {
			want = "c1"
		}
		if got := Annotation(it.Object.Content, AnnotationCommit); got != want {
			t.Errorf("%s: commit %s, want %s", it.Object.ID.Ref(), got, want)
		}
	}
}

func TestPlan_respectsOtherOwners(t *testing.T) {
	t.Parallel()
	cm := shop()[8]
	other := Owner{"bookinfo", "elder"}
	in := Input{Owner: bookinfo, Domain: "cluster.local", Want: []Object{cm}, Live: alive(other, cm), Sources: []Owner{bookinfo, other}}
	if set := Plan(in); len(set.Held) != 1 || set.Held[0].Codes[0] != "S403" {
		t.Errorf("owned by a living Source: held %+v, want S403", set.Held)
	}
	in.Sources = []Owner{bookinfo}
	set := Plan(in)
	if e, _ := set.Union.Find(cm.ID); len(set.Held) != 0 || e.Origin != Adopted || e.UID == "" {
		t.Errorf("its Source is gone: held %+v, entry %v; want it adopted", set.Held, e)
	}
	argo := alive(other, cm)
	argo[cm.ID].Object.Content["metadata"].(map[string]any)["labels"] = map[string]any{"argocd.argoproj.io/instance": "x"}
	in.Live = argo
	if set := Plan(in); len(set.Held) != 1 || set.Held[0].Codes[0] != "S404" {
		t.Errorf("managed by Argo CD: held %+v, want S404", set.Held)
	}
}

func TestPlan_doesNotDependOnOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		live := alive(bookinfo, shop()...)
		plan := func(objects []Object) Set {
			return Plan(Input{Owner: bookinfo, Domain: "cluster.local", Want: objects, Have: created(live), Live: live})
		}
		if diff := cmp.Diff(plan(shop()), plan(rapid.Permutation(shop()).Draw(rt, "objects"))); diff != "" {
			rt.Fatalf("permuted input (-sorted +permuted):\n%s", diff)
		}
	})
}

func TestInventory_textRoundTrip(t *testing.T) {
	t.Parallel()
	lines := []string{"/ConfigMap/bookinfo/cfg v1 - -", "apps/Deployment/bookinfo/reviews-v1 v1 0a-b Created"}
	v, err := ParseInventory(lines)
	if err != nil || !slices.Equal(v.Strings(), lines) {
		t.Errorf("round trip: %v, %v; want %v", v.Strings(), err, lines)
	}
	for _, bad := range []string{"", "x", "a/b/c/d v1 u Mine", "a//c/d v1 - -", "a/b/c/d  u Created"} {
		if v, err := ParseInventory([]string{bad}); err == nil {
			t.Errorf("ParseInventory(%q) = %v, want an error", bad, v)
		}
	}
}

func TestUnit_namesItself(t *testing.T) {
	t.Parallel()
	for _, u := range Units(shop(), nil, "cluster.local") {
		if s := u.String(); !strings.Contains(s, "reviews") && !strings.Contains(s, "other") {
			t.Errorf("String = %q", s)
		}
	}
}
