package server

import "github.com/sluice-dev/sluice/xds/envoy"

// kind is a type of resource. The order is the order of sending: what is named goes before what names it.
type kind int

const (
	clusters kind = iota
	endpoints
	secrets
	listeners
	routes
	kinds // their number
)

// typeURL is the name of the kind on the wire.
func (k kind) typeURL() string {
	return [...]string{envoy.TypeCluster, envoy.TypeEndpoint, envoy.TypeSecret, envoy.TypeListener, envoy.TypeRoute}[k]
}

// String is the short name of the kind.
func (k kind) String() string { return [...]string{"cds", "eds", "sds", "lds", "rds"}[k] }

// wildcardable reports whether a first request without names asks for everything of the kind, and whether a
// response in state-of-the-world form carries everything.
func (k kind) wildcardable() bool { return k == clusters || k == listeners }

// single reports whether a push carries one resource per response, so that a rejection names its culprit.
func (k kind) single() bool { return k == secrets || k.steers() }

// steers reports whether resources of the kind send requests to clusters: they carry the splits, and wait at the gates.
func (k kind) steers() bool { return k == listeners || k == routes }

func kindOf(typeURL string) (kind, bool) {
	for k := range kinds {
		if k.typeURL() == typeURL {
			return k, true
		}
	}
	return 0, false
}
