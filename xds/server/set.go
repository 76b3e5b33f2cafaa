package server

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/anypb"

	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
)

// item is one version of one resource as a class sees it. It is never changed.
type item struct {
	name    string
	version string     // empty: the client has some version, it is not known which
	any     *anypb.Any // nil: the client has reported the version, its bytes are not known here
	refs    []string   // sorted names of what it names
	parts   []envoy.Part
	origins []ir.Origin
	partial bool // something is left out of which no good version is known
	born    birth
	carries carries
}

// known reports whether the bytes are at hand.
func (i *item) known() bool { return i != nil && i.any != nil }

// names reports whether the resource names the cluster; one whose bytes are not at hand may name anything.
func (i *item) names(cluster string) bool {
	if i == nil {
		return false
	}
	if i.any == nil {
		return true
	}
	_, found := slices.BinarySearch(i.refs, cluster)
	return found
}

// collection is all resources of one kind in a set, sorted by name. It is never changed.
type collection struct {
	items  []*item
	places map[string]int   // in items, by name; collections of the same names share it
	of     []envoy.Resource // what it was made of
}

func placesOf(items []*item) map[string]int {
	places := make(map[string]int, len(items))
	for at, i := range items {
		places[i.name] = at
	}
	return places
}

func (c *collection) get(name string) *item {
	if at, ok := c.places[name]; ok {
		return c.items[at]
	}
	return nil
}

// set is everything one class is served. It is never changed; a collection that did not change is shared with the set
// before it.
type set struct {
	of   [kinds]*collection
	uses []*ir.SplitUse // sorted by key
	mark uint64         // of the fence, when it was published

	base     *set         // of which this is the variant for proxies that reject a part of it; nil: it is none
	withheld map[key]bool // rejected resources of which no good version is known
}

// newSet makes the set that follows prev (nil: the first).
func newSet(prev *set, r envoy.Resources) (*set, error) {
	s := &set{uses: r.Splits}
	byKey := func(a, b *ir.SplitUse) int { return strings.Compare(a.Key, b.Key) }
	if !slices.IsSortedFunc(s.uses, byKey) {
		s.uses = slices.SortedFunc(slices.Values(s.uses), byKey)
	}
	carried := newBearing(prev, s.uses)
	for k, resources := range [kinds][]envoy.Resource{clusters: r.Clusters, endpoints: r.Endpoints, secrets: r.Secrets, listeners: r.Listeners, routes: r.Routes} {
		var before *collection
		if prev != nil {
			before = prev.of[k]
		}
		if before != nil && sameSlice(before.of, resources) && !carried.touches(kind(k)) {
			s.of[k] = before
			continue
		}
		c, err := before.followed(resources, func(name string, old *item) carries { return carried.of(kind(k), name, old) })
		if err != nil {
			return nil, fmt.Errorf("%s: %w", kind(k), err)
		}
		s.of[k] = c
	}
	return s, nil
}

// followed is the collection after this one (nil: there is none). What is as before is shared, and so is the whole.
func (c *collection) followed(resources []envoy.Resource, carried func(name string, old *item) carries) (*collection, error) {
	next := &collection{items: make([]*item, 0, len(resources)), of: resources}
	placed := c != nil && len(c.items) == len(resources) // each name stands where it stood
	same := placed
	for at, r := range resources {
		if r.Name == "" || r.Version == "" || r.Any == nil {
			return nil, fmt.Errorf("resource %q of version %q is incomplete", r.Name, r.Version)
		}
		var old *item
		if placed = placed && c.items[at].name == r.Name; placed {
			old = c.items[at]
		} else if c != nil {
			old = c.get(r.Name)
		}
		i, with := old, carried(r.Name, old)
		if old == nil || old.version != r.Version || !old.carries.alike(with) {
			i = &item{name: r.Name, version: r.Version, any: r.Any, refs: r.Refs, parts: r.Parts, origins: r.Origins, carries: with}
		}
		same = same && placed && i == old
		next.items = append(next.items, i)
	}
	switch {
	case same:
		return c, nil
	case placed:
		next.places = c.places
		return next, nil
	}
	slices.SortStableFunc(next.items, func(a, b *item) int { return strings.Compare(a.name, b.name) })
	next.places = placesOf(next.items)
	if len(next.places) < len(next.items) {
		return nil, fmt.Errorf("resource %q is given twice", twice(next.items))
	}
	if c != nil && slices.Equal(c.items, next.items) {
		return c, nil
	}
	return next, nil
}

// twice is the first name that sorted items have in common.
func twice(items []*item) string {
	for i := 1; i < len(items); i++ {
		if items[i].name == items[i-1].name {
			return items[i].name
		}
	}
	return ""
}

// lowers reports whether some canary has less weight than in before.
func (s *set) lowers(before *set) bool {
	if before == nil {
		return false
	}
	for at, was := range before.uses {
		if at < len(s.uses) && s.uses[at] == was {
			continue
		}
		use := useOf(s.uses, was.Key)
		if other := use == nil || use.UID != was.UID; other && was.Gives() > 0 || !other && lessThan(use, was) {
			return true
		}
	}
	return false
}

// movesOnly reports whether only endpoints differ from before.
func (s *set) movesOnly(before *set) bool {
	if before == nil {
		return false
	}
	for k := range kinds {
		if k != endpoints && s.of[k] != before.of[k] {
			return false
		}
	}
	return true
}

// equal reports whether both sets hold the same resources and splits.
func (s *set) equal(other *set) bool {
	return other != nil && s.of == other.of && slices.EqualFunc(s.uses, other.uses, func(a, b *ir.SplitUse) bool { return a == b || a.Equal(*b) })
}

// sameSlice reports whether two slices are one.
func sameSlice[T any](a, b []T) bool { return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) }
