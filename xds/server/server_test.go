package server

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-dev/sluice/test/poll"
	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
)

// settled subscribes a delta client to everything of two("t1") and acknowledges it.
func settled(t *testing.T, h *harness, id string) *proxy {
	t.Helper()
	p := connect(t, h.addr, id, false)
	p.send(ask{kind: clusters})
	p.next()
	p.ack(clusters)
	p.send(ask{kind: endpoints, sub: []string{"a", "b"}})
	p.next()
	p.ack(endpoints)
	p.send(ask{kind: routes, sub: []string{"http.80"}})
	p.next()
	p.ack(routes)
	return p
}

func all(n int) func(ir.Convergence) bool {
	return func(c ir.Convergence) bool { return c.Done() && c.Connected == n }
}

func TestConvergence_followsTheAcknowledgements(t *testing.T) {
	h := start(t, Timing{Lost: 50 * time.Millisecond})
	if c := h.Convergence("shop/reviews", "u", 1); c.Rendered || c.Connected != 0 || c.Done() {
		t.Errorf("before anything: %+v", c)
	}
	h.publish(two("t1"))
	if c := h.Convergence("shop/reviews", "u", 1); !c.Rendered || c.Connected != 0 || c.Done() || !c.SettledAt.IsZero() {
		t.Errorf("without proxies: %+v", c)
	}
	p1, p2 := settled(t, h, "n1"), settled(t, h, "n2")
	first := h.converged(1, all(2))
	if first.SettledAt.Before(time.Now().Add(-patience)) {
		t.Errorf("settled at %v", first.SettledAt)
	}
	if c := h.Convergence("shop/reviews", "u", 2); c.Rendered {
		t.Errorf("seq 2 is rendered before it was published: %+v", c)
	}
	h.publish(mesh(2, 15, "t2", "a", "b"))
	p1.next()
	p1.ack(routes)
	c := h.converged(2, func(c ir.Convergence) bool { return c.Acked == 1 })
	if c.Connected != 2 || c.Pending != 1 || !slices.Equal(c.Laggards, []string{"n2"}) || c.Done() {
		t.Errorf("one of two: %+v", c)
	}
	p2.end()
	if c := h.converged(2, func(c ir.Convergence) bool { return c.Connected == 1 }); c.Lost != 1 || c.Done() {
		t.Errorf("a proxy went away while pending: %+v", c)
	}
	h.converged(2, all(1)) // it is given up after a while
	h.publish(mesh(3, 15, "t2", "a", "b"))
	if c := h.Convergence("shop/reviews", "u", 3); !c.Done() {
		t.Errorf("equal bytes are acknowledged at once: %+v", c)
	}
}

func TestConvergence_lostProxyThatReturnsIsPending(t *testing.T) {
	h := start(t, Timing{})
	h.publish(two("t1"))
	p := settled(t, h, "n1")
	h.converged(1, all(1))
	h.publish(mesh(2, 15, "t2", "a", "b"))
	p.next()
	p.end()
	h.converged(2, func(c ir.Convergence) bool { return c.Lost == 1 })
	p = connect(t, h.addr, "n1", false)
	p.send(ask{kind: routes, sub: []string{"http.80"}, has: map[string]string{"http.80": "t1"}})
	p.next()
	if c := h.converged(2, func(c ir.Convergence) bool { return c.Pending == 1 }); c.Lost != 0 {
		t.Errorf("the proxy is back: %+v", c)
	}
	p.ack(routes)
	h.converged(2, all(1))
}

func TestConvergence_unchangedVersionsOfAReconnectAreDone(t *testing.T) {
	h := start(t, Timing{})
	h.publish(two("t1"))
	p := connect(t, h.addr, "n1", false)
	p.send(ask{kind: routes, sub: []string{"http.80"}, has: map[string]string{"http.80": "t1"}})
	h.converged(1, all(1))
}

func TestConvergence_freshProxyCountsOnceItHasApplied(t *testing.T) {
	h := start(t, Timing{})
	h.publish(two("t1"))
	p := connect(t, h.addr, "n1", false)
	p.send(ask{kind: routes, sub: []string{"http.80"}})
	p.next()
	if c := h.Convergence("shop/reviews", "u", 1); c.Connected != 0 {
		t.Errorf("before the acknowledgement: %+v", c)
	}
	p.ack(routes)
	h.converged(1, all(1))
}

func TestConvergence_everyClassMustHaveTheNewSeq(t *testing.T) {
	h := start(t, Timing{})
	h.publish(two("t1"))
	other := gateway
	other.Namespace = "elsewhere"
	if err := h.Publish(t.Context(), other, mesh(2, 15, "t2", "a", "b")); err != nil {
		t.Fatal(err)
	}
	if c := h.Convergence("shop/reviews", "u", 2); c.Rendered {
		t.Errorf("one class is behind: %+v", c)
	}
	h.publish(mesh(2, 15, "t2", "a", "b"))
	if c := h.Convergence("shop/reviews", "u", 2); !c.Rendered {
		t.Errorf("both classes are at seq 2: %+v", c)
	}
}

func TestConvergence_anotherRolloutOfTheNameDoesNotCount(t *testing.T) {
	h := start(t, Timing{})
	h.publish(two("t1"))
	settled(t, h, "n1")
	h.converged(1, all(1))
	if c := h.Convergence("shop/reviews", "new", 1); c.Rendered || c.Connected != 0 || c.Done() {
		t.Errorf("the use of the old Rollout counts: %+v", c)
	}
	next := two("t1")
	next.Splits[0].UID = "new"
	h.publish(next)
	if c := h.Convergence("shop/reviews", "new", 1); !c.Done() {
		t.Errorf("equal bytes of the new Rollout: %+v", c)
	}
	if c := h.Convergence("shop/reviews", "u", 1); c.Rendered || c.Done() {
		t.Errorf("the old Rollout is gone: %+v", c)
	}
}

// spread is a mesh whose split is in two tables.
func spread(seq uint64, weight int, versions ...string) envoy.Resources {
	r := mesh(seq, weight, versions[0], "a", "b")
	r.Routes = append(r.Routes, res(routes, "http.81", versions[1], "a", "b"))
	r.Splits[0].Tables = []string{"http.80", "http.81"}
	return r
}

func TestConvergence_ofSeveralTablesTheWorstCounts(t *testing.T) {
	h := start(t, Timing{})
	h.publish(spread(1, 0, "t1", "x1"))
	both, one := connect(t, h.addr, "both", false), connect(t, h.addr, "one", false)
	both.send(ask{kind: routes, sub: []string{"http.80", "http.81"}})
	both.next()
	both.ack(routes)
	one.send(ask{kind: routes, sub: []string{"http.81"}})
	one.next()
	one.ack(routes)
	h.converged(1, all(2))
	h.publish(spread(2, 15, "t2", "x2"))
	first := both.next()
	one.next()
	one.ack(routes)
	c := h.converged(2, func(c ir.Convergence) bool { return c.Acked == 1 })
	if c.Connected != 2 || c.Pending != 1 || !slices.Equal(c.Laggards, []string{"both"}) {
		t.Errorf("one has answered: %+v", c)
	}
	second := both.next()
	both.send(ask{kind: routes, nonce: first.nonce})
	h.publish(spread(3, 15, "t2", "x2"))
	if c := h.Convergence("shop/reviews", "u", 3); c.Acked != 1 || c.Pending != 1 {
		t.Errorf("half an answer: %+v", c)
	}
	both.send(ask{kind: routes, nonce: second.nonce, nack: "no"})
	c = h.converged(3, func(c ir.Convergence) bool { return c.Nacked == 1 })
	if c.Acked != 1 || c.Connected != 2 || c.First == nil || c.First.Resource != "http.81" {
		t.Errorf("a rejection in one of the tables: %+v", c)
	}
	h.publish(spread(4, 0, "t2", "x3"))
	both.next()
	both.ack(routes)
	one.next()
	one.ack(routes)
	h.converged(4, all(2))
}

func TestNack_namesItsResourceAndIsRememberedForTheNode(t *testing.T) {
	h := start(t, Timing{})
	h.publish(two("t1"))
	p1, p2 := settled(t, h, "n1"), settled(t, h, "n2")
	h.publish(mesh(2, 15, "t2", "a", "b"))
	p1.next()
	p2.next() // before the rejection, which would keep it from p2
	p1.send(ask{kind: routes, nonce: "last", nack: "bad\x00route"})
	p2.ack(routes)
	c := h.converged(2, func(c ir.Convergence) bool { return c.Nacked == 1 && c.Acked == 1 })
	if c.First == nil || c.First.Node != "n1" || c.First.Resource != "http.80" || c.First.Version != "t2" || c.First.Message != "bad route" || c.Done() {
		t.Errorf("after the rejection: %+v, first %+v", c, c.First)
	}
	again := connect(t, h.addr, "n1", false)
	runScript(t, h, again, endpoints, []step{
		say(ask{kind: routes, sub: []string{"http.80"}, has: map[string]string{"http.80": "t1"}}),
		give(mesh(3, 0, "t3", "a", "b"), "rds http.80=t3")})
	fresh := connect(t, h.addr, "n1", false)
	runScript(t, h, fresh, endpoints, []step{say(ask{kind: routes, sub: []string{"http.80"}}, "rds http.80=t3")})
}

func TestNack_freshProxyOfTheNodeGetsWhatOthersRun(t *testing.T) {
	h := start(t, Timing{})
	h.publish(two("t1"))
	p := settled(t, h, "n1")
	h.publish(mesh(2, 15, "t2", "a", "b"))
	p.next()
	p.send(ask{kind: routes, nonce: "last", nack: "no"})
	h.converged(2, func(c ir.Convergence) bool { return c.Nacked == 1 })
	p.end()
	fresh := connect(t, h.addr, "n1", false)
	runScript(t, h, fresh, endpoints, []step{say(ask{kind: routes, sub: []string{"http.80"}}, "rds http.80=t1")})
	fresh.ack(routes)
	c := h.converged(2, func(c ir.Convergence) bool { return c.Connected == 1 })
	if c.Nacked == 0 || c.First == nil || c.First.Message != "no" {
		t.Errorf("the rejection is forgotten: %+v", c)
	}
}

func TestClasses_areInDemandWhileSomebodyIsThere(t *testing.T) {
	h := start(t, Timing{Demand: 20 * time.Millisecond})
	classes, changed := h.Classes()
	if len(classes) != 0 {
		t.Fatalf("classes = %v, want none", classes)
	}
	p := connect(t, h.addr, "n1", false)
	p.send(ask{kind: clusters})
	<-changed
	if classes, changed = h.Classes(); !slices.Equal(classes, []ir.ProxyClass{gateway}) {
		t.Fatalf("classes = %v, want %v", classes, gateway)
	}
	p.end()
	<-changed
	if classes, _ = h.Classes(); len(classes) != 0 {
		t.Fatalf("classes = %v, want none", classes)
	}
}

func TestSetClassKeys_movesStreamsAndSendsWhatDiffers(t *testing.T) {
	h := start(t, Timing{})
	h.publish(two("t1"))
	p := settled(t, h, "n1")
	labelled := gateway
	labelled.Labels = "istio=ingressgateway"
	h.SetClassKeys(ir.ClassKeys{Labels: []string{"istio"}})
	err := wait(h, func(classes []ir.ProxyClass) bool { return slices.Contains(classes, labelled) })
	if err != nil {
		t.Fatal(err)
	}
	runScript(t, h, p, listeners, []step{{}})
	if err := h.Publish(t.Context(), labelled, mesh(1, 0, "t2", "a", "b")); err != nil {
		t.Fatal(err)
	}
	runScript(t, h, p, listeners, []step{{want: []string{"rds http.80=t2"}}})
}

func wait(h *harness, ok func([]ir.ProxyClass) bool) error {
	deadline := time.After(patience)
	for {
		classes, changed := h.Classes()
		if ok(classes) {
			return nil
		}
		select {
		case <-changed:
		case <-deadline:
			return fmt.Errorf("classes stay at %v", classes)
		}
	}
}

func TestStream_refusals(t *testing.T) {
	tests := []struct {
		name string
		id   string
		say  func(p *proxy)
		want codes.Code

		patience time.Duration // for the first message; 0: as usual
	}{
		{"no first message", "n1", func(*proxy) {}, codes.DeadlineExceeded, 50 * time.Millisecond},
		{"no node id", "", func(p *proxy) { p.send(ask{kind: clusters}) }, codes.InvalidArgument, 0},
		{"a node id that is too long", strings.Repeat("x", maxNodeID+1), func(p *proxy) { p.send(ask{kind: clusters}) }, codes.InvalidArgument, 0},
		{"no set in time", "n1", func(p *proxy) { p.send(ask{kind: clusters}) }, codes.Unavailable, 0},
		{"too many names", "n1", func(p *proxy) { p.send(ask{kind: routes, sub: names(maxNames + 1)}) }, codes.ResourceExhausted, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := start(t, Timing{FirstMessage: tt.patience, FirstSet: 50 * time.Millisecond})
			p := connect(t, h.addr, tt.id, false)
			tt.say(p)
			if got := status.Code(p.fails()); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func names(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("n%d", i)
	}
	return out
}

func TestStream_isRefusedUntilOpen(t *testing.T) {
	s, err := New(Config{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	p := connect(t, l.Addr().String(), "n1", false)
	if got := status.Code(p.fails()); got != codes.Unavailable {
		t.Errorf("got %v, want Unavailable", got)
	}
	cancel()
	if err := poll.End(patience, "Serve", ended); err != nil {
		t.Error(err)
	}
}

func TestStream_thatDoesNotReadIsClosedAndTheOthersAreServed(t *testing.T) {
	h := start(t, Timing{Stall: 100 * time.Millisecond})
	big := func(content string) envoy.Resources {
		r := two("t1")
		for i := range 32 {
			r.Clusters = append(r.Clusters, res(clusters, fmt.Sprintf("big%d", i), content+strings.Repeat("x", maxResponse/2)))
		}
		return r
	}
	h.publish(big("1"))
	c := dial(t, h.addr)
	stream, err := c.DeltaAggregatedResources(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&discovery.DeltaDiscoveryRequest{Node: node("deaf"), TypeUrl: clusters.typeURL()}); err != nil {
		t.Fatal(err)
	}
	p := connect(t, h.addr, "n2", false)
	p.send(ask{kind: routes, sub: []string{"http.80"}})
	if got := p.next().String(); got != "rds http.80=t1" {
		t.Errorf("the other client got %q", got)
	}
	err = poll.Until(patience, func() error {
		h.registry.mu.Lock()
		defer h.registry.mu.Unlock()
		if h.registry.streams != 1 {
			return fmt.Errorf("%d streams are open, want 1", h.registry.streams)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = stream.Recv()
	}
	if status.Code(err) != codes.Unavailable {
		t.Errorf("the deaf client's stream ended with %v, want Unavailable", err)
	}
}

func TestServe_onlyOnThisMachine(t *testing.T) {
	s, err := New(Config{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0", "example.com:0", "nonsense"} {
		if err := s.ListenAndServe(t.Context(), Door{Addr: addr}); err == nil {
			t.Errorf("listening on %q was not refused", addr)
		}
	}
}

func TestStream_waitsForItsTurnToWrite(t *testing.T) {
	for name, blocked := range map[string]time.Duration{"a deaf client makes room": 50 * time.Millisecond, "a rollback does not wait": time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t, Timing{Blocked: blocked, Stall: time.Hour})
			h.writers.turns = make(chan struct{}, 1)
			h.publish(mesh(1, 50, "t1", "a", "b"))
			p := settled(t, h, "n1")
			big := mesh(1, 50, "t1", "a", "b")
			for i := range 32 {
				big.Clusters = append(big.Clusters, res(clusters, fmt.Sprintf("big%d", i), strings.Repeat("x", maxResponse/2)))
			}
			p.send(ask{kind: clusters, unsub: []string{"*"}, sub: []string{"a", "b"}})
			p.next()
			h.publish(big)
			deaf, err := dial(t, h.addr).DeltaAggregatedResources(bounded(t))
			if err != nil {
				t.Fatal(err)
			}
			if err := deaf.Send(&discovery.DeltaDiscoveryRequest{Node: node("deaf"), TypeUrl: clusters.typeURL()}); err != nil {
				t.Fatal(err)
			}
			err = poll.Until(patience, func() error {
				if len(h.writers.turns) == 0 && h.writers.stalled.Load() == 0 {
					return fmt.Errorf("the deaf client has no turn yet")
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			big.Routes = []envoy.Resource{res(routes, "http.80", "t2", "a", "b")}
			if blocked == time.Hour {
				lower := *big.Splits[0]
				lower.Seq, lower.Weight = 2, 0
				big.Splits = []*ir.SplitUse{&lower}
			}
			h.publish(big)
			if got := p.next().String(); got != "rds http.80=t2" {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestAdmission_refusals(t *testing.T) {
	for name, crowd := range map[string]func(h *harness){
		"too many at once": func(h *harness) { h.admission.arrivals.SetLimit(0); h.admission.arrivals.SetBurst(0) },
		"too many":         func(h *harness) { h.registry.streams = maxStreams },
	} {
		h := start(t, Timing{})
		crowd(h)
		if got := status.Code(connect(t, h.addr, "n1", false).fails()); got != codes.Unavailable {
			t.Errorf("%s: got %v, want Unavailable", name, got)
		}
	}
}

func TestPublish_badSetIsRefusedAndTheOldOneStays(t *testing.T) {
	h := start(t, Timing{})
	h.publish(two("t1"))
	bad := two("t2")
	bad.Routes = append(bad.Routes, bad.Routes[0])
	if err := h.Publish(t.Context(), gateway, bad); err == nil || !strings.Contains(err.Error(), "http.80") {
		t.Errorf("Publish = %v, want an error that names http.80", err)
	}
	settled(t, h, "n1")
	h.converged(1, all(1))
}

// TestWeightChange_isOneRouteConfigurationForEach holds the promise that a step of a rollout costs each proxy exactly
// one resource.
func TestWeightChange_isOneRouteConfigurationForEach(t *testing.T) {
	const n = 200
	h := start(t, Timing{FirstMessage: time.Minute}) // all connect before the first one speaks
	h.publish(two("t1"))
	proxies := make([]*proxy, n)
	for i := range proxies {
		proxies[i] = connect(t, h.addr, fmt.Sprintf("n%d", i), i%4 == 3)
	}
	each := func(f func(p *proxy)) {
		var wg sync.WaitGroup
		for _, p := range proxies {
			wg.Go(func() { f(p) })
		}
		wg.Wait()
	}
	each(func(p *proxy) {
		for _, a := range []ask{{kind: clusters}, {kind: endpoints, sub: []string{"a", "b"}, names: []string{"a", "b"}},
			{kind: routes, sub: []string{"http.80"}, names: []string{"http.80"}}} {
			p.send(a)
			p.next()
			p.ack(a.kind, a.names...)
		}
	})
	h.converged(1, all(n))
	h.publish(mesh(2, 15, "t2", "a", "b"))
	each(func(p *proxy) {
		if got := p.next().String(); got != "rds http.80=t2" {
			t.Errorf("%s got %q", p.id, got)
		}
		p.ack(routes, "http.80")
	})
	h.converged(2, all(n))
	each(func(p *proxy) {
		if rest := p.pending(listeners); len(rest) > 0 {
			t.Errorf("%s got more: %v", p.id, rest)
		}
	})
}
