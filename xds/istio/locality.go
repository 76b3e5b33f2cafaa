package istio

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/registry"
)

// The labels that failoverPriority may name and that say where an endpoint or a client runs.
const (
	labelRegion  = "topology.kubernetes.io/region"
	labelZone    = "topology.kubernetes.io/zone"
	labelSubZone = "topology.istio.io/subzone"
	labelHost    = "kubernetes.io/hostname"
	labelNetwork = "topology.istio.io/network"
)

// nearness says which endpoints of a cluster a class uses first, and how much each locality gets.
type nearness struct {
	from       registry.Locality
	labels     map[string]string // of the class
	distribute map[string]uint32 // locality patterns and their weights; nil: nothing is distributed
	compare    []string          // keys that endpoints should share with the class, or key=value, the first counting most
	failover   map[string]string // region of a client -> the only region that takes over
	noSockets  bool              // the class cannot dial Unix sockets
	prefer     bool              // localities near the class come first
	weigh      bool              // the weights of localities count
	at         block[*networking.LocalityLoadBalancerSetting]
}

// nearness reads what the policies of a cluster say about localities. Endpoints further away take over only where some are
// ejected, so outlierDetection alone turns that on, and without it nothing else does.
func (t *translator) nearness(layers []layer) nearness {
	lb, _ := blockOf(layers, "loadBalancer", trafficPolicy.GetLoadBalancer)
	_, ejects := blockOf(layers, "outlierDetection", trafficPolicy.GetOutlierDetection)
	n := nearness{from: parseLocality(t.class.Locality), labels: t.labels, noSockets: t.class.Kind == ir.KindGRPC}
	n.at = block[*networking.LocalityLoadBalancerSetting]{lb.value.GetLocalityLbSetting(), lb.at, lb.field + ".localityLbSetting"}
	in := n.at.value
	switch {
	case in != nil && in.GetEnabled() != nil && !in.GetEnabled().GetValue():
	case len(in.GetDistribute()) > 0:
		t.distribute(&n)
	case ejects:
		n.compare, n.failover = in.GetFailoverPriority(), t.failover(n.at)
		n.prefer = t.class.Locality != "" && (len(n.compare) == 0 || len(n.failover) > 0)
		n.weigh = len(in.GetFailover()) > 0 || len(n.compare) > 0
	case len(in.GetFailover()) > 0 || len(in.GetFailoverPriority()) > 0:
		t.found.warn(n.at.at, "S043", n.at.field, "endpoints further away take over only where outlierDetection ejects those nearby", "add outlierDetection")
	}
	return n
}

// distribute takes the first entry that is for the class.
func (t *translator) distribute(n *nearness) {
	in := n.at.value
	if len(in.GetFailover()) > 0 || len(in.GetFailoverPriority()) > 0 {
		t.found.fail(n.at.at, "S002", n.at.field, "distribute stands beside failover or failoverPriority", "keep one of them; until then distribute holds")
	}
	n.weigh = true
	for i, d := range in.GetDistribute() {
		at, sum := fmt.Sprintf("%s.distribute[%d]", n.at.field, i), uint64(0)
		for _, weight := range d.GetTo() {
			sum += uint64(weight)
		}
		if sum != 100 {
			t.found.fail(n.at.at, "S002", at+".to", fmt.Sprintf("the weights add up to %d", sum), "make them add up to 100; until then this entry is left out")
			continue
		}
		if n.distribute == nil && within(n.from, d.GetFrom()) {
			n.distribute = d.GetTo()
		}
	}
}

func (t *translator) failover(b block[*networking.LocalityLoadBalancerSetting]) map[string]string {
	out := map[string]string{}
	for i, f := range b.value.GetFailover() {
		at := fmt.Sprintf("%s.failover[%d]", b.field, i)
		switch _, twice := out[f.GetFrom()]; {
		case f.GetFrom() == f.GetTo() || strings.ContainsAny(f.GetFrom()+f.GetTo(), "/*"):
			t.found.fail(b.at, "S002", at, fmt.Sprintf("%q to %q is no failover from one region to another", f.GetFrom(), f.GetTo()),
				"name two regions; until then this entry is left out")
		case twice:
			t.found.fail(b.at, "S002", at+".from", fmt.Sprintf("region %q has a failover already", f.GetFrom()), "keep one; until then the first holds")
		default:
			out[f.GetFrom()] = f.GetTo()
		}
	}
	return out
}

func parseLocality(text string) registry.Locality {
	parts := strings.SplitN(text+"//", "/", 4)
	return registry.Locality{Region: parts[0], Zone: parts[1], SubZone: parts[2]}
}

// within reports whether a locality is one of a pattern such as "eu/a/*". What the pattern does not say is anything.
func within(l registry.Locality, pattern string) bool {
	p := parseLocality(pattern)
	same := func(want, got string) bool { return want == "*" || want == got }
	return same(p.Region, l.Region) && (p.Zone == "" || same(p.Zone, l.Zone)) && (p.SubZone == "" || same(p.SubZone, l.SubZone))
}

// distance is 0 for the same sub-zone, 1 for the same zone, 2 for the same region, 3 for another one and 4 for one that does
// not take over.
func (n nearness) distance(to registry.Locality) uint32 {
	switch {
	case n.from.Region != to.Region:
		if only, limited := n.failover[n.from.Region]; limited && only != to.Region {
			return 4
		}
		return 3
	case n.from.Zone != to.Zone:
		return 2
	case n.from.SubZone != to.SubZone:
		return 1
	default:
		return 0
	}
}

// rank orders the endpoints of a cluster; the least are used first.
func (n nearness) rank(e registry.Endpoint) uint32 {
	out := uint32(0)
	for i, key := range n.compare {
		key, want, fixed := strings.Cut(key, "=")
		if !fixed {
			want = labelAt(n.labels, n.from, key)
		}
		if labelOf(e, key) != want {
			out = uint32(len(n.compare) - i)
			break
		}
	}
	if n.prefer {
		out = out*5 + n.distance(e.Locality)
	}
	return out
}

func labelAt(labels map[string]string, l registry.Locality, key string) string {
	if v, ok := labels[key]; ok {
		return v
	}
	switch key {
	case labelRegion:
		return l.Region
	case labelZone:
		return l.Zone
	case labelSubZone:
		return l.SubZone
	default:
		return ""
	}
}

func labelOf(e registry.Endpoint, key string) string {
	switch key {
	case labelHost:
		return cmp.Or(e.Labels[key], e.Node)
	case labelNetwork:
		return cmp.Or(e.Labels[key], e.Network)
	default:
		return labelAt(e.Labels, e.Locality, key)
	}
}

// locus is where equally near endpoints run.
type locus struct {
	locality registry.Locality
	rank     uint32
}

// localities groups the ready endpoints that have the labels, each address and port once.
func (n nearness) localities(all []registry.Endpoint, port registry.Port, labels map[string]string) []ir.Locality {
	groups := map[locus][]ir.Endpoint{}
	seen := map[dial]bool{}
	for _, e := range all {
		key := dial{e.Address, e.PortOf(port)}
		if n.noSockets && socket(e.Address) {
			continue
		}
		if !e.Ready || !e.Serves(port) || !contains(e.Labels, labels) || seen[key] {
			continue
		}
		seen[key] = true
		at := locus{e.Locality, n.rank(e)}
		groups[at] = append(groups[at], ir.Endpoint{Address: e.Address, Port: e.PortOf(port), Weight: max(1, e.Weight)})
	}
	ranks := map[uint32]bool{}
	for at := range groups {
		ranks[at.rank] = true
	}
	order := slices.Sorted(maps.Keys(ranks))
	out := make([]ir.Locality, 0, len(groups))
	for at, endpoints := range groups {
		slices.SortFunc(endpoints, func(a, b ir.Endpoint) int {
			return cmp.Or(cmp.Compare(a.Address, b.Address), cmp.Compare(a.Port, b.Port))
		})
		out = append(out, ir.Locality{
			Region: at.locality.Region, Zone: at.locality.Zone, SubZone: at.locality.SubZone,
			Priority: uint32(slices.Index(order, at.rank)), Endpoints: endpoints,
		})
	}
	slices.SortFunc(out, func(a, b ir.Locality) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Region, b.Region), cmp.Compare(a.Zone, b.Zone), cmp.Compare(a.SubZone, b.SubZone))
	})
	return n.distributed(out)
}

// distributed gives localities the weights that are written, and leaves out those that get nothing. A pattern's weight is
// divided among the localities that it matches and a more specific one does not.
func (n nearness) distributed(in []ir.Locality) []ir.Locality {
	if n.distribute == nil {
		return in
	}
	patterns := slices.SortedFunc(maps.Keys(n.distribute), func(a, b string) int {
		return cmp.Or(cmp.Compare(strings.Count(a, "*"), strings.Count(b, "*")), cmp.Compare(len(b), len(a)), cmp.Compare(a, b))
	})
	byPattern := map[string]uint64{}
	of := make([]string, len(in))
	for i, l := range in {
		at := slices.IndexFunc(patterns, func(p string) bool {
			return within(registry.Locality{Region: l.Region, Zone: l.Zone, SubZone: l.SubZone}, p)
		})
		if at >= 0 {
			of[i] = patterns[at]
			byPattern[of[i]] += weightOf(l)
		}
	}
	var out []ir.Locality
	for i, l := range in {
		total, weight := byPattern[of[i]], uint64(n.distribute[of[i]])
		if total == 0 || weight == 0 {
			continue
		}
		l.Weight = uint32((weightOf(l)*weight + total - 1) / total)
		out = append(out, l)
	}
	return out
}

func weightOf(l ir.Locality) uint64 {
	sum := uint64(0)
	for _, e := range l.Endpoints {
		sum += uint64(e.Weight)
	}
	return sum
}

// socket reports whether an address is the path of a Unix socket: no name and no IP address begins like one.
func socket(address string) bool {
	return strings.HasPrefix(address, "/") || strings.HasPrefix(address, "@")
}
