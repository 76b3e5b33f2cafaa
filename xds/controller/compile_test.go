package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/test/poll"
	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/istio"
)

// stage stands for the server: one class of proxies, and what it was published.
type stage struct {
	classes   []ir.ProxyClass
	published []envoy.Resources
	keys      int
}

func (s *stage) Classes() ([]ir.ProxyClass, <-chan struct{}) { return s.classes, nil }

func (s *stage) SetClassKeys(ir.ClassKeys) { s.keys++ }

func (s *stage) Publish(_ context.Context, _ ir.ProxyClass, r envoy.Resources) error {
	s.published = append(s.published, r)
	return nil
}

// last is what was published last, and how often something was.
func (s *stage) last() envoy.Resources { return s.published[len(s.published)-1] }

// compiling is a crowd of n that compiles for sidecars of the shop; its clock stands still.
func compiling(n int) (*Controller, *stage) {
	c, on := crowd(n), &stage{classes: []ir.ProxyClass{{Kind: ir.KindSidecar, Namespace: "shop"}}}
	now := time.Unix(1e9, 0)
	c.config.Now, c.config.Demand, c.config.Publisher, c.config.Log = func() time.Time { return now }, on, on, slog.New(slog.DiscardHandler)
	c.demand = demand{classes: map[ir.ProxyClass]*compiled{}, secrets: &secrets{}}
	c.compilation = compilation{compiler: istio.NewCompiler("", ""), metrics: newMeters()}
	return c, on
}

// published are the weights of the arms in all tables.
func published(t *testing.T, r envoy.Resources) string {
	t.Helper()
	var out []string
	for _, one := range r.Routes {
		var table routev3.RouteConfiguration
		if err := one.Any.UnmarshalTo(&table); err != nil {
			t.Fatal(err)
		}
		for _, h := range table.GetVirtualHosts() {
			for _, w := range h.GetRoutes()[0].GetRoute().GetWeightedClusters().GetClusters() {
				out = append(out, fmt.Sprintf("%s=%d", w.GetName(), w.GetWeight().GetValue()))
			}
		}
	}
	return strings.Join(out, " ")
}

// mismatches is how many are counted.
func mismatches(t *testing.T, c *Controller) float64 {
	t.Helper()
	r := prometheus.NewRegistry()
	r.MustRegister(c.Collectors()...)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "sluice_mesh_incremental_mismatch_total" {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatal("mismatches are not collected")
	return 0
}

func weigh(c *Controller, seq int64, weight int32) {
	ro := stored("s0", seq, weight)
	ro.Name, ro.Spec.Host = "s0", "s0"
	c.note(c.world.setRollout(ro))
}

func TestCompile_aWeightTouchesTheTableAndNothingElse(t *testing.T) {
	c, on := compiling(3)
	ctx := t.Context()
	c.note(atOnce)
	c.work(ctx, on.classes)
	before := on.last()
	weigh(c, 2, 60)
	c.work(ctx, on.classes)
	if len(on.published) != 2 || on.keys != 1 {
		t.Fatalf("published %d times, keys told %d times, want 2 and 1", len(on.published), on.keys)
	}
	after := on.last()
	if got, want := published(t, after), "outbound|80|v1|s0.shop.svc.cluster.local=40 outbound|80|v2|s0.shop.svc.cluster.local=60"; !strings.HasPrefix(got, want) {
		t.Errorf("weights %s, want %s", got, want)
	}
	if !sameSlice(before.Clusters, after.Clusters) || !sameSlice(before.Endpoints, after.Endpoints) || !sameSlice(before.Listeners, after.Listeners) {
		t.Error("a weight made more than its table anew")
	}
	weigh(c, 3, 60)
	c.work(ctx, on.classes)
	if len(on.published) != 3 || on.last().Splits[0].Seq != 3 || on.last().Routes[0].Version != after.Routes[0].Version {
		t.Errorf("the same weight at another seq: published %d times, split %+v", len(on.published), on.last().Splits[0])
	}
}

func TestCompile_endpointsReachTheirAssignments(t *testing.T) {
	c, on := compiling(3)
	ctx := t.Context()
	c.note(atOnce)
	c.work(ctx, on.classes)
	before := on.last()
	endSlice(c, types.NamespacedName{Namespace: "shop", Name: "s1"}, 2)
	c.work(ctx, on.classes)
	at := c.config.Now().Add(breath)
	c.config.Now = func() time.Time { return at }
	c.work(ctx, on.classes)
	after := on.last()
	var changed []string
	for i, e := range after.Endpoints {
		if e.Version != before.Endpoints[i].Version {
			changed = append(changed, e.Name)
		}
	}
	want := []string{"outbound|80|v2|s1.shop.svc.cluster.local", "outbound|80||s1.shop.svc.cluster.local"}
	if !slices.Equal(changed, want) || !sameSlice(before.Routes, after.Routes) || on.keys != 1 {
		t.Errorf("changed %v, want %v; keys told %d times", changed, want, on.keys)
	}
	pod := types.NamespacedName{Namespace: "shop", Name: "s1-0"}
	c.note(c.world.setPod(pod, map[string]string{"version": "v1"}, true))
	at = at.Add(breath)
	c.work(ctx, on.classes)
	want = []string{"outbound|80|v1|s1.shop.svc.cluster.local", "outbound|80|v2|s1.shop.svc.cluster.local"}
	changed = nil
	for i, e := range on.last().Endpoints {
		if e.Version != after.Endpoints[i].Version {
			changed = append(changed, e.Name)
		}
	}
	if !slices.Equal(changed, want) {
		t.Errorf("another label of a pod changed %v, want %v", changed, want)
	}
}

func TestVerify_publishesWhatIsCompiledFromNothingWhereItDiffers(t *testing.T) {
	c, on := compiling(2)
	ctx := t.Context()
	c.note(atOnce)
	c.work(ctx, on.classes)
	right := on.last().Clusters[0].Version
	// Something that no change explains: the kept resources are not what they should be.
	has := c.classes[on.classes[0]]
	spoilt := *has
	spoilt.resources.Clusters = slices.Clone(has.resources.Clusters)
	spoilt.resources.Clusters[0].Version = "spoilt"
	c.classes[on.classes[0]] = &spoilt
	c.edits = verifyAfter
	if err := poll.Until(10*time.Second, func() error {
		c.work(ctx, on.classes)
		if mismatches(t, c) != 1 {
			return errors.New("no mismatch is counted")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(on.published) != 2 || on.last().Clusters[0].Version != right {
		t.Errorf("published %d times, cluster %s, want 2 and %s", len(on.published), on.last().Clusters[0].Version, right)
	}
	c.edits = verifyAfter
	c.work(ctx, on.classes)
	c.checks.Wait()
	c.work(ctx, on.classes)
	if got := mismatches(t, c); got != 1 || c.verifying != nil {
		t.Errorf("%v mismatches, want that one only", got)
	}
}

func TestVerify_everyTenMinutesWhereSomethingChanged(t *testing.T) {
	c, on := compiling(1)
	ctx := t.Context()
	at := c.config.Now()
	c.config.Now = func() time.Time { return at }
	c.note(atOnce)
	c.work(ctx, on.classes)
	for _, step := range []struct {
		wait   time.Duration
		weight int32
		want   bool
	}{{time.Minute, 20, false}, {10 * time.Minute, 0, true}, {10 * time.Minute, 0, false}, {0, 30, true}} {
		at = at.Add(step.wait)
		if step.weight > 0 {
			weigh(c, int64(step.weight), step.weight)
			c.work(ctx, on.classes)
		}
		c.work(ctx, on.classes)
		if got := c.verifying != nil; got != step.want {
			t.Errorf("after %v: compares %v, want %v", step.wait, got, step.want)
		}
		c.checks.Wait()
		c.work(ctx, on.classes)
	}
}

func TestProblemOf_saysWhatIsKept(t *testing.T) {
	bad := &envoy.ResourceError{Code: envoy.CodeInvalid, Type: envoy.TypeRoute, Name: "http.80", Err: errors.New("no domain"),
		Origins: []ir.Origin{{Kind: "VirtualService", Namespace: "shop", Name: "vs", Field: "spec.hosts"}}}
	p := problemOf(bad)
	if p.Code != "S090" || p.Object != "VirtualService/shop/vs" || p.Field != "spec.hosts" || !strings.Contains(p.Hint, "left out") {
		t.Errorf("problem %+v", p)
	}
	bad.Kept = true
	if p := problemOf(bad); !strings.Contains(p.Hint, "last good") {
		t.Errorf("problem %+v", p)
	}
	bad.Code = envoy.CodeLarge
	if p := problemOf(bad); p.Code != "S092" || p.Severity != "warning" {
		t.Errorf("problem %+v", p)
	}
}
