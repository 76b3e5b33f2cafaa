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
	parts   []envoy.Part
	origins []ir.Origin
	partial bool // something is left out of which no good version is known
	born    birth
	carries
}

// carries is what a resource carries of splits. The zero value carries none.
type carries struct {
	weights map[string]int // of canaries, by split
	feeds   []string       // sorted names of clusters that splits with a canary give weight to, here or elsewhere
}

func (c carries) alike(other carries) bool {
	return maps.Equal(c.weights, other.weights) && slices.Equal(c.feeds, other.feeds)
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
	mark uint64 // of the fence, when it was published

	base     *set         // of which this is the variant for proxies that reject a part of it; nil: it is none
	withheld map[key]bool // rejected resources of which no good version is known
}

// newSet makes the set that follows prev (nil: the first).
func newSet(prev *set, r envoy.Resources) (*set, error) {
	s := &set{uses: make(map[string]ir.SplitUse, len(r.Splits))}
	for _, use := range r.Splits {
		s.uses[use.Key] = use
	}
	carried := [kinds]map[string]carries{
		routes:    carriers(r.Splits, func(use ir.SplitUse) []string { return use.Tables }),
		listeners: carriers(r.Splits, func(use ir.SplitUse) []string { return use.Listeners }),
	}
	for k, resources := range [kinds][]envoy.Resource{clusters: r.Clusters, endpoints: r.Endpoints, secrets: r.Secrets, listeners: r.Listeners, routes: r.Routes} {
		var before *collection
		if prev != nil {
			before = prev.of[k]
		}
		c, err := newCollection(before, resources, carried[k])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", kind(k), err)
		}
		s.of[k] = c
	}
	return s, nil
}

// carriers says what the resources that names gives of each use carry.
func carriers(uses []ir.SplitUse, names func(ir.SplitUse) []string) map[string]carries {
	out := map[string]carries{}
	for _, use := range uses {
		for _, name := range names(use) {
			c := out[name]
			if c.weights == nil {
				c.weights = map[string]int{}
			}
			c.weights[use.Key] = use.Weight
			if use.Weight > 0 {
				c.feeds = slices.Concat(c.feeds, use.Clusters)
				slices.Sort(c.feeds)
			}
			out[name] = c
		}
	}
	return out
}

func newCollection(prev *collection, resources []envoy.Resource, carried map[string]carries) (*collection, error) {
	c := &collection{items: make([]*item, 0, len(resources)), byName: make(map[string]*item, len(resources))}
	same := prev != nil && len(prev.items) == len(resources)
	for _, r := range resources {
		if r.Name == "" || r.Version == "" || r.Any == nil {
			return nil, fmt.Errorf("resource %q of version %q is incomplete", r.Name, r.Version)
		}
		if c.byName[r.Name] != nil {
			return nil, fmt.Errorf("resource %q is given twice", r.Name)
		}
		i := &item{name: r.Name, version: r.Version, any: r.Any, refs: r.Refs, parts: r.Parts, origins: r.Origins, carries: carried[r.Name]}
		if prev != nil {
			if old := prev.get(r.Name); old != nil && old.version == i.version && old.alike(i.carries) {
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
		if o, ok := other.uses[key]; !ok || !use.Equal(o) {
			return false
		}
	}
	return true
}
