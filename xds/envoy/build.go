package envoy

import (
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

// The codes of ResourceErrors.
const (
	CodeInvalid  = "S090" // a proxy would refuse it; it is left out, or stays as it was last good
	CodeTooLarge = "S091" // likewise, for its size
	CodeLarge    = "S092" // it is good, and so large that each change of it is dear
)

// ResourceError is a resource, or a virtual host or chain of one, that is not served as the configuration says, or that
// is served and large.
type ResourceError struct {
	Code    string
	Type    string // type URL
	Name    string
	Origins []ir.Origin
	Kept    bool // proxies keep what was last good of it
	Err     error
}

// Error implements error.
func (e *ResourceError) Error() string { return fmt.Sprintf("building %s: %v", e.Name, e.Err) }

// Unwrap gives the cause.
func (e *ResourceError) Unwrap() error { return e.Err }

// Build turns a configuration into Envoy resources. Equal input gives equal bytes. It returns all good resources, and
// the joined ResourceErrors of those that no proxy would take. For a configuration that follows another, a Builder costs
// less and keeps what was good.
func Build(c ir.Config) (Resources, error) {
	out, bad := NewBuilder().Build(&c)
	var errs []error
	for _, one := range bad {
		if one.Code != CodeLarge {
			errs = append(errs, one)
		}
	}
	return out, errors.Join(errs...)
}

// builder makes messages, and collects what is wrong with the one it makes.
type builder struct {
	kind ir.Kind
	errs []*ResourceError
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

// resource is the message encoded; nil: no proxy would take it.
func (b *builder) resource(it item, m validated) *Resource {
	if err := m.ValidateAll(); err != nil {
		b.fail(it, err)
		return nil
	}
	return b.encoded(it, marshal(m))
}

// encoded makes a Resource of bytes; nil: there are too many of them.
func (b *builder) encoded(it item, value []byte) *Resource {
	switch {
	case len(value) > maxBytes:
		b.errs = append(b.errs, &ResourceError{Code: CodeTooLarge, Type: it.typeURL, Name: it.name, Origins: it.origins,
			Err: fmt.Errorf("it has %d bytes, more than %d", len(value), maxBytes)})
		return nil
	case len(value) > largeBytes:
		b.errs = append(b.errs, &ResourceError{Code: CodeLarge, Type: it.typeURL, Name: it.name, Origins: it.origins,
			Err: fmt.Errorf("it has %d bytes, and each change sends all of them to each proxy", len(value))})
	}
	return &Resource{
		Name: it.name, Version: hashed(value), Any: &anypb.Any{TypeUrl: it.typeURL, Value: value},
		Refs: sorted(it.refs), Tables: sorted(it.tables), Secrets: sorted(it.secrets), Origins: it.origins,
	}
}

// The bounds of a resource's size.
const (
	largeBytes = 1 << 20
	maxBytes   = 10 << 20
)

// hashed is the version of bytes.
func hashed(value []byte) string {
	sum := sha256.Sum256(value)
	return hex.EncodeToString(sum[:16])
}

func (b *builder) fail(it item, err error) {
	b.errs = append(b.errs, &ResourceError{Code: CodeInvalid, Type: it.typeURL, Name: it.name, Origins: it.origins, Err: err})
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
