package controller

import (
	"errors"
	"slices"
	"testing"

	"google.golang.org/protobuf/types/known/anypb"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
)

func stored(uid types.UID, seq int64, weight int32) *v1alpha1.Rollout {
	return &v1alpha1.Rollout{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "reviews", UID: uid},
		Spec:       v1alpha1.RolloutSpec{Host: "reviews", Subset: "v2"},
		Status: &v1alpha1.RolloutStatus{
			Seq: seq, Weight: weight, Traffic: v1alpha1.TrafficStatus{Seq: seq},
			Stable: v1alpha1.VersionStatus{Name: "v1"}, Canary: &v1alpha1.VersionStatus{Name: "v2"},
		},
	}
}

func weights(w *world) []int {
	var out []int
	for _, s := range w.snapshot().Splits {
		out = append(out, s.Weight)
	}
	return out
}

func TestWorld_onlyStoredStatesAreSplitsAndNoneGoesBack(t *testing.T) {
	w := newWorld("", "")
	bare := stored("a", 0, 0)
	bare.Status = nil
	steps := []struct {
		name string
		ro   *v1alpha1.Rollout
		want urgency
		have []int
	}{
		{"without status", bare, unchanged, nil},
		{"adopted, nothing stable yet", func() *v1alpha1.Rollout { r := stored("a", 1, 0); r.Status.Stable.Name = ""; return r }(), unchanged, nil},
		{"a weight", stored("a", 7, 15), atOnce, []int{15}},
		{"the same with other evidence", stored("a", 7, 15), unchanged, []int{15}},
		{"an older state of the object", stored("a", 6, 50), unchanged, []int{15}},
		{"a newer one", stored("a", 8, 50), weighed, []int{50}},
		{"another object of the name", stored("b", 1, 0), atOnce, []int{0}},
	}
	for _, s := range steps {
		if got := w.setRollout(s.ro); got != s.want {
			t.Errorf("%s: urgency %v, want %v", s.name, got, s.want)
		}
		if got := weights(w); !slices.Equal(got, s.have) {
			t.Errorf("%s: weights %v, want %v", s.name, got, s.have)
		}
	}
	if got := w.dropRollout(types.NamespacedName{Namespace: "shop", Name: "reviews"}); got != atOnce || len(weights(w)) != 0 {
		t.Errorf("deleted: urgency %v, weights %v", got, weights(w))
	}
}

func TestWorld_podsMatterByTheirLabels(t *testing.T) {
	w := newWorld("", "")
	name := types.NamespacedName{Namespace: "shop", Name: "p"}
	for i, tt := range []struct {
		labels map[string]string
		exists bool
		want   urgency
	}{
		{map[string]string{"version": "v1"}, true, gathered},
		{map[string]string{"version": "v1"}, true, unchanged},
		{map[string]string{"version": "v2"}, true, gathered},
		{nil, false, gathered},
		{nil, false, unchanged},
	} {
		if got := w.setPod(name, tt.labels, tt.exists); got != tt.want {
			t.Errorf("change %d: urgency %v, want %v", i, got, tt.want)
		}
	}
}

func TestKeepGood_onlyOfNamesThatAreMissing(t *testing.T) {
	res := func(name, version string) envoy.Resource {
		return envoy.Resource{Name: name, Version: version, Any: &anypb.Any{}}
	}
	from := envoy.Resources{Routes: []envoy.Resource{res("a", "1"), res("b", "1")}}
	into := envoy.Resources{Routes: []envoy.Resource{res("b", "2"), res("c", "2")}}
	for _, name := range []string{"a", "b", "unknown"} {
		keepGood(&into, from, &envoy.ResourceError{Type: envoy.TypeRoute, Name: name})
	}
	keepGood(&into, from, &envoy.ResourceError{Name: "configuration"})
	var got []string
	for _, r := range into.Routes {
		got = append(got, r.Name+r.Version)
	}
	if want := []string{"a1", "b2", "c2"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestResourceErrors_areTakenApart(t *testing.T) {
	bad := &envoy.ResourceError{Type: envoy.TypeRoute, Name: "http.80", Err: errors.New("no domain"),
		Origins: []ir.Origin{{Kind: "VirtualService", Namespace: "shop", Name: "vs", Field: "spec.hosts"}}}
	got := resourceErrors(errors.Join(bad, errors.New("other")))
	if len(got) != 2 || got[0] != bad || got[1].Err.Error() != "other" {
		t.Fatalf("got %v", got)
	}
	if p := problemOf(bad); p.Code != "S090" || p.Object != "VirtualService/shop/vs" || p.Field != "spec.hosts" {
		t.Errorf("problem %+v", p)
	}
}
