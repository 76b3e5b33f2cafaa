package envoy

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/sluice-dev/sluice/xds/ir"
)

// The type URLs of the resources.
const (
	TypeListener = "type.googleapis.com/envoy.config.listener.v3.Listener"
	TypeRoute    = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
	TypeCluster  = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
	TypeEndpoint = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
	TypeSecret   = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
)

// ResourceError is a resource, or a virtual host of one, that a proxy would refuse and that is therefore left out.
type ResourceError struct {
	Type    string // type URL
	Name    string
	Origins []ir.Origin
	Err     error
}

// Error implements error.
func (e *ResourceError) Error() string { return fmt.Sprintf("building %s: %v", e.Name, e.Err) }

// Unwrap gives the cause.
func (e *ResourceError) Unwrap() error { return e.Err }

// Build turns a configuration into Envoy resources. Equal input gives equal bytes. It returns all good resources, and
// the joined ResourceErrors of those that no proxy would take: the publisher keeps the last good bytes of their names.
func Build(c ir.Config) (Resources, error) {
	b := builder{kind: c.Kind, names: map[string]bool{}}
	var out Resources
	for _, l := range c.Listeners {
		it, message := item{typeURL: TypeListener, name: l.Name, origins: l.Origins, refs: upstreams(l), tables: tables(l), secrets: listenerSecrets(l)}, b.listener(l)
		if message.GetApiListener() == nil && len(message.GetFilterChains()) == 0 && message.GetDefaultFilterChain() == nil {
			b.fail(it, errors.New("no chain of it is left"))
			continue
		}
		out.Listeners = b.add(out.Listeners, it, message)
	}
	for _, t := range c.Tables {
		message, refs := b.table(t)
		out.Routes = b.add(out.Routes, item{typeURL: TypeRoute, name: t.Name, origins: t.Origins, refs: refs}, message)
	}
	assigned := map[string]bool{}
	for _, e := range c.Endpoints {
		assigned[e.Cluster] = true
		out.Endpoints = b.add(out.Endpoints, item{typeURL: TypeEndpoint, name: e.Cluster, origins: e.Origins}, b.assignment(e))
	}
	for _, cl := range c.Clusters {
		if cl.Discovery == ir.DiscoveryEDS && !assigned[cl.Name] {
			out.Endpoints = b.add(out.Endpoints, item{typeURL: TypeEndpoint, name: cl.Name, origins: cl.Origins}, b.assignment(&ir.Endpoints{Cluster: cl.Name}))
		}
		out.Clusters = b.add(out.Clusters, item{typeURL: TypeCluster, name: cl.Name, origins: cl.Origins, secrets: clusterSecrets(cl)}, b.cluster(cl))
	}
	for _, s := range c.Secrets {
		out.Secrets = b.add(out.Secrets, item{typeURL: TypeSecret, name: s.Name, origins: s.Origins}, secret(s))
	}
	out.Splits = slices.Clone(c.Splits)
	out.Listeners = b.listed(out.Listeners)
	for _, list := range [][]Resource{out.Listeners, out.Routes, out.Clusters, out.Endpoints, out.Secrets} {
		slices.SortFunc(list, func(a, b Resource) int { return cmp.Compare(a.Name, b.Name) })
	}
	return out, errors.Join(b.errs...)
}

// builder collects what went wrong.
type builder struct {
	kind  ir.Kind
	names map[string]bool // type URL and name of what was added
	errs  []error
}

// item is what a Resource says beside its bytes.
type item struct {
	typeURL string
	name    string
	origins []ir.Origin
	refs    []string
	tables  []string
	secrets []string
}

// validated is a message with the checks that protoc-gen-validate made for it.
type validated interface {
	proto.Message
	ValidateAll() error
}

func (b *builder) add(list []Resource, it item, m validated) []Resource {
	if err := m.ValidateAll(); err != nil {
		b.fail(it, err)
		return list
	}
	if b.names[it.typeURL+it.name] {
		b.fail(it, errors.New("the name stands twice"))
		return list
	}
	b.names[it.typeURL+it.name] = true
	value := marshal(m)
	sum := sha256.Sum256(value)
	return append(list, Resource{
		Name: it.name, Version: hex.EncodeToString(sum[:16]), Any: &anypb.Any{TypeUrl: it.typeURL, Value: value},
		Refs: sorted(it.refs), Tables: sorted(it.tables), Secrets: sorted(it.secrets), Origins: it.origins,
	})
}

func (b *builder) fail(it item, err error) {
	b.errs = append(b.errs, &ResourceError{Type: it.typeURL, Name: it.name, Origins: it.origins, Err: err})
}

// listed drops listeners whose table was left out: they would wait for it for ever.
func (b *builder) listed(listeners []Resource) []Resource {
	return slices.DeleteFunc(listeners, func(l Resource) bool {
		at := slices.IndexFunc(l.Tables, func(table string) bool { return !b.names[TypeRoute+table] })
		if at >= 0 {
			b.fail(item{typeURL: TypeListener, name: l.Name, origins: l.Origins}, fmt.Errorf("its route table %s is missing", l.Tables[at]))
		}
		return at >= 0
	})
}

// sorted gives each name once.
func sorted(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}

// marshal encodes a message of our own making; that cannot fail.
func marshal(m proto.Message) []byte {
	value, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic(fmt.Sprintf("encoding a %T: %v", m, err))
	}
	return value
}

func packed(m proto.Message) *anypb.Any {
	return &anypb.Any{TypeUrl: "type.googleapis.com/" + string(m.ProtoReflect().Descriptor().FullName()), Value: marshal(m)}
}
