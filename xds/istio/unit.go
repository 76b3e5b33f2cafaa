package istio

import (
	"reflect"
	"slices"

	"github.com/sluice-dev/sluice/api/problem"
)

// unitKind is what a unit makes.
type unitKind int

const (
	hostUnit        unitKind = iota // a virtual host of a table, before those that answer alike are joined
	tableUnit                       // a whole table, where it is made in one piece
	clusterUnit                     // a cluster
	endpointsUnit                   // the endpoints of a cluster
	listenerUnit                    // a listener
	keyPairUnit                     // the certificate and key of a Secret
	authoritiesUnit                 // the authorities of a Secret
	chainsUnit                      // the chains that forward connections to a host at a listener
	instancesUnit                   // the addresses at which a headless service is dialled
)

// key names a unit of a class.
type key struct {
	kind  unitKind
	table string // of a virtual host; the listener of chains
	name  string
}

// unit is a piece of a configuration that is made on its own: from its inputs, which the planner hands in, and from what
// it asks of the mesh while it is made. It is kept as long as all of those are the same.
type unit struct {
	key    key
	inputs []any // comparable
	build  func(*translator) any
	reads  []read
	found  []problem.Problem
	uses   []use
	value  any
	round  int // of the newest plan that wants it
}

// read is a question that a unit asked, and the identity of the answer.
type read struct {
	fact fact
	name string
	got  any
}

// use is a split that a unit rendered.
type use struct {
	split    *split
	table    string   // empty: none
	listener string   // empty: none
	clusters []string // that it gives weight to
}

// made gives what build makes of inputs: what was made before, as long as inputs and all that build asked of the mesh
// are the same. The inputs are compared with ==. Build must not use anything else that may change.
func made[T any](p *planner, k key, inputs []any, build func(*translator) T) T {
	u := p.units[k]
	wrapped := func(t *translator) any { return build(t) }
	if u == nil {
		u = &unit{key: k}
		p.units[k] = u
	}
	u.build, u.round = wrapped, p.round
	if u.value == nil || !slices.Equal(u.inputs, inputs) || !p.holds(u) {
		u.inputs = inputs
		p.remake(u)
	}
	value, _ := u.value.(T)
	return value
}

// holds reports whether all that the unit asked would be answered alike.
func (p *planner) holds(u *unit) bool {
	return !slices.ContainsFunc(u.reads, func(r read) bool { return p.answer(r.fact, r.name) != r.got })
}

// remake makes the unit of what the mesh is now. What comes out as before is the same as before.
func (p *planner) remake(u *unit) {
	t := &translator{mesh: p, class: p.class, labels: p.labels, found: &findings{}, unit: u}
	u.reads, u.uses = nil, nil
	u.value = reused(u.value, u.build(t))
	u.found = t.found.list
}

// reused is before, or what of it equals now.
func reused(before, now any) any {
	old, ok := before.(madeCluster)
	next, made := now.(madeCluster)
	if !ok || !made {
		if before != nil && reflect.DeepEqual(before, now) {
			return before
		}
		return now
	}
	if next.cluster != nil {
		next.cluster = shared(old.cluster, next.cluster, deepEqual)
	}
	if next.hash != nil {
		next.hash = shared(old.hash, next.hash, deepEqual)
	}
	return next
}
