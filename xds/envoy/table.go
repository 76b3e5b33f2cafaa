package envoy

import (
	"errors"
	"fmt"
	"slices"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/sluice-dev/sluice/xds/ir"
)

// hostsField is the number of the field of a RouteConfiguration that holds its virtual hosts.
const hostsField = 2

// tableRest is at least what a table has beside its name and its virtual hosts, in bytes.
const tableRest = 64

// builtTable is a table with its virtual hosts encoded one by one. A change of one encodes that one; the bytes of the
// others are copied.
type builtTable struct {
	hosts []builtHost // in the order of the table
	refs  refs
}

// builtHost is a virtual host of a table; without a part it is left out.
type builtHost struct {
	node *ir.VirtualHost // as the configuration says
	rendering
	served rendering // what was served of it last
	err    *ResourceError
}

// rendering is a virtual host as it is encoded; the zero value is none.
type rendering struct {
	good *ir.VirtualHost // what the part was made of: the node, or what was last good of the name; nil: nothing
	part *Part
	refs []string // sorted names of the clusters that the part names
}

// table builds a route configuration. A virtual host that a proxy would refuse stays as it was last good, or is left out.
func (b *builder) table(t *ir.RouteTable, before *made[ir.RouteTable]) (*Resource, *builtTable) {
	var old *builtTable
	if before != nil {
		old, _ = before.state.(*builtTable)
	}
	now := &builtTable{hosts: make([]builtHost, len(t.VirtualHosts))}
	last := lookup(old, t.VirtualHosts)
	domains := old != nil && len(old.hosts) == len(now.hosts) // that they are disjoint is known
	for i, h := range t.VirtualHosts {
		was := last(i, h.Name)
		if was != nil && was.node == h {
			now.hosts[i] = *was
			continue
		}
		now.hosts[i] = b.builtHost(t.Name, h, was)
		domains = domains && was != nil && was.good != nil && now.hosts[i].good != nil && slices.Equal(was.good.Domains, now.hosts[i].good.Domains)
	}
	if !domains {
		now.disjoin(t.Name)
	}
	for _, h := range now.hosts {
		if h.err != nil {
			b.errs = append(b.errs, h.err)
		}
	}
	now.count(old)
	named := now.refs.sorted
	hosts, tooLarge := now.fit(t.Name, maxBytes-tableRest-len(t.Name))
	if len(tooLarge) > 0 {
		b.errs = append(b.errs, tooLarge...)
		named = (&builtTable{hosts: hosts}).counted()
	}
	parts, value := b.assembled(t.Name, hosts)
	out := b.encoded(item{typeURL: TypeRoute, name: t.Name, origins: t.Origins}, value)
	if out != nil {
		out.Refs, out.Parts = named, parts
	}
	return out, now
}

// lastGood is the table as far as it is to be kept when virtual hosts cannot be built.
func (t *builtTable) lastGood() *builtTable {
	out := &builtTable{}
	for _, h := range t.hosts {
		if h.good != nil {
			out.hosts = append(out.hosts, builtHost{node: &ir.VirtualHost{Name: h.node.Name}, rendering: h.rendering, served: h.served})
		}
	}
	return out
}

// lookup finds virtual hosts of a table before, by their place where the names are the same and else by name.
func lookup(old *builtTable, hosts []*ir.VirtualHost) func(i int, name string) *builtHost {
	if old == nil {
		return func(int, string) *builtHost { return nil }
	}
	var byName map[string]*builtHost
	return func(i int, name string) *builtHost {
		if i < len(old.hosts) && old.hosts[i].node.Name == name {
			return &old.hosts[i]
		}
		if byName == nil {
			byName = make(map[string]*builtHost, len(old.hosts))
			for j := range old.hosts {
				byName[old.hosts[j].node.Name] = &old.hosts[j]
			}
		}
		return byName[name]
	}
}

// builtHost builds one virtual host, or keeps what was last good of it.
func (b *builder) builtHost(table string, h *ir.VirtualHost, was *builtHost) builtHost {
	out := builtHost{node: h}
	if was != nil {
		out.served = was.served
	}
	err := checkHost(h)
	if err == nil {
		message := b.host(h)
		if err = message.ValidateAll(); err == nil {
			value := marshal(message)
			out.rendering = rendering{h, &Part{Name: h.Name, Version: hashed(value), Origins: h.Origins, Bytes: value}, sorted(clusters(h))}
			return out
		}
	}
	out.err = invalidHost(table, h, err)
	if was != nil && was.good != nil {
		out.rendering, out.err.Kept = was.rendering, true
	}
	return out
}

func invalidHost(table string, h *ir.VirtualHost, err error) *ResourceError {
	return &ResourceError{Code: CodeInvalid, Type: TypeRoute, Name: table + "/" + h.Name, Origins: h.Origins, Err: err}
}

// disjoin leaves out virtual hosts that have the name or a domain of one before them: a proxy refuses the whole table
// otherwise. What is new comes before what is kept.
func (t *builtTable) disjoin(table string) {
	taken, named := map[string]bool{}, map[string]bool{}
	for _, kept := range []bool{false, true} {
		for i := range t.hosts {
			h := &t.hosts[i]
			if h.part == nil || (h.good != h.node) != kept {
				continue
			}
			err := collision(h.good, taken, named)
			if err == nil {
				continue
			}
			h.rendering = rendering{}
			h.err = invalidHost(table, h.node, errors.Join(err, causeOf(h.err)))
		}
	}
}

func causeOf(e *ResourceError) error {
	if e == nil {
		return nil
	}
	return e.Err
}

// collision reports whether the name or a domain of a virtual host is taken; if not, it takes them.
func collision(h *ir.VirtualHost, taken, named map[string]bool) error {
	if named[h.Name] {
		return errors.New("the name stands twice")
	}
	for _, d := range h.Domains {
		if taken[d] {
			return fmt.Errorf("domain %s is in the table already", d)
		}
	}
	named[h.Name] = true
	for _, d := range h.Domains {
		taken[d] = true
	}
	return nil
}

// assembled are the bytes of a route configuration, as encoding it in one piece would give them: fields by their
// numbers, so that virtual hosts come after the name and before everything else.
func (b *builder) assembled(name string, hosts []builtHost) ([]Part, []byte) {
	head := marshal(&routev3.RouteConfiguration{Name: name})
	tail := marshal(&routev3.RouteConfiguration{
		ValidateClusters: wrapperspb.Bool(false), IgnorePortInHostMatching: b.kind != ir.KindGRPC,
		MaxDirectResponseBodySizeBytes: wrapperspb.UInt32(maxDirectBody),
	})
	size, count := len(head)+len(tail), 0
	for _, h := range hosts {
		if h.part != nil {
			size += protowire.SizeTag(hostsField) + protowire.SizeBytes(len(h.part.Bytes))
			count++
		}
	}
	parts := make([]Part, 0, count)
	value := append(make([]byte, 0, size), head...)
	for _, h := range hosts {
		if h.part == nil {
			continue
		}
		parts = append(parts, *h.part)
		value = protowire.AppendTag(value, hostsField, protowire.BytesType)
		value = protowire.AppendBytes(value, h.part.Bytes)
	}
	return parts, append(value, tail...)
}

// refs counts which clusters the parts of a table name.
type refs struct {
	uses   map[string]int
	sorted []string
}

// count counts what the parts name. Where few parts are other than before, so little is counted. The table before is
// not used again.
func (t *builtTable) count(old *builtTable) {
	if old == nil || old.refs.uses == nil || len(old.hosts) != len(t.hosts) {
		t.refs.uses = map[string]int{}
		for _, h := range t.hosts {
			for _, r := range h.refs {
				t.refs.uses[r]++
			}
		}
		t.refs.sort()
		return
	}
	t.refs = refs{old.refs.uses, old.refs.sorted}
	changed := false
	for i, h := range t.hosts {
		was := old.hosts[i]
		if was.part == h.part || slices.Equal(was.refs, h.refs) {
			continue
		}
		for _, r := range h.refs {
			t.refs.uses[r]++
			changed = changed || t.refs.uses[r] == 1
		}
		for _, r := range was.refs {
			if t.refs.uses[r]--; t.refs.uses[r] == 0 {
				delete(t.refs.uses, r)
				changed = true
			}
		}
	}
	if changed {
		t.refs.sort()
	}
}

// counted are the clusters that the parts name.
func (t *builtTable) counted() []string {
	t.count(nil)
	return t.refs.sorted
}

func (r *refs) sort() {
	r.sorted = make([]string, 0, len(r.uses))
	for name := range r.uses {
		r.sorted = append(r.sorted, name)
	}
	slices.Sort(r.sorted)
}
