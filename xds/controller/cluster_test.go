package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/kube"
	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
)

func TestMain(m *testing.M) { kube.Main(m) }

// proxies stands for the xDS server: one class that is in demand, and everything published for it.
type proxies struct {
	class ir.ProxyClass

	mu        sync.Mutex
	published []envoy.Resources
	keys      ir.ClassKeys
}

func (p *proxies) Publish(_ context.Context, of ir.ProxyClass, r envoy.Resources) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if of != p.class {
		return fmt.Errorf("class %v is not in demand", of)
	}
	p.published = append(p.published, r)
	return nil
}

func (p *proxies) Classes() ([]ir.ProxyClass, <-chan struct{}) {
	return []ir.ProxyClass{p.class}, nil
}

func (p *proxies) SetClassKeys(keys ir.ClassKeys) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = keys
}

func (p *proxies) classKeys() ir.ClassKeys {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.keys
}

func (p *proxies) all() []envoy.Resources {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.published)
}

// absent is a mapper that does not know a kind until told, and that can lose its server.
type absent struct {
	meta.RESTMapper
	kind string
	here atomic.Bool
	cut  atomic.Bool
	told atomic.Int32 // how often it said that the server is gone
}

func (a *absent) RESTMapping(gk schema.GroupKind, versions ...string) (*meta.RESTMapping, error) {
	if a.cut.Load() {
		a.told.Add(1)
		return nil, errors.New("dial tcp 127.0.0.1:6443: connection refused")
	}
	if gk.Kind == a.kind && !a.here.Load() {
		return nil, &meta.NoKindMatchError{GroupKind: gk, SearchedVersions: versions}
	}
	return a.RESTMapper.RESTMapping(gk, versions...)
}

// site is a Controller that runs against the API server, in a namespace of its own.
type site struct {
	t         *testing.T
	client    client.Client
	namespace string
	mapper    *absent
	proxies   *proxies
	mesh      *Controller
	ready     chan struct{}
	start     func()
}

// open makes a site. Settings change as whom the cluster is read, and what the Controller is told.
func open(t *testing.T, settings ...func(*rest.Config, *Config)) *site {
	t.Helper()
	cfg := kube.Start(t)
	sch := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{scheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(sch); err != nil {
			t.Fatal(err)
		}
	}
	s := &site{t: t, namespace: kube.Namespace(t, cfg), ready: make(chan struct{})}
	s.proxies = &proxies{class: ir.ProxyClass{Kind: ir.KindGateway, Namespace: s.namespace, Labels: "istio=ingressgateway"}}
	var err error
	if s.client, err = client.New(cfg, client.Options{Scheme: sch}); err != nil {
		t.Fatal(err)
	}
	s.mapper = newMapper(t, cfg)
	told := Config{Publisher: s.proxies, Demand: s.proxies, Now: time.Now, Ready: func() { close(s.ready) }}
	cfg = rest.CopyConfig(cfg)
	for _, set := range settings {
		set(cfg, &told)
	}
	c, err := cache.New(cfg, cache.Options{Scheme: sch, Mapper: s.mapper, DefaultNamespaces: map[string]cache.Config{s.namespace: {}}})
	if err != nil {
		t.Fatal(err)
	}
	told.Cache = c
	s.mesh, err = New(told)
	if err != nil {
		t.Fatal(err)
	}
	s.mesh.missing = 50 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := c.Start(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	run := func() {
		if err := s.mesh.Start(ctx); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	s.start = func() { running.Go(run) }
	return s
}

func newMapper(t *testing.T, cfg *rest.Config) *absent {
	t.Helper()
	http, err := rest.HTTPClientFor(cfg)
	if err != nil {
		t.Fatal(err)
	}
	m, err := apiutil.NewDynamicRESTMapper(cfg, http)
	if err != nil {
		t.Fatal(err)
	}
	return &absent{RESTMapper: m, kind: "Sidecar"}
}

const shop = `
apiVersion: v1
kind: Service
metadata: {name: reviews}
spec:
  clusterIP: None
  ports: [{name: http, port: 8080}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: reviews-1, labels: {kubernetes.io/service-name: reviews}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints:
- {addresses: [10.0.0.1], targetRef: {kind: Pod, name: reviews-v1}}
- {addresses: [10.0.0.2], targetRef: {kind: Pod, name: reviews-v2}}
---
apiVersion: v1
kind: Pod
metadata: {name: reviews-v1, labels: {version: v1}}
spec: {containers: [{name: c, image: i}]}
---
apiVersion: v1
kind: Pod
metadata: {name: reviews-v2, labels: {version: v2}}
spec: {containers: [{name: c, image: i}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: ["*"]
  gateways: [gw]
  http: [{route: [{destination: {host: reviews}}]}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec:
  host: reviews
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
---
apiVersion: sluice.dev/v1alpha1
kind: Rollout
metadata: {name: reviews}
spec: {host: reviews, subset: v1}
`

// apply creates every object of a text.
func (s *site) apply(text string) {
	s.t.Helper()
	for _, doc := range strings.Split(strings.TrimSpace(text), "\n---\n") {
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(doc), &o.Object); err != nil {
			s.t.Fatal(err)
		}
		o.SetNamespace(s.namespace)
		if err := s.client.Create(s.t.Context(), o); err != nil {
			s.t.Fatalf("creating %s %s: %v", o.GetKind(), o.GetName(), err)
		}
	}
}

// store writes the status of the Rollout.
func (s *site) store(change func(st *v1alpha1.RolloutStatus)) {
	s.t.Helper()
	ro := &v1alpha1.Rollout{}
	if err := s.client.Get(s.t.Context(), client.ObjectKey{Namespace: s.namespace, Name: "reviews"}, ro); err != nil {
		s.t.Fatal(err)
	}
	if ro.Status == nil {
		ro.Status = &v1alpha1.RolloutStatus{}
	}
	change(ro.Status)
	if err := s.client.Status().Update(s.t.Context(), ro); err != nil {
		s.t.Fatal(err)
	}
}

func baking(st *v1alpha1.RolloutStatus) {
	*st = v1alpha1.RolloutStatus{
		Epoch: 1, Seq: 8, Attempt: 2, Phase: v1alpha1.PhaseBaking, Outcome: v1alpha1.OutcomeOpen, Since: metav1.NowMicro(),
		Step: 1, Steps: 1, Weight: 15, Traffic: v1alpha1.TrafficStatus{Seq: 7},
		Stable: v1alpha1.VersionStatus{Name: "v1", Digest: "d1"}, Canary: &v1alpha1.VersionStatus{Name: "v2", Digest: "d2"},
		Plan: []v1alpha1.PlanStep{{Name: "step-1", Weight: 15, Promotion: v1alpha1.PromotionEvidence,
			Bake: v1alpha1.Bake{Min: v1alpha1.DurationOf(time.Second), Max: v1alpha1.DurationOf(time.Minute)}}},
	}
}

func failed(st *v1alpha1.RolloutStatus) {
	st.Seq++
	st.Phase, st.Outcome, st.Weight, st.Traffic.Seq = v1alpha1.PhaseRollingBack, v1alpha1.OutcomeRolledBack, 0, st.Seq
	st.Rejected = []v1alpha1.RejectedVersion{{Digest: "d2", At: metav1.NowMicro()}}
}

// split reads the weights of the first route of http.80; a cluster by its subset.
func split(t *testing.T, r envoy.Resources) map[string]uint32 {
	t.Helper()
	out := map[string]uint32{}
	for _, one := range r.Routes {
		table := &routev3.RouteConfiguration{}
		if err := one.Any.UnmarshalTo(table); err != nil {
			t.Fatal(err)
		}
		for _, host := range table.GetVirtualHosts() {
			for _, route := range host.GetRoutes() {
				for _, c := range route.GetRoute().GetWeightedClusters().GetClusters() {
					_, subset, _, _ := ir.ParseClusterName(c.GetName())
					out[subset] += c.GetWeight().GetValue()
				}
			}
		}
	}
	return out
}

// published waits until the newest resources carry the split, and returns how many were published before.
func (s *site) published(want map[string]uint32) int {
	s.t.Helper()
	n := 0
	kube.Eventually(s.t, 10*time.Second, func() error {
		all := s.proxies.all()
		if len(all) == 0 {
			return errors.New("nothing is published")
		}
		n = len(all) - 1
		if got := split(s.t, all[n]); !maps.Equal(got, want) {
			return fmt.Errorf("the split is %v, want %v", got, want)
		}
		return nil
	})
	return n
}

func TestController_projectsTheClusterAndStoredWeights(t *testing.T) {
	s := open(t)
	s.apply(shop)
	s.store(baking)
	key := ir.Split{Key: s.namespace + "/reviews", Host: "reviews", Stable: "v1", Canary: "v2"}
	if f := s.mesh.Facts(key); f.Known {
		t.Errorf("facts before everything was seen: %+v", f)
	}
	s.start()
	<-s.ready
	before := s.published(map[string]uint32{"v1": 85, "v2": 15})
	if before != 0 {
		t.Errorf("%d sets were published before the first whole one", before)
	}
	f := s.mesh.Facts(key)
	if !f.Known || f.StableReady != 1 || f.CanaryReady != 1 || !f.SubsetDefined || len(f.BlockingCodes) > 0 {
		t.Errorf("facts %+v", f)
	}
	if keys := s.proxies.classKeys(); !keys.Equal(ir.ClassKeys{Labels: []string{"istio"}}) {
		t.Errorf("class keys %v, want [istio]", keys)
	}

	s.store(failed)
	after := s.published(map[string]uint32{"v1": 100})
	all := s.proxies.all()
	old, next := all[after-1], all[after]
	if old.Routes[0].Version == next.Routes[0].Version {
		t.Error("the route configuration did not change")
	}
	old.Routes, next.Routes, old.Splits, next.Splits = nil, nil, nil, nil
	if !equal(old, next) {
		t.Error("a weight changed more than routes")
	}
	if use := all[after].Splits[0]; use.Seq != 9 || use.Weight != 0 {
		t.Errorf("split use %+v, want seq 9 at weight 0", use)
	}
}

func TestController_skipsKindsThatTheClusterLacksUntilTheyAppear(t *testing.T) {
	s := open(t)
	s.mapper.kind = "VirtualService"
	s.apply(shop)
	s.store(baking)
	s.start()
	<-s.ready
	s.published(map[string]uint32{}) // the gateway has no route yet
	s.mapper.here.Store(true)
	s.published(map[string]uint32{"v1": 85, "v2": 15})
}

func TestController_endpointsAndProblemsFollow(t *testing.T) {
	s := open(t)
	s.apply(shop)
	s.store(baking)
	s.start()
	<-s.ready
	s.published(map[string]uint32{"v1": 85, "v2": 15})
	changed := s.mesh.Changed()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "reviews-v2"}}
	if err := s.client.Patch(t.Context(), pod, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"version":"v9"}}}`))); err != nil {
		t.Fatal(err)
	}
	<-changed
	kube.Eventually(t, 10*time.Second, func() error {
		f := s.mesh.Facts(ir.Split{Key: s.namespace + "/reviews", Host: "reviews", Stable: "v1", Canary: "v2"})
		if f.CanaryReady != 0 {
			return fmt.Errorf("facts %+v, want no ready canary", f)
		}
		return nil
	})
	vs := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": map[string]any{"name": "reviews", "namespace": s.namespace}}}
	if err := s.client.Patch(t.Context(), vs, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"colour":"red"}}`))); err != nil {
		t.Fatal(err)
	}
	kube.Eventually(t, 10*time.Second, func() error {
		if ps := s.mesh.Problems(); !slices.ContainsFunc(ps, func(p problem.Problem) bool { return p.Code == "S001" }) {
			return fmt.Errorf("problems %v, want an S001", ps)
		}
		return nil
	})
}

func TestNew_needsItsParts(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("a controller without anything was made")
	}
}

func TestController_outlivesItsServer(t *testing.T) {
	s := open(t)
	s.apply(shop)
	s.store(baking)
	s.start()
	<-s.ready
	s.published(map[string]uint32{"v1": 85, "v2": 15})
	s.mapper.cut.Store(true)
	kube.Eventually(t, 10*time.Second, func() error {
		if n := s.mapper.told.Load(); n < 3 {
			return fmt.Errorf("the missing kind was asked for %d times", n)
		}
		return nil
	})
	s.store(failed)
	s.published(map[string]uint32{"v1": 100})
}
