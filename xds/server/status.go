package server

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	statusservice "github.com/envoyproxy/go-control-plane/envoy/service/status/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sluice-dev/sluice/api/problem"
)

const (
	lookWithin = 2 * time.Second // a stream must say what it has
	maxStatus  = 64 << 20        // bytes of an answer
)

// clientStatus is the discovery service for the status of clients: what each has of what it should have.
type clientStatus struct {
	statusservice.UnimplementedClientStatusDiscoveryServiceServer
	server *Server
}

// StreamClientStatus answers each request.
func (c clientStatus) StreamClientStatus(stream grpc.BidiStreamingServer[statusservice.ClientStatusRequest, statusservice.ClientStatusResponse]) error {
	for {
		in, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		out, err := c.FetchClientStatus(stream.Context(), in)
		if err != nil {
			return err
		}
		if err := stream.Send(out); err != nil {
			return err
		}
	}
}

// FetchClientStatus answers once.
func (c clientStatus) FetchClientStatus(ctx context.Context, in *statusservice.ClientStatusRequest) (*statusservice.ClientStatusResponse, error) {
	if err := c.server.trust.mayRead(ctx); err != nil {
		return nil, err
	}
	wanted, err := matching(in.GetNodeMatchers())
	if err != nil {
		return nil, err
	}
	select {
	case c.server.registry.looking <- struct{}{}:
		defer func() { <-c.server.registry.looking }()
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-c.server.life.closing:
		return nil, status.Error(codes.Unavailable, "the server is going down")
	}
	out := &statusservice.ClientStatusResponse{}
	size := 0
	for _, one := range c.server.clients(ctx, wanted) {
		config := one.config(!in.GetExcludeResourceContents())
		if size += proto.Size(config); size > maxStatus {
			return nil, status.Errorf(codes.ResourceExhausted, "the status has more than %d bytes; ask for fewer nodes, or without contents", maxStatus)
		}
		out.Config = append(out.Config, config)
	}
	return out, nil
}

// mayRead reports whether whoever asks may see what all clients have: programs of this machine, and some identities.
func (t trust) mayRead(ctx context.Context) error {
	secured, claim, err := t.peer(ctx)
	if err != nil {
		return err
	}
	if secured && !slices.Contains(t.readers, claim.Identity) {
		return status.Errorf(codes.PermissionDenied, "%s may not read the status of clients", claim.Identity)
	}
	return nil
}

// matching understands matchers of nodes: one of them must hold.
func matching(all []*matcherv3.NodeMatcher) (func(id string) bool, error) {
	var tests []func(string) bool
	for _, m := range all {
		if len(m.GetNodeMetadatas()) > 0 {
			return nil, status.Error(codes.InvalidArgument, "node_metadatas is not understood; match by node_id")
		}
		test, err := matchString(m.GetNodeId())
		if err != nil {
			return nil, err
		}
		tests = append(tests, test)
	}
	return func(id string) bool {
		return len(tests) == 0 || slices.ContainsFunc(tests, func(test func(string) bool) bool { return test(id) })
	}, nil
}

func matchString(m *matcherv3.StringMatcher) (func(string) bool, error) {
	fold := func(s string) string { return s }
	if m.GetIgnoreCase() {
		fold = strings.ToLower
	}
	switch p := m.GetMatchPattern().(type) {
	case nil:
		return func(string) bool { return true }, nil
	case *matcherv3.StringMatcher_Exact:
		return func(s string) bool { return fold(s) == fold(p.Exact) }, nil
	case *matcherv3.StringMatcher_Prefix:
		return func(s string) bool { return strings.HasPrefix(fold(s), fold(p.Prefix)) }, nil
	case *matcherv3.StringMatcher_Suffix:
		return func(s string) bool { return strings.HasSuffix(fold(s), fold(p.Suffix)) }, nil
	case *matcherv3.StringMatcher_Contains:
		return func(s string) bool { return strings.Contains(fold(s), fold(p.Contains)) }, nil
	default:
		return nil, status.Error(codes.InvalidArgument, "node_id matches by exact, prefix, suffix or contains only")
	}
}

// clientLook is one stream and what it has.
type clientLook struct {
	who  identity
	look look
}

// clients asks the streams for what they have, sorted by node. One that does not answer, since its client does not read,
// is there without resources.
func (s *Server) clients(ctx context.Context, wanted func(id string) bool) []clientLook {
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	type asked struct {
		of      *session
		who     identity
		answers chan look
	}
	var all []asked
	for ss, who := range s.registry.sessions() {
		if !wanted(who.id) {
			continue
		}
		one := asked{of: ss, who: who, answers: make(chan look, 1)}
		select {
		case ss.looks <- one.answers:
		default: // it has not answered the question before
		}
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b asked) int { return strings.Compare(a.who.key(), b.who.key()) })
	out := make([]clientLook, 0, len(all))
	for _, one := range all {
		select {
		case got := <-one.answers:
			out = append(out, clientLook{who: one.who, look: got})
			continue
		case <-one.of.done:
			continue // it is gone
		case <-ctx.Done():
		}
		out = append(out, clientLook{who: one.who})
	}
	return out
}

// sessions are the streams that have named their node.
func (r *registry) sessions() map[*session]identity {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[*session]identity{}
	for _, c := range r.classes {
		for ss := range c.sessions {
			out[ss] = ss.who
		}
	}
	return out
}

// config is the stream as the service says it.
func (c clientLook) config(contents bool) *statusservice.ClientConfig {
	out := &statusservice.ClientConfig{Node: c.who.node()}
	for _, one := range c.look.sightings {
		of, wrong := c.look.complaints[key{kind: one.kind, name: one.name}]
		config, client := one.status(of, wrong)
		next := &statusservice.ClientConfig_GenericXdsConfig{
			TypeUrl: one.kind.typeURL(), Name: one.name, ConfigStatus: config, ClientStatus: client,
		}
		if one.have != nil {
			next.VersionInfo = one.have.version
			if contents && one.kind != secrets {
				next.XdsConfig = one.have.any
			}
		}
		if config == statusservice.ConfigStatus_ERROR {
			next.ErrorState = &adminv3.UpdateFailureState{Details: of.words(one.kind), VersionInfo: of.version}
		}
		out.GenericXdsConfigs = append(out.GenericXdsConfigs, next)
	}
	return out
}

func (c complaint) words(k kind) string {
	if k == secrets {
		return secretRefused
	}
	return problem.Clean(c.message, maxMessage)
}

// status is how the resource stands: for this server, and for the client.
func (o sighting) status(of complaint, wrong bool) (statusservice.ConfigStatus, adminv3.ClientResourceStatus) {
	client := adminv3.ClientResourceStatus_REQUESTED
	switch {
	case o.have != nil:
		client = adminv3.ClientResourceStatus_ACKED
	case o.told:
		client = adminv3.ClientResourceStatus_DOES_NOT_EXIST
	}
	switch {
	case o.want != nil && o.have != nil && o.have.version == o.want.version:
		return statusservice.ConfigStatus_SYNCED, client
	case wrong && of.own:
		return statusservice.ConfigStatus_ERROR, adminv3.ClientResourceStatus_NACKED
	case wrong:
		return statusservice.ConfigStatus_ERROR, client
	case o.have == nil && !o.sent:
		return statusservice.ConfigStatus_NOT_SENT, client
	default:
		return statusservice.ConfigStatus_STALE, client
	}
}

// node is who the client is, as far as it counts here.
func (w identity) node() *corev3.Node {
	labels := &structpb.Struct{Fields: map[string]*structpb.Value{}}
	for k, v := range w.labels {
		labels.Fields[k] = structpb.NewStringValue(v)
	}
	out := &corev3.Node{Id: w.id, Metadata: &structpb.Struct{Fields: map[string]*structpb.Value{
		"NAMESPACE": structpb.NewStringValue(w.class.Namespace), "LABELS": structpb.NewStructValue(labels),
		"SLUICE_KIND": structpb.NewStringValue(string(w.class.Kind)),
	}}}
	out.UserAgentName, _, _ = strings.Cut(w.flavour, " ")
	return out
}
