package istio

import (
	"cmp"
	"maps"
	"reflect"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/registry"
)

// maxMoved bounds how many changes of weights and endpoints an index remembers; after that it is made anew.
const maxMoved = 4096

// move is a fact that has changed since the index was made.
type move struct {
	fact fact
	name string
}

// moveEndpoints puts the endpoints of a service in the place of those before. Its shape is the same.
func (x *index) moveEndpoints(s registry.Service) {
	for _, have := range x.servicesOf(s.Host) {
		if have.shape.Namespace == s.Namespace && have.shape.Origin == s.Origin {
			have.endpoints = &endpointSet{x.withEntries(s).Endpoints}
			x.moved = append(x.moved, move{factEndpoints, s.Host})
		}
	}
}

// moveSplit puts a split in the place of one that differs in weight, seq, brake and what is rendered besides, but not in the
// host that previews it.
func (x *index) moveSplit(s ir.Split) {
	for i, have := range x.splits {
		if have.Key != s.Key {
			continue
		}
		next := *have
		next.Split = s
		x.splits[i] = &next
		if x.divided[next.host] == have {
			x.divided[next.host] = &next
			x.moved = append(x.moved, move{factSplit, next.host})
		}
		if x.previews[next.previewHost] == have {
			x.previews[next.previewHost] = &next
			x.moved = append(x.moved, move{factPreview, next.previewHost})
		}
	}
}

// share takes from an index before what is the same in this one, so that equal facts are identical.
func (x *index) share(before *index) {
	if before == nil {
		return
	}
	for _, s := range x.services {
		for _, old := range before.servicesOf(s.shape.Host) {
			if old.shape.Namespace != s.shape.Namespace {
				continue
			}
			if sameShape(*old.shape, *s.shape) {
				s.shape = old.shape
			}
			if sameEndpoints(old.endpoints.list, s.endpoints.list) {
				s.endpoints = old.endpoints
			}
		}
	}
	for i, vs := range x.virtuals {
		old := before.named[vs.Namespace+"/"+vs.Name]
		if old != nil && old.equal(vs) {
			old.place = i
			x.virtuals[i], x.named[vs.Namespace+"/"+vs.Name] = old, old
		}
	}
	rules := map[string]*destinationRule{}
	for _, dr := range before.rules {
		rules[dr.Namespace+"/"+dr.Name] = dr
	}
	for i, dr := range x.rules {
		if old := rules[dr.Namespace+"/"+dr.Name]; old != nil && old.Spec == dr.Spec && old.equal(dr.Meta) {
			x.rules[i] = old
		}
	}
}

// shareSplits does the same for splits, which are read when everything else is there.
func (x *index) shareSplits(before *index) {
	if before == nil {
		return
	}
	for i, s := range x.splits {
		j := slices.IndexFunc(before.splits, func(o *split) bool { return o.Key == s.Key })
		if j < 0 {
			continue
		}
		old := before.splits[j]
		if old.host != s.host || old.previewHost != s.previewHost || old.blocked != s.blocked || !reflect.DeepEqual(old.Split, s.Split) {
			continue
		}
		old.place = i
		x.splits[i] = old
		if x.divided[s.host] == s {
			x.divided[s.host] = old
		}
		if x.previews[s.previewHost] == s {
			x.previews[s.previewHost] = old
		}
	}
}

// equal reports whether two readings of a VirtualService say the same.
func (v *virtual) equal(o *virtual) bool {
	return v.Meta.equal(o.Meta) && slices.Equal(v.hosts, o.hosts) && slices.Equal(v.gateways, o.gateways) &&
		slices.EqualFunc(v.rules, o.rules, func(a, b httpRule) bool {
			return a.field == b.field && a.from.equal(b.from) && (a.spec == b.spec || proto.Equal(a.spec, b.spec))
		}) && sameElements(v.Spec.GetHttp(), o.Spec.GetHttp()) && sameElements(v.Spec.GetTcp(), o.Spec.GetTcp()) && sameElements(v.Spec.GetTls(), o.Spec.GetTls()) &&
		slices.Equal(v.Spec.GetExportTo(), o.Spec.GetExportTo()) && slices.Equal(v.Spec.GetHosts(), o.Spec.GetHosts())
}

func (m Meta) equal(o Meta) bool {
	return m.Kind == o.Kind && m.Namespace == o.Namespace && m.Name == o.Name && m.UID == o.UID && m.Generation == o.Generation &&
		m.Created.Equal(o.Created) && maps.Equal(m.Labels, o.Labels) && maps.Equal(m.Annotations, o.Annotations)
}

// sameElements reports whether two slices hold identical elements.
func sameElements[T comparable](a, b []T) bool { return sameSlice(a, b) || slices.Equal(a, b) }

// sameSlice reports whether two slices are one.
func sameSlice[T any](a, b []T) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// sameShape reports whether two services differ in their endpoints at most.
func sameShape(a, b registry.Service) bool {
	if a.Origin != b.Origin || !sameElements(a.Ports, b.Ports) || !sameElements(a.VIPs, b.VIPs) || !sameElements(a.ExportTo, b.ExportTo) {
		return false
	}
	a.Endpoints, b.Endpoints = nil, nil
	return reflect.DeepEqual(a, b)
}

func sameEndpoints(a, b []registry.Endpoint) bool { return sameSlice(a, b) || reflect.DeepEqual(a, b) }

// shared is now, or before where that is equal.
func shared[T any](before *T, now *T, equal func(a, b *T) bool) *T {
	if before != nil && (before == now || equal(before, now)) {
		return before
	}
	return now
}

// sharedList takes from a sorted list before the elements that equal those of now, and the whole list where all do.
func sharedList[T any](before, now []*T, name func(*T) string, equal func(a, b *T) bool) []*T {
	i := 0
	same := len(before) == len(now)
	for j, n := range now {
		for i < len(before) && cmp.Compare(name(before[i]), name(n)) < 0 {
			i++
		}
		if i < len(before) && name(before[i]) == name(n) {
			now[j] = shared(before[i], n, equal)
		}
		same = same && now[j] == before[j]
	}
	if same {
		return before
	}
	return now
}

// deepEqual compares what two pointers lead to.
func deepEqual[T any](a, b *T) bool { return reflect.DeepEqual(a, b) }

// equalHosts compares virtual hosts whose routes, being made in units, are one slice where they are equal.
func equalHosts(a, b *ir.VirtualHost) bool {
	return a.Name == b.Name && a.RequireTLS == b.RequireTLS && slices.Equal(a.Domains, b.Domains) && slices.Equal(a.Origins, b.Origins) &&
		(sameSlice(a.Routes, b.Routes) || reflect.DeepEqual(a.Routes, b.Routes))
}

// sharedTables does what sharedList does, and shares virtual hosts inside tables as well.
func sharedTables(before, now []*ir.RouteTable) []*ir.RouteTable {
	return sharedList(before, now, func(t *ir.RouteTable) string { return t.Name }, func(a, b *ir.RouteTable) bool {
		b.VirtualHosts = sharedList(a.VirtualHosts, b.VirtualHosts, func(h *ir.VirtualHost) string { return h.Name }, equalHosts)
		return sameSlice(a.VirtualHosts, b.VirtualHosts) && slices.Equal(a.Origins, b.Origins)
	})
}
