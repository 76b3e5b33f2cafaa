package server

// kind is a type of resource. The order is the order of sending: what is named goes before what names it.
type kind int

const (
	clusters kind = iota
	endpoints
	listeners
	routes
	kinds // their number
)

const typePrefix = "type.googleapis.com/envoy.config."

// typeURL is the name of the kind on the wire.
func (k kind) typeURL() string {
	switch k {
	case clusters:
		return typePrefix + "cluster.v3.Cluster"
	case endpoints:
		return typePrefix + "endpoint.v3.ClusterLoadAssignment"
	case listeners:
		return typePrefix + "listener.v3.Listener"
	default:
		return typePrefix + "route.v3.RouteConfiguration"
	}
}

// String is the short name of the kind.
func (k kind) String() string { return [...]string{"cds", "eds", "lds", "rds"}[k] }

// wildcardable reports whether a first request without names asks for everything of the kind, and whether a
// response in state-of-the-world form carries everything.
func (k kind) wildcardable() bool { return k == clusters || k == listeners }

// single reports whether a push carries one resource per response, so that a rejection names its culprit.
func (k kind) single() bool { return k == listeners || k == routes }

func kindOf(typeURL string) (kind, bool) {
	for k := range kinds {
		if k.typeURL() == typeURL {
			return k, true
		}
	}
	return 0, false
}
