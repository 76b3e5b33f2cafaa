// Package httpmesh makes random meshes whose HTTP rules requests can be followed through, by the simulator and by a real
// Envoy: hosts overlap, rules compete, references dangle now and then, and most of it makes sense. It is for where
// requests go; what compiling survives, any field and any change included, is what test/meshgen is for. Equal seeds give
// equal meshes.
//
//	m := httpmesh.Random(rand.New(rand.NewPCG(seed, 0)))
//	err := manifests.Read("random.yaml", bytes.NewReader(m.YAML()))
package httpmesh

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"sigs.k8s.io/yaml"
)

// Object is a manifest: apiVersion, kind, metadata and the rest.
type Object = map[string]any

// Mesh is a set of manifests.
type Mesh struct{ Objects []Object }

// Namespace is where almost everything stands.
const Namespace = "shop"

// Hosts are the names by which clients outside the mesh know it, some of them only by a wildcard.
func Hosts() []string {
	return []string{"shop.example", "a.shop.example", "b.shop.example", "deep.a.shop.example", "other.example", "example", "A.Shop.Example"}
}

// Services are the short names of the services of Namespace.
func Services() []string { return []string{"cart", "reviews", "ratings", "empty"} }

// Ports are those of every service.
func Ports() []int { return []int{80, 8080} }

// Paths are what clients ask for, queries included.
func Paths() []string {
	return []string{
		"/", "/cart", "/cart/", "/carts", "/cart/items", "/cart/items/7", "/Cart/Items", "/static/app.js", "/old", "/old/page", "/cart?user=me",
		"/cart/items?user=you&user=me", "/?flag", "/a/../cart", "/cart/./items", "//cart", "/%63art", "/cart%2Fitems", "/old?x=1&flag=", "/x;y=1",
	}
}

// Headers are the names and values that requests and rules speak of.
func Headers() (names, values []string) {
	return []string{"x-user", "x-tester", "X-Beta", "cookie"}, []string{"me", "you", "yes", "", "me,you", "user=me; theme=dark", "abc123"}
}

// Methods are what requests are made with.
func Methods() []string { return []string{"GET", "POST", "DELETE"} }

// maker makes one mesh.
type maker struct{ *rand.Rand }

// Random makes a mesh.
func Random(r *rand.Rand) Mesh {
	m := maker{r}
	var out Mesh
	for i, name := range Services() {
		out.Objects = append(out.Objects, m.service(name, i)...)
		if name == "empty" || m.one(2, 3) {
			out.Objects = append(out.Objects, m.destinationRule(name))
		}
	}
	out.Objects = append(out.Objects, m.gateway("front"))
	if m.one(1, 3) {
		out.Objects = append(out.Objects, m.gateway("side"))
	}
	for i := range 2 + m.IntN(4) {
		out.Objects = append(out.Objects, m.virtualService(fmt.Sprintf("vs%d", i)))
	}
	for _, name := range Services()[:2] {
		if m.one(1, 2) {
			out.Objects = append(out.Objects, m.rollout(name))
		}
	}
	return out
}

// YAML is the mesh as a file.
func (m Mesh) YAML() []byte {
	var parts []string
	for _, o := range m.Objects {
		text, err := yaml.Marshal(o)
		if err != nil {
			panic(fmt.Sprintf("writing %v: %v", o["kind"], err)) // maps and scalars can always be written
		}
		parts = append(parts, string(text))
	}
	return []byte(strings.Join(parts, "---\n"))
}

// one is true in n of outOf cases.
func (m maker) one(n, outOf int) bool { return m.IntN(outOf) < n }

func pick[T any](m maker, list []T) T { return list[m.IntN(len(list))] }

func object(apiVersion, kind, name string, rest Object) Object {
	rest["apiVersion"], rest["kind"] = apiVersion, kind
	rest["metadata"] = Object{"name": name, "namespace": Namespace}
	return rest
}

func istio(kind, name string, spec Object) Object {
	return object("networking.istio.io/v1", kind, name, Object{"spec": spec})
}

// service has an endpoint for each of two or three versions, as a Kubernetes Service or as a ServiceEntry.
func (m maker) service(name string, number int) []Object {
	if m.one(1, 2) {
		return []Object{m.serviceEntry(name, number)}
	}
	ports, sliced := []any{}, []any{}
	for _, p := range Ports() {
		ports = append(ports, Object{"name": fmt.Sprintf("http-%d", p), "port": p})
		sliced = append(sliced, Object{"name": fmt.Sprintf("http-%d", p), "port": p + 1000})
	}
	var out []Object
	endpoints := []any{}
	for v := 1; name != "empty" && v <= 3; v++ {
		pod := fmt.Sprintf("%s-v%d", name, v)
		out = append(out, Object{
			"apiVersion": "v1", "kind": "Pod",
			"metadata": Object{"name": pod, "namespace": Namespace, "labels": Object{"version": fmt.Sprintf("v%d", v)}},
		})
		endpoints = append(endpoints, Object{
			"addresses": []any{fmt.Sprintf("10.1.%d.%d", number, v)}, "conditions": Object{"ready": v < 3 || m.one(1, 2)},
			"targetRef": Object{"kind": "Pod", "name": pod, "namespace": Namespace},
		})
	}
	slice := object("discovery.k8s.io/v1", "EndpointSlice", name+"-1", Object{"addressType": "IPv4", "ports": sliced, "endpoints": endpoints})
	slice["metadata"].(Object)["labels"] = Object{"kubernetes.io/service-name": name}
	svc := object("v1", "Service", name, Object{"spec": Object{"clusterIP": fmt.Sprintf("10.0.0.%d", number+1), "ports": ports}})
	return append(out, svc, slice)
}

func (m maker) serviceEntry(name string, number int) Object {
	ports, endpoints := []any{}, []any{}
	for _, p := range Ports() {
		ports = append(ports, Object{"name": fmt.Sprintf("http-%d", p), "number": p, "protocol": "HTTP"})
	}
	for v := 1; name != "empty" && v <= 2+m.IntN(2); v++ {
		endpoints = append(endpoints, Object{"address": fmt.Sprintf("10.2.%d.%d", number, v), "labels": Object{"version": fmt.Sprintf("v%d", v)}})
	}
	return istio("ServiceEntry", name, Object{
		"hosts": []any{name + "." + Namespace + ".svc.cluster.local"}, "ports": ports,
		"resolution": "STATIC", "location": "MESH_INTERNAL", "endpoints": endpoints,
	})
}

func (m maker) destinationRule(name string) Object {
	subsets := []any{}
	for v := 1; v <= 3; v++ {
		subset := Object{"name": fmt.Sprintf("v%d", v), "labels": Object{"version": fmt.Sprintf("v%d", v)}}
		if m.one(1, 5) {
			subset["trafficPolicy"] = m.trafficPolicy()
		}
		subsets = append(subsets, subset)
	}
	spec := Object{"host": name, "subsets": subsets}
	if m.one(1, 2) {
		spec["trafficPolicy"] = m.trafficPolicy()
	}
	return istio("DestinationRule", name, spec)
}

func (m maker) trafficPolicy() Object {
	out := Object{"loadBalancer": pick(m, []Object{
		{"simple": "ROUND_ROBIN"}, {"simple": "LEAST_REQUEST"}, {"simple": "RANDOM"}, {"consistentHash": Object{"httpHeaderName": "x-user"}},
		{"consistentHash": Object{"httpCookie": Object{"name": "user", "ttl": "0s"}}}, {"consistentHash": Object{"useSourceIp": true}},
		{"consistentHash": Object{"httpQueryParameterName": "user", "maglev": Object{}}},
	})}
	if m.one(1, 3) {
		out["connectionPool"] = Object{"tcp": Object{"maxConnections": 100}, "http": Object{"http1MaxPendingRequests": 50}}
	}
	if m.one(1, 3) {
		out["outlierDetection"] = Object{"consecutive5xxErrors": 5, "interval": "10s"}
	}
	return out
}

func (m maker) gateway(name string) Object {
	servers := []any{}
	for i, port := range []int{80, 8080}[:1+m.IntN(2)] {
		hosts := pick(m, [][]any{{"*"}, {"*"}, {"*"}, {"*.shop.example", "shop.example"}, {"*.example", "example"}, {"shop.example", "other.example"}, {"*/*.shop.example"}, {"./*"}, {"elsewhere/*", "a.shop.example"}})
		server := Object{"port": Object{"number": port, "name": fmt.Sprintf("%s-%d", name, i), "protocol": "HTTP"}, "hosts": hosts}
		if m.one(1, 10) {
			server["tls"] = Object{"httpsRedirect": true}
		}
		servers = append(servers, server)
	}
	return istio("Gateway", name, Object{"selector": Object{"app": "gateway"}, "servers": servers})
}

func (m maker) rollout(service string) Object {
	out := object("sluice.dev/v1alpha1", "Rollout", service, Object{"spec": Object{"host": service, "subset": "v2"}})
	out["metadata"].(Object)["uid"] = "u-" + service
	if m.one(1, 4) {
		return out
	}
	out["status"] = Object{
		"epoch": 1, "seq": 7, "attempt": 1, "phase": "Baking", "step": 1, "weight": pick(m, []int{0, 15, 50, 50, 100}),
		"since": "2026-01-01T00:00:00.000000Z", "traffic": Object{"seq": 7}, "stable": Object{"name": "v1"}, "canary": Object{"name": "v2"},
	}
	return out
}
