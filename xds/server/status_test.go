package server

import (
	"cmp"
	"fmt"
	"strings"
	"testing"

	statusservice "github.com/envoyproxy/go-control-plane/envoy/service/status/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-dev/sluice/test/poll"
)

// short is a status in lines: node, and what stands of each resource.
func short(in *statusservice.ClientStatusResponse) []string {
	var out []string
	for _, c := range in.GetConfig() {
		out = append(out, c.GetNode().GetId())
		for _, g := range c.GetGenericXdsConfigs() {
			k, _ := kindOf(g.GetTypeUrl())
			line := fmt.Sprintf("%s %s %s %s %s", k, g.GetName(), cmp.Or(g.GetVersionInfo(), "-"), g.GetConfigStatus(), g.GetClientStatus())
			if g.GetXdsConfig() != nil {
				line += " with " + string(g.GetXdsConfig().GetValue())
			}
			if e := g.GetErrorState(); e != nil {
				line += fmt.Sprintf(" error %s of %s", e.GetDetails(), e.GetVersionInfo())
			}
			out = append(out, line)
		}
	}
	return out
}

// showing waits until the status is want.
func showing(t *testing.T, conn *grpc.ClientConn, in *statusservice.ClientStatusRequest, want ...string) {
	t.Helper()
	c := statusservice.NewClientStatusDiscoveryServiceClient(conn)
	err := poll.Until(patience, func() error {
		got, err := c.FetchClientStatus(t.Context(), in)
		if err != nil {
			return err
		}
		if diff := gocmp.Diff(want, short(got)); diff != "" {
			return fmt.Errorf("status (-want +got):\n%s", diff)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func nodes(m *matcherv3.StringMatcher) *statusservice.ClientStatusRequest {
	return &statusservice.ClientStatusRequest{NodeMatchers: []*matcherv3.NodeMatcher{{NodeId: m}}, ExcludeResourceContents: true}
}

func exactly(id string) *statusservice.ClientStatusRequest {
	return nodes(&matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: id}})
}

func TestStatus_ofEachResource(t *testing.T) {
	t.Parallel()
	h := start(t, Timing{})
	h.publish(guarded("k1"))
	p := connect(t, h.addr, "n1", false)
	p.send(ask{kind: clusters})
	p.next()
	showing(t, h.conn(), exactly("n1"), "n1", "cds a - STALE REQUESTED", "cds b - STALE REQUESTED")
	p.ack(clusters)
	p.send(ask{kind: secrets, sub: []string{"s1"}})
	p.next()
	p.ack(secrets)
	p.send(ask{kind: endpoints, sub: []string{"a", "nothing"}})
	p.next()
	p.ack(endpoints)
	p.send(ask{kind: listeners})
	p.next()
	p.send(ask{kind: listeners, nonce: "last", nack: "no listener of mine"})
	showing(t, h.conn(), &statusservice.ClientStatusRequest{}, "n1",
		"cds a c1 SYNCED ACKED with a=c1", "cds b c1 SYNCED ACKED with b=c1",
		"eds a e1 SYNCED ACKED with a=e1", "eds nothing - NOT_SENT DOES_NOT_EXIST",
		"sds s1 k1 SYNCED ACKED",
		"lds 0.0.0.0_80 - ERROR NACKED error no listener of mine of l1")
	h.publish(guarded("k2"))
	p.next()
	showing(t, h.conn(), exactly("n1"), "n1",
		"cds a c1 SYNCED ACKED", "cds b c1 SYNCED ACKED", "eds a e1 SYNCED ACKED", "eds nothing - NOT_SENT DOES_NOT_EXIST",
		"sds s1 k1 STALE ACKED", "lds 0.0.0.0_80 - ERROR NACKED error no listener of mine of l1")
	p.send(ask{kind: secrets, nonce: "last", nack: "the key is TOPSECRET"})
	showing(t, h.conn(), exactly("n1"), "n1",
		"cds a c1 SYNCED ACKED", "cds b c1 SYNCED ACKED", "eds a e1 SYNCED ACKED", "eds nothing - NOT_SENT DOES_NOT_EXIST",
		"sds s1 k1 ERROR NACKED error "+secretRefused+" of k2", "lds 0.0.0.0_80 - ERROR NACKED error no listener of mine of l1")
}

// TestStatus_saysWhatOthersReject: a table without its bad part is acknowledged, and still is not what it should be.
func TestStatus_saysWhatOthersReject(t *testing.T) {
	t.Parallel()
	h := start(t, Timing{})
	h.publish(tabled(t, 1, 0, "x=1", "y=0"))
	p1, p2 := connect(t, h.addr, "n1", false), connect(t, h.addr, "n2", false)
	p1.send(ask{kind: routes, sub: []string{"http.80"}})
	p1.next()
	p1.ack(routes)
	first := p1.last[routes].versions["http.80"]
	h.publish(tabled(t, 2, 0, "x=bad", "y=0"))
	p1.next()
	second := p1.last[routes].versions["http.80"]
	p1.send(ask{kind: routes, nonce: "last", nack: "x is bad"})
	showing(t, h.conn(), exactly("n1"), "n1", "rds http.80 "+first+" ERROR NACKED error x is bad of "+second)
	p2.send(ask{kind: routes, sub: []string{"http.80"}})
	p2.next()
	p2.ack(routes)
	instead := p2.last[routes].versions["http.80"]
	showing(t, h.conn(), exactly("n2"), "n2", "rds http.80 "+instead+" ERROR ACKED error x is bad of "+second)
}

func TestStatus_ofTheNodesThatAreAskedFor(t *testing.T) {
	t.Parallel()
	h := start(t, Timing{})
	h.publish(two("t1"))
	for _, id := range []string{"edge-1", "edge-2", "web"} {
		p := connect(t, h.addr, id, id == "web")
		p.send(ask{kind: clusters})
		p.next()
	}
	with := func(m *matcherv3.StringMatcher) *statusservice.ClientStatusRequest { return nodes(m) }
	ids := func(in *statusservice.ClientStatusRequest) string {
		got, err := statusservice.NewClientStatusDiscoveryServiceClient(h.conn()).FetchClientStatus(t.Context(), in)
		if err != nil {
			return status.Code(err).String()
		}
		var ids []string
		for _, c := range got.GetConfig() {
			ids = append(ids, c.GetNode().GetId())
		}
		return strings.Join(ids, " ")
	}
	for _, tt := range []struct {
		in   *statusservice.ClientStatusRequest
		want string
	}{
		{nil, "edge-1 edge-2 web"},
		{with(&matcherv3.StringMatcher{}), "edge-1 edge-2 web"},
		{exactly("web"), "web"},
		{with(&matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: "Edge"}}), ""},
		{with(&matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: "Edge"}, IgnoreCase: true}), "edge-1 edge-2"},
		{with(&matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Suffix{Suffix: "-2"}}), "edge-2"},
		{with(&matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Contains{Contains: "e"}}), "edge-1 edge-2 web"},
		{with(&matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: "."}}}), "InvalidArgument"},
		{&statusservice.ClientStatusRequest{NodeMatchers: []*matcherv3.NodeMatcher{{NodeMetadatas: []*matcherv3.StructMatcher{{}}}}}, "InvalidArgument"},
	} {
		if got := ids(tt.in); got != tt.want {
			t.Errorf("%v: got %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestStatus_byStreamAndForReadersOnly(t *testing.T) {
	t.Parallel()
	h := startSecured(t, nil)
	h.trust.readers = []string{"spiffe://cluster.local/ns/ops/sa/console"}
	p := h.as("g1", h.ca.Issue(t, t.TempDir(), shopGateway))
	p.send(ask{kind: secrets, sub: []string{"s1"}})
	p.next()
	for who, want := range map[string]codes.Code{"spiffe://cluster.local/ns/ops/sa/console": codes.OK, shopGateway: codes.PermissionDenied} {
		conn := reach(t, h.addr, h.with(h.ca.Issue(t, t.TempDir(), who)))
		stream, err := statusservice.NewClientStatusDiscoveryServiceClient(conn).StreamClientStatus(bounded(t))
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := stream.Send(&statusservice.ClientStatusRequest{}); err != nil {
				break // it ended with the first
			}
			got, err := stream.Recv()
			if status.Code(err) != want {
				t.Fatalf("%s: %v, want %v", who, err, want)
			}
			if diff := gocmp.Diff([]string{"g1", "sds s1 - STALE REQUESTED"}, short(got)); want == codes.OK && diff != "" {
				t.Errorf("status (-want +got):\n%s", diff)
			}
			if err != nil {
				break
			}
		}
	}
}
