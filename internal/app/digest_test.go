package app

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/kube"
)

func TestMain(m *testing.M) { kube.Main(m) }

func TestLiveDigest_followsTheTemplatesThatAreNamed(t *testing.T) {
	cfg := kube.Start(t)
	ns := kube.Namespace(t, cfg)
	scheme, err := Scheme()
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(cfg, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	template := func(name string) *v1alpha1.MetricTemplate {
		m := &v1alpha1.MetricTemplate{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}}
		m.Spec.Ratio = &v1alpha1.RatioTemplate{Bad: `x{v="{{subset}}",r="bad"}`, Total: `x{v="{{subset}}"}`}
		if err := c.Create(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	named, other := template("named"), template("other")
	ro := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "reviews"}}
	ro.Spec = v1alpha1.RolloutSpec{Host: "reviews", Subset: "v2"}
	ro.Spec.Analysis.Metrics = []v1alpha1.Metric{{Name: "checkout", Template: "named"}}
	if err := c.Create(t.Context(), ro); err != nil {
		t.Fatal(err)
	}
	live := newLiveDigest(c, "cluster.local")
	digest := func() string {
		t.Helper()
		out, err := live.of(t.Context(), ro)
		if err != nil || out == "" {
			t.Fatalf("digest %q, %v", out, err)
		}
		return out
	}
	change := func(m *v1alpha1.MetricTemplate) {
		t.Helper()
		m.Spec.Ratio.Total = `y{v="{{subset}}"}`
		if err := c.Update(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	before := digest()
	change(other)
	if digest() != before {
		t.Error("a template that is not named changes the digest")
	}
	change(named)
	changed := digest()
	if changed == before {
		t.Error("a template that is named does not change the digest")
	}
	key := client.ObjectKeyFromObject(ro)
	if was, _ := live.last(key); was.digest != changed {
		t.Errorf("%q is remembered, want %q", was.digest, changed)
	}
	live.keep(key, knownDigest{uid: ro.UID, generation: ro.Generation, objects: live.known[key].objects, digest: "remembered"})
	if got := digest(); got != "remembered" {
		t.Errorf("a digest is computed although nothing changed: %s", got)
	}
	ro.Spec.Subset = "v3"
	if err := c.Update(t.Context(), ro); err != nil {
		t.Fatal(err)
	}
	if got := digest(); got == "remembered" || got == changed {
		t.Errorf("another subset has the digest %s", got)
	}
	if err := c.Delete(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	if was, _ := live.last(key); was.objects.count != 2 {
		t.Errorf("%d objects are remembered, want 2", was.objects.count)
	}
	if digest(); live.known[key].objects.count != 1 {
		t.Errorf("%d objects are remembered, want 1", live.known[key].objects.count)
	}
}
