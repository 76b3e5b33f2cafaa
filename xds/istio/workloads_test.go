package istio

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/registry"
)

func addresses(cfg *ir.Config, cluster string) []string {
	var out []string
	for _, e := range cfg.Endpoints {
		if e.Cluster != cluster {
			continue
		}
		for _, l := range e.Localities {
			for _, one := range l.Endpoints {
				out = append(out, one.Address)
			}
		}
	}
	return out
}

func TestCompiler_followsWhatServicesSelect(t *testing.T) {
	class := ir.ProxyClass{Kind: ir.KindSidecar, Namespace: "shop"}
	machine := func(address string) Object {
		return objectIn("shop", "WorkloadEntry", "m", map[string]any{"address": address, "labels": map[string]any{"app": "a"}})
	}
	service := func(address string) registry.Service {
		return registry.Service{
			Host: "a.shop.svc.cluster.local", Namespace: "shop", Selector: map[string]string{"app": "a"},
			Ports:     []registry.Port{{Name: "http", Number: 80, Protocol: registry.HTTP, Target: 8080}},
			Origin:    registry.Origin{Kind: "Service", Namespace: "shop", Name: "a"},
			Endpoints: []registry.Endpoint{{Address: address, Ports: map[string]int{"http": 8080}, Ready: true}},
		}
	}
	pod := func(name, app string, ready bool) registry.Workload {
		return registry.Workload{Namespace: "shop", Name: name, Endpoint: registry.Endpoint{Address: "10.9.0." + name, Labels: map[string]string{"app": app}, Ready: ready}}
	}
	c := NewCompiler("", "")
	c.SetService(service("10.1.0.1"))
	c.SetObject(objectIn("shop", "ServiceEntry", "s", map[string]any{
		"hosts": []any{"pods.example"}, "resolution": "STATIC", "location": "MESH_INTERNAL",
		"ports": []any{map[string]any{"number": 80, "name": "http", "protocol": "HTTP", "targetPort": 9000}}, "workloadSelector": map[string]any{"labels": map[string]any{"app": "p"}},
	}))
	for i, step := range []struct {
		do       func()
		service  []string
		selected []string
	}{
		{func() {}, []string{"10.1.0.1"}, nil},
		{func() { c.SetObject(machine("10.2.0.1")) }, []string{"10.1.0.1", "10.2.0.1"}, nil},
		{func() { c.SetService(service("10.1.0.9")) }, []string{"10.1.0.9", "10.2.0.1"}, nil},
		{func() { c.SetWorkload(pod("1", "p", true)) }, []string{"10.1.0.9", "10.2.0.1"}, []string{"10.9.0.1"}},
		{func() { c.SetWorkload(pod("2", "p", false)) }, []string{"10.1.0.9", "10.2.0.1"}, []string{"10.9.0.1"}},
		{func() { c.SetWorkload(pod("2", "p", true)) }, []string{"10.1.0.9", "10.2.0.1"}, []string{"10.9.0.1", "10.9.0.2"}},
		{func() { c.SetWorkload(pod("1", "other", true)) }, []string{"10.1.0.9", "10.2.0.1"}, []string{"10.9.0.2"}},
		{func() { c.DropWorkload("shop", "2") }, []string{"10.1.0.9", "10.2.0.1"}, nil},
		{func() { c.DropObject("WorkloadEntry", "shop", "m") }, []string{"10.1.0.9"}, nil},
	} {
		step.do()
		got, _ := c.Compile(class)
		want, _ := Translate(c.Input(), class)
		if diff := cmp.Diff(want.Endpoints, got.Endpoints); diff != "" {
			t.Fatalf("step %d: endpoints (-from scratch +step by step):\n%s", i, diff)
		}
		if diff := cmp.Diff(step.service, addresses(got, "outbound|80||a.shop.svc.cluster.local")); diff != "" {
			t.Errorf("step %d: the service (-want +got):\n%s", i, diff)
		}
		if diff := cmp.Diff(step.selected, addresses(got, "outbound|80||pods.example")); diff != "" {
			t.Errorf("step %d: the entry (-want +got):\n%s", i, diff)
		}
	}
}
