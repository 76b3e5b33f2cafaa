package istio

import (
	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/registry"
)

// translator makes one unit of a class. It asks the mesh by its methods only, which note what was asked: a unit is made
// anew when an answer changes. Code that makes units must not reach around them.
type translator struct {
	mesh   *planner
	class  ir.ProxyClass
	labels map[string]string
	found  *findings // about this unit
	unit   *unit
}

// fact is a kind of question about the mesh.
type fact int

const (
	factService     fact = iota // the service of a host, as the class sees it; its endpoints are a fact of their own
	factEndpoints               // its endpoints
	factKnown                   // whether any service has the host, seen or not
	factPolicy                  // what DestinationRules say about the service of a host
	factSplit                   // the split that divides a host
	factPreview                 // the split that a host previews
	factOwner                   // the VirtualService that decides for a host inside the mesh
	factHash                    // what requests to a cluster are told apart by
	factLeftOut                 // whether a cluster that should exist is left out
	factKeyPair                 // the certificate and key of a Secret
	factAuthorities             // the authorities of a Secret
	factSecret                  // the Secret of a name in the namespace of the proxies
)

// answer looks a fact up. Equal answers are identical.
func (p *planner) answer(f fact, name string) any {
	switch f {
	case factService:
		if s := p.seen[name]; s != nil {
			return s.shape
		}
		return (*registry.Service)(nil)
	case factEndpoints:
		if s := p.seen[name]; s != nil {
			return s.endpoints
		}
		return (*endpointSet)(nil)
	case factKnown:
		return len(p.servicesOf(name)) > 0
	case factPolicy:
		return p.policies[name]
	case factSplit:
		return p.divided[name]
	case factPreview:
		return p.previews[name]
	case factOwner:
		return p.owners.of(name)
	case factHash:
		return p.clusters[name].hash
	case factLeftOut:
		made, planned := p.clusters[name]
		return planned && made.cluster == nil
	case factKeyPair:
		return p.secret(name, keyPairUnit)
	case factAuthorities:
		return p.secret(name, authoritiesUnit)
	case factSecret:
		return p.secrets[p.class.Namespace+"/"+name]
	default:
		return nil
	}
}

func ask[T any](t *translator, f fact, name string) T {
	got := t.mesh.answer(f, name)
	t.note(read{f, name, got})
	value, _ := got.(T)
	return value
}

func (t *translator) note(r read) {
	for i := len(t.unit.reads) - 1; i >= 0 && i >= len(t.unit.reads)-8; i-- { // mostly the same few names
		if t.unit.reads[i].fact == r.fact && t.unit.reads[i].name == r.name {
			return
		}
	}
	t.unit.reads = append(t.unit.reads, r)
}

// service finds the service of a host as this class sees it, without its endpoints.
func (t *translator) service(host string) (registry.Service, bool) {
	s := ask[*registry.Service](t, factService, host)
	if s == nil {
		return registry.Service{}, false
	}
	return *s, true
}

// endpoints are those of the service of a host.
func (t *translator) endpoints(host string) []registry.Endpoint {
	if e := ask[*endpointSet](t, factEndpoints, host); e != nil {
		return e.list
	}
	return nil
}

// known reports whether any service has the host, whether this class sees it or not.
func (t *translator) known(host string) bool { return ask[bool](t, factKnown, host) }

// policy is what DestinationRules say about the service of a host; never nil.
func (t *translator) policy(host string) *policy {
	if p := ask[*policy](t, factPolicy, host); p != nil {
		return p
	}
	return &policy{}
}

// split is what divides the traffic of a host; nil: nothing does.
func (t *translator) split(host string) *split { return ask[*split](t, factSplit, host) }

// preview is the split of which a host shows one arm; nil: it is a host like any other.
func (t *translator) preview(host string) *split { return ask[*split](t, factPreview, host) }

// owner is the VirtualService that decides for a host inside the mesh; nil: none does.
func (t *translator) owner(host string) *virtual { return ask[*virtual](t, factOwner, host) }

// hash is what requests to a cluster are told apart by; nil: they are spread evenly.
func (t *translator) hash(cluster string) *ir.Hash { return ask[*ir.Hash](t, factHash, cluster) }

// hasCluster reports whether the class has the cluster of a host's port and subset (empty: all endpoints).
func (t *translator) hasCluster(port int, subset, host string) bool {
	s, ok := t.service(host)
	if !ok || !hasPort(s, port) || ask[bool](t, factLeftOut, ir.ClusterName(port, subset, host)) {
		return false
	}
	if subset == "" {
		return true
	}
	_, ok = t.policy(host).subset(subset)
	return ok
}

// suffix is the domain of Kubernetes services.
func (t *translator) suffix() string { return t.mesh.in.suffix() }
