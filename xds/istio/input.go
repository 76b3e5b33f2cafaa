package istio

import (
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/registry"
)

// Input is everything a translation depends on. The order of its slices does not matter.
type Input struct {
	Objects       []Object
	Registry      registry.Snapshot // Kubernetes services; ServiceEntries are read from Objects
	Secrets       []*Secret         // those that objects name; others are not looked at; never changed
	TrustSecrets  bool              // Secrets that are missing are taken as existing; for questions, never for proxies
	Splits        []ir.Split        // from persisted Rollout statuses only
	DomainSuffix  string            // empty: "cluster.local"
	RootNamespace string            // of mesh-wide DestinationRules; empty: "istio-system"
}

// Object is a decoded Istio object. It is not changed after Decode.
type Object struct {
	Meta
	Spec     proto.Message     // nil: nothing could be decoded, or the kind has no effect
	Problems []problem.Problem // found while decoding; Translate repeats them
}

// Meta is what of an object's metadata matters.
type Meta struct {
	Kind        string
	Namespace   string
	Name        string
	UID         string
	Generation  int64
	Created     time.Time // zero: unknown, as in files
	Labels      map[string]string
	Annotations map[string]string
}

// ref is how Problems name the object.
func (m Meta) ref() string { return m.Kind + "/" + m.Namespace + "/" + m.Name }

func (m Meta) origin(field string) ir.Origin {
	return ir.Origin{
		Kind: m.Kind, Namespace: m.Namespace, Name: m.Name, Field: field,
		UID: m.UID, Commit: m.Annotations["sluice.dev/commit"], Generation: m.Generation,
	}
}

// key is the name by which other objects refer to it.
func (m Meta) key() string { return m.Namespace + "/" + m.Name }

func (in Input) suffix() string {
	if in.DomainSuffix == "" {
		return "cluster.local"
	}
	return in.DomainSuffix
}

func (in Input) rootNamespace() string {
	if in.RootNamespace == "" {
		return "istio-system"
	}
	return in.RootNamespace
}
