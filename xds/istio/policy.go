package istio

import (
	"fmt"
	"slices"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/sluice-dev/sluice/xds/ir"
)

// policy is what the DestinationRules of one host say to one client.
type policy struct {
	rules   []*destinationRule // that it was made of
	subsets []subset
	top     *networking.TrafficPolicy
	topAt   Meta
	origins []ir.Origin
}

type subset struct {
	name   string
	labels map[string]string
	policy *networking.TrafficPolicy
	at     Meta
	field  string
}

// equal reports whether two policies were made of the same rules.
func (p *policy) equal(o *policy) bool { return slices.Equal(p.rules, o.rules) }

func (p *policy) subset(name string) (subset, bool) {
	i := slices.IndexFunc(p.subsets, func(s subset) bool { return s.name == name })
	if i < 0 {
		return subset{}, false
	}
	return p.subsets[i], true
}

// block is one part of a traffic policy and where it was written.
type block[T any] struct {
	value T
	at    Meta
	field string
}

// layer is a traffic policy, or the entry of a port in one, and where it was written.
type layer struct {
	policy trafficPolicy
	at     Meta
	field  string
}

// layers are the policies that hold for a subset's port, strongest first; each block is that of the first that has it.
// The entry of a port stands for a whole policy: what it does not say is not taken from the policy it stands in.
func (p *policy) layers(s subset, port int) []layer {
	own, whole := layersOf(s.policy, s.at, s.field+".trafficPolicy", port)
	if whole {
		return own
	}
	top, _ := layersOf(p.top, p.topAt, "spec.trafficPolicy", port)
	return append(own, top...)
}

// layersOf is the entry of the port (true), else the policy itself.
func layersOf(tp *networking.TrafficPolicy, at Meta, field string, port int) ([]layer, bool) {
	if tp == nil {
		return nil, false
	}
	for i, pl := range tp.GetPortLevelSettings() {
		if int(pl.GetPort().GetNumber()) == port {
			return []layer{{pl, at, fmt.Sprintf("%s.portLevelSettings[%d]", field, i)}}, true
		}
	}
	return []layer{{tp, at, field}}, false
}

// blockOf is a block of the strongest layer that has it; false: none has.
func blockOf[T comparable](layers []layer, name string, get func(trafficPolicy) T) (block[T], bool) {
	var none T
	for _, l := range layers {
		if v := get(l.policy); v != none {
			return block[T]{v, l.at, l.field + "." + name}, true
		}
	}
	return block[T]{}, false
}
