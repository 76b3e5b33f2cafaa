package server

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
)

// divided sends so many of a hundred requests to the canary of reviews.
func divided(t testing.TB, weight string) *routev3.RouteAction_WeightedClusters {
	t.Helper()
	n, err := strconv.ParseUint(weight, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	clusters := []*routev3.WeightedCluster_ClusterWeight{{Name: "outbound|80|v1|reviews", Weight: wrapperspb.UInt32(uint32(100 - n))}}
	if n > 0 {
		clusters = append(clusters, &routev3.WeightedCluster_ClusterWeight{Name: "outbound|80|v2|reviews", Weight: wrapperspb.UInt32(uint32(n))})
	}
	return &routev3.RouteAction_WeightedClusters{WeightedClusters: &routev3.WeightedCluster{Clusters: clusters}}
}

// table is a real table of virtual hosts "name=content", each of which names a cluster of its name; "name=content@15"
// sends 15 % to its canary.
func table(t testing.TB, name string, hosts ...string) envoy.Resource {
	t.Helper()
	config := &routev3.RouteConfiguration{Name: name, MaxDirectResponseBodySizeBytes: wrapperspb.UInt32(7)}
	r := envoy.Resource{Name: name}
	sum := func(b []byte) string { s := sha256.Sum256(b); return hex.EncodeToString(s[:16]) }
	for _, h := range hosts {
		host, content, _ := strings.Cut(h, "=")
		content, weight, weighed := strings.Cut(content, "@")
		action := &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: "to|" + host}}
		if weighed {
			action.ClusterSpecifier = divided(t, weight)
		}
		vh := &routev3.VirtualHost{Name: host, Domains: []string{content}, Routes: []*routev3.Route{{
			Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
			Action: &routev3.Route_Route{Route: action},
		}}}
		value, err := proto.MarshalOptions{Deterministic: true}.Marshal(vh)
		if err != nil {
			t.Fatal(err)
		}
		r.Parts = append(r.Parts, envoy.Part{Name: host, Version: sum(value), Bytes: value, Origins: []ir.Origin{{Kind: "VirtualService", Namespace: "shop", Name: host}}})
		r.Refs = append(r.Refs, "to|"+host)
		config.VirtualHosts = append(config.VirtualHosts, vh)
	}
	value, err := proto.MarshalOptions{Deterministic: true}.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	r.Version, r.Any = sum(value), &anypb.Any{TypeUrl: routes.typeURL(), Value: value}
	return r
}

// tabled publishes one table whose virtual host y carries a split.
func tabled(t testing.TB, seq uint64, weight int, hosts ...string) envoy.Resources {
	return envoy.Resources{
		Routes: []envoy.Resource{table(t, "http.80", hosts...)},
		Splits: []*ir.SplitUse{{Key: "shop/reviews", UID: "u", Seq: seq, Weight: weight, Tables: []string{"http.80"}, Clusters: []string{"to|y"}}},
	}
}

// tabledOfTwo publishes one table whose virtual hosts x and y carry a split.
func tabledOfTwo(t testing.TB, seq uint64, weight int, hosts ...string) envoy.Resources {
	out := tabled(t, seq, weight, hosts...)
	out.Splits[0].Clusters = []string{"outbound|80|v1|reviews"}
	if weight > 0 {
		out.Splits[0].Clusters = []string{"outbound|80|v1|reviews", "outbound|80|v2|reviews"}
	}
	return out
}

// holds says what the next response holds.
func (p *proxy) holds() string {
	p.t.Helper()
	a := p.next()
	out := []string{}
	for _, b := range a.bytes {
		config := &routev3.RouteConfiguration{}
		if err := proto.Unmarshal([]byte(b), config); err != nil {
			p.t.Fatal(err)
		}
		out = append(out, config.GetName()+fmt.Sprintf("[%d]", config.GetMaxDirectResponseBodySizeBytes().GetValue()))
		for _, vh := range config.GetVirtualHosts() {
			out = append(out, vh.GetName()+"="+vh.GetDomains()[0]+canary(vh))
		}
	}
	for _, n := range a.removed {
		out = append(out, "-"+n)
	}
	return strings.Join(out, " ")
}

// canary is what a virtual host sends its canary, where it divides.
func canary(vh *routev3.VirtualHost) string {
	divided := vh.GetRoutes()[0].GetRoute().GetWeightedClusters().GetClusters()
	switch len(divided) {
	case 0:
		return ""
	case 1:
		return "@0"
	}
	if !strings.Contains(divided[1].GetName(), "v2") {
		return "@0"
	}
	return fmt.Sprintf("@%d", divided[1].GetWeight().GetValue())
}

func (p *proxy) nack(k kind, words string) {
	p.t.Helper()
	p.send(ask{kind: k, nonce: "last", nack: words})
}

// subscribed is a client that has asked for the table, and what it was given.
func subscribed(t *testing.T, h *harness, id string) (*proxy, string) {
	t.Helper()
	p := connect(t, h.addr, id, false)
	p.send(ask{kind: routes, sub: []string{"http.80"}})
	return p, p.holds()
}

func expect(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func TestQuarantine_badVirtualHostDoesNotStopTheRollbackOfAnother(t *testing.T) {
	h := start(t, Timing{})
	h.publish(tabled(t, 1, 0, "x=1", "y=0"))
	p1, _ := subscribed(t, h, "n1")
	p1.ack(routes)
	p2, _ := subscribed(t, h, "n2")
	p2.ack(routes)
	h.converged(1, all(2))

	h.publish(tabled(t, 2, 15, "x=bad", "y=15", "z=new"))
	for _, p := range []*proxy{p1, p2} {
		expect(t, "the table as published", p.holds(), "http.80[7] x=bad y=15 z=new")
	}
	p1.nack(routes, "x is bad")
	h.converged(2, func(c ir.Convergence) bool { return c.Nacked > 0 && c.First != nil && c.First.Message == "x is bad" })
	fresh, got := subscribed(t, h, "n3")
	expect(t, "a new proxy", got, "http.80[7] x=1 y=0")
	if p := h.Problems(); len(p) != 3 || p[0].Code != "S093" || p[1].Object != "VirtualService/shop/y" ||
		p[1].Message != "proxy n1 (envoy 1.40) rejects virtual hosts x, y, z of http.80 of type RouteConfiguration: x is bad" {
		t.Errorf("problems %v", p)
	}
	fresh.ack(routes)
	p2.nack(routes, "x is bad")
	h.converged(2, func(c ir.Convergence) bool { return c.Nacked == 3 })

	h.publish(tabled(t, 3, 0, "x=bad", "y=back", "z=new"))
	for _, p := range []*proxy{p1, p2, fresh} {
		expect(t, "after the rollback", p.holds(), "http.80[7] x=1 y=back")
		p.ack(routes)
	}
	h.converged(3, all(3))
	if r := h.Rejected(); len(r) != 1 || !slices.Equal(r[0].Parts, []string{"x", "z"}) || r[0].First.Message != "x is bad" || r[0].Class != gateway {
		t.Errorf("rejected %+v", r)
	}

	h.publish(tabled(t, 4, 0, "x=2", "y=back", "z=new"))
	expect(t, "new content", p1.holds(), "http.80[7] x=2 y=back")
	p1.ack(routes)
	h.converged(4, func(c ir.Convergence) bool { return c.Acked == 1 })
}

// One Rollout divides a good host and one that proxies reject for what Git says of it: each change of the weight changes
// both, and the good host follows it.
func TestQuarantine_badHostThatIsDividedTooDoesNotStopARollback(t *testing.T) {
	h := start(t, Timing{})
	h.publish(tabledOfTwo(t, 1, 15, "x=good@15", "y=good@15"))
	p, got := subscribed(t, h, "n1")
	expect(t, "the table as published", got, "http.80[7] x=good@15 y=good@15")
	p.ack(routes)

	h.publish(tabledOfTwo(t, 2, 50, "x=bad@50", "y=good@50"))
	expect(t, "a raise, and bad content", p.holds(), "http.80[7] x=bad@50 y=good@50")
	p.nack(routes, "x is bad")
	expect(t, "the raise of the good host", p.holds(), "http.80[7] x=good@15 y=good@50")
	p.ack(routes)

	h.publish(tabledOfTwo(t, 3, 0, "x=bad@0", "y=good@0"))
	expect(t, "the rollback, tried whole", p.holds(), "http.80[7] x=bad@0 y=good@0")
	p.nack(routes, "x is bad")
	expect(t, "the rollback of both, and the good content of the bad host", p.holds(), "http.80[7] x=good@0 y=good@0")
	p.ack(routes)
}

func TestQuarantine_whatAProxyHasAcceptedItKeeps(t *testing.T) {
	h := start(t, Timing{})
	h.publish(tabled(t, 1, 0, "y=1"))
	p1, _ := subscribed(t, h, "n1")
	p1.ack(routes)
	p2, _ := subscribed(t, h, "n2")
	p2.ack(routes)
	h.publish(tabled(t, 2, 15, "y=2"))
	p1.holds()
	p1.ack(routes)
	p2.holds()
	p2.nack(routes, "no")
	h.converged(2, func(c ir.Convergence) bool { return c.Acked == 1 && c.Nacked == 1 })
	for _, p := range []*proxy{p1, p2} {
		if more := p.pending(listeners); len(more) > 0 {
			t.Errorf("%s was sent %v", p.id, more)
		}
	}
}

func TestQuarantine_isOfTheClientsVersion(t *testing.T) {
	h := start(t, Timing{})
	h.publish(tabled(t, 1, 0, "y=1"))
	p1, _ := subscribed(t, h, "n1")
	p1.ack(routes)
	h.publish(tabled(t, 2, 15, "y=2"))
	p1.holds()
	p1.nack(routes, "no")
	h.converged(2, func(c ir.Convergence) bool { return c.Nacked == 1 })
	other := connect(t, h.addr, "n2", false)
	other.agent = "envoy 1.41"
	other.send(ask{kind: routes, sub: []string{"http.80"}})
	expect(t, "another version of the client", other.holds(), "http.80[7] y=2")
}

func TestQuarantine_withoutAGoodVersion(t *testing.T) {
	h := start(t, Timing{})
	r := tabled(t, 1, 0, "x=1", "y=0")
	r.Clusters = []envoy.Resource{res(clusters, "a", "c1"), res(clusters, "b", "c1")}
	r.Listeners = []envoy.Resource{res(listeners, "l", "l1")}
	h.publish(r)
	p, _ := subscribed(t, h, "n1")
	p.nack(routes, "no")
	h.converged(1, func(c ir.Convergence) bool { return c.Nacked == 1 })
	expect(t, "the table", p.holds(), "http.80[7]")
	p.ack(routes)
	p.send(ask{kind: clusters})
	p.next()
	p.nack(clusters, "b: no")
	p.send(ask{kind: listeners})
	p.next()
	p.nack(listeners, "no")
	runScript(t, h, p, endpoints, []step{{}})

	fresh, got := subscribed(t, h, "n2")
	expect(t, "the table of a new proxy", got, "http.80[7]")
	fresh.ack(routes)
	runScript(t, h, fresh, endpoints, []step{
		say(ask{kind: clusters}, "cds a=c1"), say(ask{kind: clusters, nonce: "last"}), say(ask{kind: listeners}, "lds")})
	r = tabled(t, 2, 0, "x=1", "y=1")
	r.Clusters = []envoy.Resource{res(clusters, "a", "c1"), res(clusters, "b", "c2")}
	h.publish(r)
	runScript(t, h, fresh, endpoints, []step{{want: []string{"cds b=c2", "rds " + string(tabledBytes(t, "y=1"))}}})
}

func tabledBytes(t testing.TB, hosts ...string) []byte {
	return table(t, "http.80", hosts...).Any.GetValue()
}

func TestQuarantine_ofAWholeTableServesAnEmptyOne(t *testing.T) {
	h := start(t, Timing{})
	h.publish(two("t1"))
	p := connect(t, h.addr, "n1", false)
	p.send(ask{kind: routes, sub: []string{"http.80"}})
	p.next()
	p.nack(routes, "no")
	h.converged(1, func(c ir.Convergence) bool { return c.Nacked == 1 })
	_, got := subscribed(t, h, "n2")
	expect(t, "a new proxy", got, "http.80[0]")
}

func TestQuarantine_keepsWhatIsNotKnownHere(t *testing.T) {
	h := start(t, Timing{})
	h.publish(tabled(t, 2, 15, "x=bad", "y=15"))
	p := connect(t, h.addr, "n1", false)
	p.send(ask{kind: routes, sub: []string{"http.80"}, has: map[string]string{"http.80": "from another replica"}})
	p.next()
	p.nack(routes, "no")
	h.converged(2, func(c ir.Convergence) bool { return c.Nacked == 1 })
	if more := p.pending(listeners); len(more) > 0 {
		t.Errorf("it was sent %v", more)
	}
}

func TestFlavour(t *testing.T) {
	n := node("n1")
	n.UserAgentName = "gRPC Go"
	n.UserAgentVersionType = userAgent("1.84.0-dev")
	if got := flavourOf(n); got != "gRPC Go 1.84" {
		t.Errorf("got %q", got)
	}
}

func TestReassembled_isTheTableItself(t *testing.T) {
	r := table(t, "http.80", "x=1", "y=2")
	i := &item{name: r.Name, version: r.Version, any: r.Any, refs: r.Refs, parts: r.Parts}
	out := reassembled(i, r.Parts, r.Refs)
	if out.version != r.Version || !slices.Equal(out.refs, r.Refs) {
		t.Errorf("version %s, refs %v; want %s, %v", out.version, out.refs, r.Version, r.Refs)
	}
	less := reassembled(i, r.Parts[1:], r.Refs)
	if !slices.Equal(less.refs, []string{"to|y"}) {
		t.Errorf("refs %v, want those of y only", less.refs)
	}
}
