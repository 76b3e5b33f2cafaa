// Package meshgen draws meshes and changes of them for property tests: Istio objects of every kind with any of their
// fields, services, endpoints, splits and Secrets, out of so few names that they collide, are missing and contradict each
// other. What is drawn follows the schema, so a field is covered as soon as it exists; much of it makes no sense. It is for
// what must hold of anything that can be written; meshes in which requests arrive are made by test/httpmesh.
//
//	mesh := meshgen.Draw(t)
//	mesh.Tell(compiler)
//	mesh.Edit(t, compiler)
package meshgen

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/istio"
	"github.com/sluice-dev/sluice/xds/registry"
)

// Target is told what changes, as an istio.Compiler is.
type Target interface {
	SetObject(o istio.Object)
	DropObject(kind, namespace, name string)
	SetService(s registry.Service)
	DropService(host, namespace string)
	SetWorkload(w registry.Workload)
	DropWorkload(namespace, name string)
	SetSplit(s ir.Split)
	DropSplit(key string)
	SetSecret(s *istio.Secret)
	DropSecret(namespace, name string)
}

// Mesh is what exists at a moment.
type Mesh struct {
	objects  map[string]istio.Object
	services map[string]registry.Service
	pods     map[string]registry.Workload
	splits   map[string]ir.Split
	secrets  map[string]*istio.Secret
	schema   schema
}

// Draw makes a mesh of a few objects.
func Draw(t *rapid.T) *Mesh {
	m := &Mesh{
		objects: map[string]istio.Object{}, services: map[string]registry.Service{}, pods: map[string]registry.Workload{}, splits: map[string]ir.Split{},
		secrets: map[string]*istio.Secret{}, schema: newSchema(),
	}
	for _, namespace := range namespaces()[:2] {
		m.setObject(m.gateway(namespace))
		for _, name := range []string{"a", "b"} {
			m.setService(t, namespace, name)
		}
	}
	for range rapid.IntRange(2, 6).Draw(t, "objects") {
		m.setObject(m.object(t))
		m.setObject(m.sound(t))
	}
	for range rapid.IntRange(0, 2).Draw(t, "splits") {
		m.setSplit(t)
	}
	m.setPod(t)
	m.setSecret(t)
	return m
}

// Classes are those that a mesh is compiled for.
func Classes() []ir.ProxyClass {
	return []ir.ProxyClass{
		{Kind: ir.KindGateway, Namespace: "shop", Labels: "app=gw"},
		{Kind: ir.KindGateway, Namespace: "front", Labels: "app=other", Locality: "eu/a", Unprivileged: true},
		{Kind: ir.KindSidecar, Namespace: "shop", Labels: "app=gw,version=v1"},
		{Kind: ir.KindSidecar, Namespace: "front", Capture: ir.CaptureRedirect, Locality: "eu/b"},
		{Kind: ir.KindGRPC, Namespace: "shop"},
	}
}

// Input is the mesh as istio.Translate takes it.
func (m *Mesh) Input() istio.Input {
	return istio.Input{
		Objects:  slices.Collect(maps.Values(m.objects)),
		Registry: registry.Snapshot{Services: slices.Collect(maps.Values(m.services)), Workloads: slices.Collect(maps.Values(m.pods))},
		Splits:   slices.Collect(maps.Values(m.splits)), Secrets: slices.Collect(maps.Values(m.secrets)),
	}
}

// Tell tells all there is.
func (m *Mesh) Tell(to Target) {
	for _, o := range m.objects {
		to.SetObject(o)
	}
	for _, s := range m.services {
		to.SetService(s)
	}
	for _, w := range m.pods {
		to.SetWorkload(w)
	}
	for _, s := range m.splits {
		to.SetSplit(s)
	}
	for _, s := range m.secrets {
		to.SetSecret(s)
	}
}

// Edit changes one thing, tells it, and says what it was.
func (m *Mesh) Edit(t *rapid.T, to Target) string {
	edits := []func(*rapid.T, Target) string{ // what is drawn most stands first
		m.weigh, m.moveEndpoints, m.editObject, m.editObject, m.weigh, m.editService, m.editSplit, m.moveEndpoints, m.editPod, m.editSecret,
		m.dropObject, m.dropService, m.dropSecret, m.weigh,
	}
	return rapid.SampledFrom(edits).Draw(t, "edit")(t, to)
}

func (m *Mesh) editObject(t *rapid.T, to Target) string {
	o := m.sound(t)
	if rapid.Bool().Draw(t, "anything") {
		o = m.object(t)
	}
	m.setObject(o)
	to.SetObject(o)
	return fmt.Sprintf("set %s/%s/%s: %v", o.Kind, o.Namespace, o.Name, o.Spec)
}

func (m *Mesh) editService(t *rapid.T, to Target) string {
	s := m.setService(t, rapid.SampledFrom(namespaces()[:2]).Draw(t, "namespace"), rapid.SampledFrom(names()).Draw(t, "name"))
	to.SetService(s)
	return fmt.Sprintf("set service %+v", s)
}

func (m *Mesh) editPod(t *rapid.T, to Target) string {
	if keys := slices.Sorted(maps.Keys(m.pods)); len(keys) > 0 && rapid.IntRange(0, 2).Draw(t, "drop") == 2 {
		w := m.pods[rapid.SampledFrom(keys).Draw(t, "pod")]
		delete(m.pods, w.Namespace+"/"+w.Name)
		to.DropWorkload(w.Namespace, w.Name)
		return "drop pod " + w.Namespace + "/" + w.Name
	}
	w := m.setPod(t)
	to.SetWorkload(w)
	return fmt.Sprintf("set pod %+v", w)
}

func (m *Mesh) editSecret(t *rapid.T, to Target) string {
	s := m.setSecret(t)
	to.SetSecret(s)
	return fmt.Sprintf("set secret %s/%s %s", s.Namespace, s.Name, slices.Sorted(maps.Keys(s.Data)))
}

func (m *Mesh) setObject(o istio.Object) { m.objects[o.Kind+"/"+o.Namespace+"/"+o.Name] = o }

func (m *Mesh) dropObject(t *rapid.T, to Target) string {
	keys := slices.Sorted(maps.Keys(m.objects))
	if len(keys) == 0 {
		return "nothing to drop"
	}
	o := m.objects[rapid.SampledFrom(keys).Draw(t, "object")]
	delete(m.objects, o.Kind+"/"+o.Namespace+"/"+o.Name)
	to.DropObject(o.Kind, o.Namespace, o.Name)
	return "drop " + o.Kind + "/" + o.Namespace + "/" + o.Name
}

// gateway is one that serves all hosts on a port of each kind to proxies of one label.
func (m *Mesh) gateway(namespace string) istio.Object {
	label := map[string]string{"shop": "gw", "front": "other"}[namespace]
	return decode("Gateway", namespace, "front", nil, map[string]any{
		"selector": map[string]any{"app": label}, "servers": []any{
			map[string]any{"port": map[string]any{"number": 8080, "name": "http", "protocol": "HTTP"}, "hosts": []any{"*"}},
			map[string]any{"port": map[string]any{"number": 8443, "name": "https", "protocol": "HTTPS"}, "hosts": []any{"*"},
				"tls": map[string]any{"mode": "SIMPLE", "credentialName": "cert"}},
			map[string]any{"port": map[string]any{"number": 6379, "name": "tcp", "protocol": "TCP"}, "hosts": []any{"*"}},
			map[string]any{"port": map[string]any{"number": 9443, "name": "tls", "protocol": "TLS"}, "hosts": []any{"*"}, "tls": map[string]any{"mode": "PASSTHROUGH"}},
		},
	})
}

// object draws one of any kind, whatever it comes to.
func (m *Mesh) object(t *rapid.T) istio.Object {
	kind := rapid.SampledFrom([]string{"VirtualService", "VirtualService", "VirtualService", "DestinationRule", "DestinationRule", "Gateway", "ServiceEntry", "WorkloadEntry", "Sidecar"}).Draw(t, "kind")
	namespace := rapid.SampledFrom(namespaces()).Draw(t, "namespace")
	name := rapid.SampledFrom(names()).Draw(t, "name")
	meta := map[string]any{}
	if at := rapid.IntRange(0, 3).Draw(t, "created"); at > 0 {
		meta["creationTimestamp"] = time.Date(2026, 1, at, 0, 0, 0, 0, time.UTC).Format(time.RFC3339)
	}
	if rapid.IntRange(0, 9).Draw(t, "ordered") == 0 {
		meta["annotations"] = map[string]any{"sluice.dev/order": rapid.SampledFrom([]string{"-1", "1", "x"}).Draw(t, "order")}
	}
	meta["labels"] = map[string]any{"version": rapid.SampledFrom([]string{"v1", "v2"}).Draw(t, "label")}
	return decode(kind, namespace, name, meta, m.schema.spec(t, kind))
}

func decode(kind, namespace, name string, meta, spec map[string]any) istio.Object {
	all := map[string]any{"namespace": namespace, "name": name}
	maps.Copy(all, meta)
	return istio.Decode(map[string]any{"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": all, "spec": spec})
}

func namespaces() []string { return []string{"shop", "front", "istio-system"} }

func names() []string { return []string{"a", "b", "c"} }
