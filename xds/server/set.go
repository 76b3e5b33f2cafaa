package server

import (
	"fmt"
	"maps"
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
	weights map[string]int
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
	byName map[string]*item
}

func (c *collection) get(name string) *item { return c.byName[name] }

// set is everything one class is served. It is never changed; a collection that did not change is shared with the set
// before it.
type set struct {
	of   [kinds]*collection
	uses map[string]ir.SplitUse
}

// newSet makes the set that follows prev (nil: the first).
func newSet(prev *set, r envoy.Resources) (*set, error) {
	s := &set{uses: make(map[string]ir.SplitUse, len(r.Splits))}
	weights := map[string]map[string]int{}
	for _, use := range r.Splits {
		s.uses[use.Key] = use
		for _, name := range slices.Concat(use.Tables, use.Listeners) {
			if weights[name] == nil {
				weights[name] = map[string]int{}
			}
			weights[name][use.Key] = use.Weight
		}
	}
	for k, resources := range [kinds][]envoy.Resource{clusters: r.Clusters, endpoints: r.Endpoints, secrets: r.Secrets, listeners: r.Listeners, routes: r.Routes} {
		var before *collection
		if prev != nil {
			before = prev.of[k]
		}
		var carried map[string]map[string]int
		if kind(k).steers() {
			carried = weights // splits are carried by routes and listeners only
		}
		c, err := newCollection(before, resources, carried)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", kind(k), err)
		}
		s.of[k] = c
	}
	return s, nil
}

func newCollection(prev *collection, resources []envoy.Resource, weights map[string]map[string]int) (*collection, error) {
	c := &collection{items: make([]*item, 0, len(resources)), byName: make(map[string]*item, len(resources))}
	same := prev != nil && len(prev.items) == len(resources)
	for _, r := range resources {
		if r.Name == "" || r.Version == "" || r.Any == nil {
			return nil, fmt.Errorf("resource %q of version %q is incomplete", r.Name, r.Version)
		}
		if c.byName[r.Name] != nil {
			return nil, fmt.Errorf("resource %q is given twice", r.Name)
		}
		i := &item{name: r.Name, version: r.Version, any: r.Any, refs: r.Refs, weights: weights[r.Name]}
		if prev != nil {
			if old := prev.get(r.Name); old != nil && old.version == i.version && maps.Equal(old.weights, i.weights) {
				i = old
			}
		}
		same = same && prev.get(r.Name) == i
		c.items = append(c.items, i)
		c.byName[r.Name] = i
	}
	if same {
		return prev, nil
	}
	slices.SortFunc(c.items, func(a, b *item) int { return strings.Compare(a.name, b.name) })
	return c, nil
}

// lowers reports whether some canary has less weight than in before.
func (s *set) lowers(before *set) bool {
	if before == nil {
		return false
	}
	for key, was := range before.uses {
		if use, ok := s.uses[key]; was.Weight > 0 && (!ok || use.UID != was.UID || use.Weight < was.Weight) {
			return true
		}
	}
	return false
}

// equal reports whether both sets hold the same resources and splits.
func (s *set) equal(other *set) bool {
	if other == nil || s.of != other.of || len(s.uses) != len(other.uses) {
		return false
	}
	for key, use := range s.uses {
		o, ok := other.uses[key]
		if !ok || use.UID != o.UID || use.Seq != o.Seq || use.Weight != o.Weight ||
			!slices.Equal(use.Tables, o.Tables) || !slices.Equal(use.Listeners, o.Listeners) {
			return false
		}
	}
	return true
}
