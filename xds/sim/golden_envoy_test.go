package sim_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
)

// different prints, of the resources that a case is about, the fields that differ from the plainest resource of that name:
// a cluster, listener or table built from an object that sets nothing. Secrets are named only; endpoints
// are shown where they are asked for, since their ir says it all.
func (s story) different(t *testing.T, names []string) []byte {
	t.Helper()
	var b strings.Builder
	for _, n := range nodes(s.cfg) {
		if !s.shows(names, n) || (n.kind == "endpoints" && len(names) == 0) {
			continue
		}
		value, whole := n.value, ir.Config{Kind: s.cfg.Kind}
		if table, ok := value.(*ir.RouteTable); ok {
			value = s.ownHosts(table, names)
		}
		var base ir.Config
		base.Kind = s.cfg.Kind
		fill(&whole, value)
		fill(&base, plainest(value))
		got, ok := onlyOne(whole)
		if !ok {
			continue // a split, or nothing that a proxy would take
		}
		fmt.Fprintf(&b, "%s %s\n", n.kind, n.name)
		if n.kind == "secret" {
			continue
		}
		want, _ := onlyOne(base)
		compared(got.ProtoReflect(), want.ProtoReflect()).write(&b, "  ")
	}
	return []byte(b.String())
}

// fill puts a node into an empty configuration, with what it needs: listeners bring empty tables, what speaks TLS empty
// Secrets.
func fill(c *ir.Config, node any) {
	switch x := node.(type) {
	case *ir.Listener:
		c.Listeners = append(c.Listeners, x)
		seen := map[string]bool{}
		for _, chain := range x.Chains {
			if chain.Table != "" && !seen[chain.Table] {
				c.Tables = append(c.Tables, &ir.RouteTable{Name: chain.Table})
				seen[chain.Table] = true
			}
			if chain.TLS != nil {
				needSecrets(c, chain.TLS.Peer.Secret, chain.TLS.Certificates...)
			}
		}
	case *ir.RouteTable:
		c.Tables = append(c.Tables, x)
	case *ir.Cluster:
		c.Clusters = append(c.Clusters, x)
		if x.TLS != nil {
			needSecrets(c, x.TLS.Peer.Secret)
			if x.TLS.Certificate != nil {
				needSecrets(c, "", *x.TLS.Certificate)
			}
		}
	case *ir.Endpoints:
		c.Endpoints = append(c.Endpoints, x)
	case *ir.Secret:
		c.Secrets = append(c.Secrets, x)
	}
}

func needSecrets(c *ir.Config, authorities string, certificates ...ir.Certificate) {
	names := []string{authorities}
	for _, cert := range certificates {
		names = append(names, cert.Secret)
	}
	for _, name := range names {
		if name != "" && !slices.ContainsFunc(c.Secrets, func(s *ir.Secret) bool { return s.Name == name }) {
			c.Secrets = append(c.Secrets, &ir.Secret{Name: name})
		}
	}
}

// onlyOne builds the configuration of one node and gives its resource. Build says nothing of what it leaves out here:
// the test of the whole case does.
func onlyOne(c ir.Config) (proto.Message, bool) {
	res, _ := envoy.Build(c)
	lists := [][]envoy.Resource{res.Listeners, res.Clusters, res.Endpoints, res.Secrets, res.Routes}
	for _, list := range lists {
		if len(list) > 0 {
			m, err := list[0].Any.UnmarshalNew()
			return m, err == nil
		}
	}
	return nil, false
}

// plainest is a node of the same name from objects that say nothing.
func plainest(node any) any {
	switch x := node.(type) {
	case *ir.Listener:
		out := &ir.Listener{Name: x.Name, Address: x.Address, Port: x.Port}
		for _, c := range x.Chains {
			plain := ir.Chain{Name: c.Name, Table: c.Table}
			if c.Table == "" {
				plain.Proxy = &ir.TCPProxy{Destinations: []ir.Destination{{Cluster: "none"}}}
			}
			out.Chains = append(out.Chains, plain)
		}
		return out
	case *ir.RouteTable:
		out := &ir.RouteTable{Name: x.Name}
		for _, h := range x.VirtualHosts {
			host := &ir.VirtualHost{Name: h.Name, Domains: []string{h.Name + ".none"}}
			for _, r := range h.Routes {
				retry := plainRetry()
				host.Routes = append(host.Routes, ir.Route{
					Name: r.Name, Match: ir.Match{Path: ir.PathMatch{Value: "/"}},
					Forward: &ir.Forward{Destinations: []ir.Destination{{Cluster: "none"}}, Retry: &retry},
				})
			}
			out.VirtualHosts = append(out.VirtualHosts, host)
		}
		return out
	case *ir.Cluster:
		return &ir.Cluster{Name: x.Name}
	case *ir.Endpoints:
		return &ir.Endpoints{Cluster: x.Cluster}
	default:
		return node
	}
}

// compared is what of got is not in want. A field that only want has is "unset", unless another of its oneof is set.
func compared(got, want protoreflect.Message) tree {
	var out tree
	fields := got.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		switch {
		case got.Has(f) && !want.Has(f):
			out.add(string(f.Name()), orEmpty(valueOf(f, got.Get(f))))
		case got.Has(f):
			out.add(string(f.Name()), comparedField(f, got.Get(f), want.Get(f)))
		case want.Has(f) && (f.ContainingOneof() == nil || got.WhichOneof(f.ContainingOneof()) == nil):
			out.add(string(f.Name()), tree{text: "unset"})
		}
	}
	return out
}

func comparedField(f protoreflect.FieldDescriptor, got, want protoreflect.Value) tree {
	switch {
	case f.IsMap() && isAny(f.MapValue().Message()):
		return comparedAnys(got.Map(), want.Map())
	case f.IsMap() || got.Equal(want):
		if got.Equal(want) {
			return tree{}
		}
		return valueOf(f, got)
	case f.IsList() && f.Message() != nil && sameNames(got.List(), want.List()):
		return comparedList(got.List(), want.List())
	case f.IsList():
		return valueOf(f, got)
	case f.Message() != nil && isAny(f.Message()):
		return comparedAny(got.Message(), want.Message())
	case f.Message() != nil && !isScalar(f.Message()):
		return compared(got.Message(), want.Message())
	default:
		return valueOf(f, got)
	}
}

func comparedAnys(got, want protoreflect.Map) tree {
	var out tree
	for _, key := range keysOf(got) {
		k := protoreflect.ValueOfString(key).MapKey()
		if want.Has(k) {
			out.add(key, comparedAny(got.Get(k).Message(), want.Get(k).Message()))
			continue
		}
		out.add(key, orEmpty(message(got.Get(k).Message())))
	}
	return out
}

func keysOf(m protoreflect.Map) []string {
	var keys []string
	m.Range(func(k protoreflect.MapKey, _ protoreflect.Value) bool {
		keys = append(keys, k.String())
		return true
	})
	slices.Sort(keys)
	return keys
}

func comparedAny(got, want protoreflect.Message) tree {
	a, b := unpacked(got), unpacked(want)
	if a.Descriptor() != b.Descriptor() {
		return message(a)
	}
	return compared(a, b)
}

// comparedList compares the elements of two lists of the same names pairwise.
func comparedList(got, want protoreflect.List) tree {
	var out tree
	for i := range got.Len() {
		out.add(nameOf(got.Get(i).Message(), i), compared(got.Get(i).Message(), want.Get(i).Message()))
	}
	return out
}

func sameNames(a, b protoreflect.List) bool {
	if a.Len() != b.Len() {
		return false
	}
	for i := range a.Len() {
		if nameOf(a.Get(i).Message(), i) != nameOf(b.Get(i).Message(), i) {
			return false
		}
	}
	return true
}

func nameOf(m protoreflect.Message, i int) string {
	if f := m.Descriptor().Fields().ByName("name"); f != nil && m.Get(f).String() != "" {
		return m.Get(f).String()
	}
	return fmt.Sprintf("[%d]", i)
}

// valueOf is a whole field.
func valueOf(f protoreflect.FieldDescriptor, v protoreflect.Value) tree {
	var out tree
	switch {
	case f.IsMap():
		for _, key := range keysOf(v.Map()) {
			out.add(key, orEmpty(single(f.MapValue(), v.Map().Get(protoreflect.ValueOfString(key).MapKey()))))
		}
	case f.IsList():
		for i := range v.List().Len() {
			out.list = append(out.list, orEmpty(single(f, v.List().Get(i))))
		}
	default:
		return single(f, v)
	}
	return out
}

func single(f protoreflect.FieldDescriptor, v protoreflect.Value) tree {
	switch {
	case f.Message() != nil:
		return message(v.Message())
	case f.Enum() != nil:
		if e := f.Enum().Values().ByNumber(v.Enum()); e != nil {
			return tree{text: string(e.Name())}
		}
		return tree{text: fmt.Sprint(v.Enum())}
	case f.Kind() == protoreflect.BytesKind:
		return tree{text: "(hidden)"}
	case f.Kind() == protoreflect.StringKind && v.String() == "":
		return tree{text: `""`}
	default:
		return tree{text: v.String()}
	}
}

// message is a whole message; durations and wrapped scalars are their value.
func message(m protoreflect.Message) tree {
	if isAny(m.Descriptor()) {
		return orEmpty(message(unpacked(m)))
	}
	if d, ok := m.Interface().(*durationpb.Duration); ok {
		return tree{text: d.AsDuration().String()}
	}
	if isScalar(m.Descriptor()) {
		f := m.Descriptor().Fields().ByName("value")
		return single(f, m.Get(f))
	}
	var out tree
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		if f := fields.Get(i); m.Has(f) {
			out.add(string(f.Name()), orEmpty(valueOf(f, m.Get(f))))
		}
	}
	return out
}

func unpacked(m protoreflect.Message) protoreflect.Message {
	packed, ok := m.Interface().(*anypb.Any)
	if !ok {
		return m
	}
	inner, err := packed.UnmarshalNew()
	if err != nil {
		panic(err)
	}
	return inner.ProtoReflect()
}

func isAny(d protoreflect.MessageDescriptor) bool {
	return d != nil && d.FullName() == "google.protobuf.Any"
}

func isScalar(d protoreflect.MessageDescriptor) bool {
	return d.FullName() == "google.protobuf.Duration" || (d.Parent().Name() != "" && strings.HasSuffix(string(d.FullName()), "Value") && d.ParentFile().Path() == "google/protobuf/wrappers.proto")
}

func orEmpty(v tree) tree {
	if v.empty() {
		v.text = "{}"
	}
	return v
}
