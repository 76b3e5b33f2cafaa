package controller

import (
	"cmp"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/istio"
	"github.com/sluice-dev/sluice/xds/registry"
	"github.com/sluice-dev/sluice/xds/registry/kube"
)

// readings are the services as read from Kubernetes. Each is read again when something that it is read from has changed,
// and not before it is asked for.
type readings struct {
	services map[types.NamespacedName]*corev1.Service
	slices   map[types.NamespacedName]*discoveryv1.EndpointSlice
	slicesOf map[types.NamespacedName]map[string]*discoveryv1.EndpointSlice // by service, by name
	users    map[types.NamespacedName]map[types.NamespacedName]int          // by pod: how often slices of a service name it
	read     map[types.NamespacedName]registry.Service
	stale    map[types.NamespacedName]bool
	untold   untold
}

// untold is what has changed in one lane since the compiler was told.
type untold struct {
	moved   map[types.NamespacedName]bool // services
	weighed map[types.NamespacedName]bool // Rollouts
}

func newReadings() readings {
	return readings{
		services: map[types.NamespacedName]*corev1.Service{}, slices: map[types.NamespacedName]*discoveryv1.EndpointSlice{}, untold: newUntold(),
		slicesOf: map[types.NamespacedName]map[string]*discoveryv1.EndpointSlice{}, users: map[types.NamespacedName]map[types.NamespacedName]int{},
		read: map[types.NamespacedName]registry.Service{}, stale: map[types.NamespacedName]bool{},
	}
}

func newUntold() untold {
	return untold{moved: map[types.NamespacedName]bool{}, weighed: map[types.NamespacedName]bool{}}
}

// ownerOf is the service that a slice belongs to.
func ownerOf(s *discoveryv1.EndpointSlice) types.NamespacedName {
	return types.NamespacedName{Namespace: s.Namespace, Name: s.Labels[discoveryv1.LabelServiceName]}
}

// place takes a slice from the service it belonged to, and gives it to the one it belongs to; nil is none.
func (r *readings) place(before, now *discoveryv1.EndpointSlice) []types.NamespacedName {
	var owners []types.NamespacedName
	if before != nil {
		owner := ownerOf(before)
		owners = append(owners, owner)
		if delete(r.slicesOf[owner], before.Name); len(r.slicesOf[owner]) == 0 {
			delete(r.slicesOf, owner)
		}
		r.count(before, -1)
	}
	if now == nil {
		return owners
	}
	owner := ownerOf(now)
	if r.slicesOf[owner] == nil {
		r.slicesOf[owner] = map[string]*discoveryv1.EndpointSlice{}
	}
	r.slicesOf[owner][now.Name] = now
	r.count(now, 1)
	return append(owners, owner)
}

// count adds to how often slices of a service name each pod.
func (r *readings) count(s *discoveryv1.EndpointSlice, by int) {
	owner := ownerOf(s)
	for _, e := range s.Endpoints {
		if e.TargetRef == nil || e.TargetRef.Kind != "Pod" {
			continue
		}
		pod := types.NamespacedName{Namespace: cmp.Or(e.TargetRef.Namespace, s.Namespace), Name: e.TargetRef.Name}
		if r.users[pod] == nil {
			r.users[pod] = map[types.NamespacedName]int{}
		}
		if r.users[pod][owner] += by; r.users[pod][owner] == 0 {
			delete(r.users[pod], owner)
		}
		if len(r.users[pod]) == 0 {
			delete(r.users, pod)
		}
	}
}

// usersOf are the services whose slices name a pod.
func (r *readings) usersOf(pod types.NamespacedName) []types.NamespacedName {
	return slices.Collect(maps.Keys(r.users[pod]))
}

// move marks services whose endpoints may have changed; the world is locked.
func (w *world) move(services ...types.NamespacedName) {
	for _, s := range services {
		w.stale[s], w.untold.moved[s] = true, true
	}
}

// refresh reads what is stale; the world is locked.
func (w *world) refresh() {
	for name := range w.stale {
		svc := w.services[name]
		if svc == nil {
			delete(w.read, name)
			continue
		}
		in := w.kubernetes()
		in.Services, in.Slices = []*corev1.Service{svc}, slices.Collect(maps.Values(w.slicesOf[name]))
		w.read[name] = kube.Snapshot(in).Services[0]
	}
	clear(w.stale)
}

// kubernetes is what every service is read with; the world is locked.
func (w *world) kubernetes() kube.Input {
	return kube.Input{
		DomainSuffix: w.suffix,
		PodLabels: func(namespace, name string) map[string]string {
			return w.pods[types.NamespacedName{Namespace: namespace, Name: name}]
		},
		NodeLabels: w.nodeLabels(),
	}
}

func (w *world) nodeLabels() func(string) map[string]string {
	return func(name string) map[string]string { return w.nodes[name] }
}

// registered are all services, sorted by host; the world is locked.
func (w *world) registered() []registry.Service {
	w.refresh()
	return slices.SortedFunc(maps.Values(w.read), func(a, b registry.Service) int { return cmp.Compare(a.Host, b.Host) })
}

// news are what a compiler has not been told of some lanes.
type news struct {
	whole    *istio.Input // everything; nil: the rest says it all
	services []registry.Service
	splits   []ir.Split
}

// tell gives the news of the lanes.
func (w *world) tell(of lanes) news {
	w.mu.Lock()
	defer w.mu.Unlock()
	if of.rest {
		w.untold = newUntold()
		in := w.assembled()
		return news{whole: &in}
	}
	var out news
	if of.endpoints {
		w.refresh()
		for name := range w.untold.moved {
			if s, ok := w.read[name]; ok {
				out.services = append(out.services, s)
			}
		}
		clear(w.untold.moved)
	}
	if of.weights {
		for name := range w.untold.weighed {
			if s := w.rendered(name); s != nil {
				out.splits = append(out.splits, *s)
			}
		}
		clear(w.untold.weighed)
	}
	return out
}
