package istio

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/registry"
)

// split is a Rollout's split with its host resolved.
type split struct {
	ir.Split
	meta Meta // of the Rollout
	host string
	// previewHost shows one arm; empty: none does.
	previewHost string
	place       int  // among all splits
	blocked     bool // renders nothing: host not its own, or taken by another Rollout
}

// readSplits resolves hosts and drops what may not be rendered: a host outside the Rollout's namespace, and the second
// Rollout for a host.
func (x *index) readSplits() {
	in := slices.Clone(x.in.Splits)
	slices.SortFunc(in, func(a, b ir.Split) int {
		return cmp.Or(registry.CompareCreated(a.Created, b.Created), cmp.Compare(a.Key, b.Key))
	})
	x.divided, x.previews = map[string]*split{}, map[string]*split{}
	for i, s := range in {
		namespace, name, _ := strings.Cut(s.Key, "/")
		one := &split{Split: s, meta: Meta{Kind: "Rollout", Namespace: namespace, Name: name, UID: s.UID}, place: i}
		one.host = ResolveHost(s.Host, namespace, x.in.suffix())
		if _, ok := x.ownService(one); !ok {
			one.blocked = true
			x.found.fail(one.meta, "S060", "spec.host", fmt.Sprintf("namespace %s has no service with the host %s", namespace, one.host),
				"create the service, or put the Rollout in the namespace of its host")
		}
		if first := x.divided[one.host]; first != nil {
			one.blocked = true
			x.found.fail(one.meta, "S061", "spec.host", fmt.Sprintf("Rollout %s already moves the traffic of %s", first.Key, one.host), "delete one of the two Rollouts")
		} else if !one.blocked {
			x.divided[one.host] = one
			x.readPreview(one)
		}
		x.splits = append(x.splits, one)
	}
}

// role is what a destination is to a split.
type role int

const (
	other  role = iota // another host, or a subset that is pinned
	main               // the bare host, stable, or a former stable
	canary             // the canary only
)

func (s *split) role(d destination) role {
	switch {
	case d.host != s.host || d.fixed:
		return other
	case d.subset == "" || d.subset == s.Stable || slices.Contains(s.Managed, d.subset):
		return main
	case s.Canary != "" && d.subset == s.Canary:
		return canary
	default:
		return other
	}
}

// ruleSite is the rule whose destinations are overlaid.
type ruleSite struct {
	name     string
	catchAll bool   // some request without any condition, of whatever client, reaches it
	table    string // where requests are routed; empty: the rule is for connections
	listener string // where connections are
	at       Meta
	field    string
}

// part says how a rule takes part in a split.
type part int

const (
	partNone   part = iota
	partTakes       // by its main destinations, or because it is named
	partPinned      // it names the canary only, and is left alone
	partSwept       // it names the canary only, but is a catch-all: it takes part all the same
)

func (s *split) part(site ruleSite, ds []destination) part {
	mains, canaries := int64(0), int64(0)
	for _, d := range ds {
		switch s.role(d) {
		case main:
			mains += d.weight
		case canary:
			canaries += d.weight
		case other:
		}
	}
	named := slices.Contains(s.Routes, site.name) && site.name != ""
	switch {
	case mains+canaries == 0:
		return partNone
	case len(s.Routes) > 0 && named:
		return partTakes
	case len(s.Routes) > 0 && mains > 0:
		return partNone
	case len(s.Routes) > 0:
		return partPinned
	case mains > 0:
		return partTakes
	case site.catchAll:
		return partSwept
	default:
		return partPinned
	}
}

// overlay divides the destinations of a rule by the splits that it takes part in, and says which those are; none: the
// destinations stay as written.
func (t *translator) overlay(site ruleSite, ds []destination) ([]destination, []*split) {
	var taken []*split
	for _, s := range t.splits(ds) {
		if p := s.part(site, ds); (p == partTakes || p == partSwept) && t.owns(s) {
			taken = append(taken, s)
		}
	}
	if len(taken) == 0 {
		return ds, nil
	}
	out, total := divided(taken, ds, t.armsOf)
	if total > math.MaxUint32 {
		for _, s := range taken {
			t.found.fail(s.meta, "S069", site.field, fmt.Sprintf("the weights of %s %s add up to %d, which is too much to divide", site.at.ref(), site.field, total),
				"use smaller weights; until then the rule stays as written")
		}
		return ds, nil
	}
	for _, s := range taken {
		t.use(site, s, s.fed(out))
	}
	return out, taken
}

// divided is the list of destinations with the arms of each split in the place of its host, and the sum of the weights.
func divided(taken []*split, ds []destination, of func(s *split, port int) arms) ([]destination, int64) {
	l := layout{arms: of}
	for _, d := range ds {
		l.add(taken, d)
	}
	return l.result()
}

// use notes where a split is rendered, and which clusters get requests by it; a rule that is served nowhere counts for
// nothing.
func (t *translator) use(site ruleSite, s *split, clusters []string) {
	if site.table+site.listener != "" {
		t.unit.uses = append(t.unit.uses, use{split: s, table: site.table, listener: site.listener, clusters: clusters})
	}
}

// fed are the clusters of the split that divided destinations give weight to.
func (s *split) fed(ds []destination) []string {
	var out []string
	for _, d := range ds {
		if d.weight > 0 && s.role(d) != other {
			out = append(out, d.cluster())
		}
	}
	return out
}

// splits are those that divide a host among the destinations, in their order.
func (t *translator) splits(ds []destination) []*split {
	var out []*split
	for _, d := range ds {
		if s := t.split(d.host); s != nil && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b *split) int { return cmp.Compare(a.place, b.place) })
	return out
}

// owns reports whether the class sees the split's host as the service of the Rollout's namespace.
func (t *translator) owns(s *split) bool {
	svc, ok := t.service(s.host)
	return ok && svc.Namespace == s.meta.Namespace
}

// arms are the two subsets of a split on one port, and the canary's percentage.
type arms struct {
	stable string
	canary string
	weight int64
}

// armsOf checks that both clusters exist in the class; else all of the share stays on stable, or on the bare host.
func (t *translator) armsOf(s *split, port int) arms {
	a := arms{stable: s.Stable, canary: s.Canary, weight: int64(min(max(s.Weight, 0), 100))}
	if a.canary == "" {
		a.weight = 0
	}
	for _, subset := range []string{s.Stable, s.Canary} {
		if subset == "" || t.hasCluster(port, subset, s.host) {
			continue
		}
		a.weight = 0
		t.found.fail(s.meta, "S062", "spec.subset", fmt.Sprintf("port %d of %s has no subset %q", port, s.host, subset),
			"define the subset in a DestinationRule that the callers see; until then all traffic stays on stable")
		if subset == s.Stable {
			a.stable = ""
		}
	}
	return a
}

// group is the share of one host, port and set of header changes that a split divides.
type group struct {
	split   *split
	port    int
	headers string
	main    bool        // a main destination made it
	first   destination // where header changes come from
	canary  *destination
	place   int
	share   int64
	others  bool // not a group at all: a destination that is left alone
}

// layout turns destinations into groups, and groups into the divided list.
type layout struct {
	arms   func(s *split, port int) arms
	groups []*group
	waits  []group // canary destinations, until all main groups are known
	places int
}

func (l *layout) add(taken []*split, d destination) {
	place := l.places
	l.places++
	for _, s := range taken {
		switch s.role(d) {
		case main:
			l.join(group{split: s, port: d.port, headers: headerKey(d), main: true, first: d, place: place, share: d.weight})
			return
		case canary:
			l.waits = append(l.waits, group{split: s, port: d.port, headers: headerKey(d), first: d, place: place, share: d.weight})
			return
		case other:
		}
	}
	l.groups = append(l.groups, &group{first: d, place: place, share: d.weight, others: true})
}

func (l *layout) join(g group) {
	for _, have := range l.groups {
		if !have.others && have.split == g.split && have.port == g.port && have.headers == g.headers {
			have.share += g.share
			return
		}
	}
	l.groups = append(l.groups, &g)
}

func headerKey(d destination) string { return fmt.Sprintf("%q %q", d.headers, d.authority) }

// settle lets each canary destination join the first main group of its port; without one they make groups themselves.
func (l *layout) settle() {
	for _, w := range l.waits {
		i := slices.IndexFunc(l.groups, func(g *group) bool { return g.main && g.split == w.split && g.port == w.port })
		if i < 0 {
			l.join(w)
			continue
		}
		g := l.groups[i]
		g.share += w.share
		g.place = min(g.place, w.place)
		if g.canary == nil {
			g.canary = &w.first
		}
	}
	l.waits = nil
	slices.SortStableFunc(l.groups, func(a, b *group) int { return cmp.Compare(a.place, b.place) })
}

// result divides. All shares are first divided by their greatest common divisor, which the canary's percentage has no part in: order
// and total stay the same for every percentage, so that growing it never moves a request from the canary back to stable.
func (l *layout) result() ([]destination, int64) {
	l.settle()
	divisor := int64(0)
	for _, g := range l.groups {
		divisor = gcd(divisor, g.share)
	}
	var out []destination
	total := int64(0)
	put := func(d destination, weight int64) {
		if weight > 0 {
			d.weight = weight
			out = append(out, d)
			total += weight
		}
	}
	for _, g := range l.groups {
		share := g.share / max(divisor, 1)
		if g.others {
			put(g.first, share*100)
			continue
		}
		a := l.arms(g.split, g.port)
		stable, canary := g.first, g.first
		if g.canary != nil {
			canary.headers, canary.authority = g.canary.headers, g.canary.authority
		}
		stable.subset, canary.subset = a.stable, a.canary
		put(stable, share*(100-a.weight))
		put(canary, share*a.weight)
	}
	return out, total
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// splitUses say where each split was rendered.
func (p *planner) splitUses() []*ir.SplitUse {
	users := map[*split][]*unit{}
	for _, u := range p.units {
		for _, one := range u.uses {
			users[one.split] = append(users[one.split], u)
		}
	}
	var out []*ir.SplitUse
	for s, units := range users {
		if one, used := splitUse(s, units); used {
			out = append(out, &one)
		}
	}
	return byName(out, func(use *ir.SplitUse) string { return use.Key })
}

// splitUse says where units have rendered a split; false: nowhere.
func splitUse(s *split, units []*unit) (ir.SplitUse, bool) {
	out := ir.SplitUse{Key: s.Key, UID: s.UID, Seq: s.Seq, Weight: s.Weight, Rest: s.Canary == "", Braked: s.Braked, Besides: s.besides()}
	for _, u := range units {
		for _, one := range u.uses {
			if one.split != s {
				continue
			}
			out.Tables = with(out.Tables, one.table)
			out.Listeners = with(out.Listeners, one.listener)
			for _, name := range one.clusters {
				out.Clusters = with(out.Clusters, name)
			}
		}
	}
	return out, len(out.Tables)+len(out.Listeners) > 0
}

// with is a sorted list of names with one more, where it is not empty.
func with(list []string, name string) []string {
	if i, ok := slices.BinarySearch(list, name); !ok && name != "" {
		return slices.Insert(list, i, name)
	}
	return list
}
