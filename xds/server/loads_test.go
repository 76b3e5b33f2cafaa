package server

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	loadservice "github.com/envoyproxy/go-control-plane/envoy/service/load_stats/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sluice-dev/sluice/test/poll"
	"github.com/sluice-dev/sluice/xds/envoy"
)

// counting is a scripted client that reports loads.
type counting struct {
	t      *testing.T
	stream grpc.BidiStreamingClient[loadservice.LoadStatsRequest, loadservice.LoadStatsResponse]
	inbox  chan *loadservice.LoadStatsResponse
	failed chan error
	end    context.CancelFunc
}

func report(t *testing.T, conn *grpc.ClientConn) *counting {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := loadservice.NewLoadReportingServiceClient(conn).StreamLoadStats(ctx)
	if err != nil {
		t.Fatal(err)
	}
	c := &counting{t: t, stream: stream, inbox: make(chan *loadservice.LoadStatsResponse, 64), failed: make(chan error, 1), end: cancel}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			in, err := stream.Recv()
			if err != nil {
				c.failed <- err
				return
			}
			c.inbox <- in
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return c
}

// able is a node that can report all its clusters.
func able(id string) *corev3.Node {
	n := node(id)
	n.ClientFeatures = []string{"envoy.lb.something", sendsAll}
	return n
}

func (c *counting) send(n *corev3.Node, stats ...*endpointv3.ClusterStats) {
	c.t.Helper()
	if err := c.stream.Send(&loadservice.LoadStatsRequest{Node: n, ClusterStats: stats}); err != nil {
		c.t.Fatal(err)
	}
}

// next is the next answer in short.
func (c *counting) next() string {
	c.t.Helper()
	select {
	case in := <-c.inbox:
		return fmt.Sprintf("%v %v %s %v", in.GetSendAllClusters(), in.GetClusters(), in.GetLoadReportingInterval().AsDuration(), in.GetReportEndpointGranularity())
	case err := <-c.failed:
		c.t.Fatalf("the stream ended: %v", err)
	case <-time.After(patience):
		c.t.Fatal("no answer")
	}
	return ""
}

// fails gives how the stream ends.
func (c *counting) fails() codes.Code {
	c.t.Helper()
	select {
	case err := <-c.failed:
		return status.Code(err)
	case <-time.After(patience):
		c.t.Fatal("the stream goes on")
	}
	return codes.OK
}

func (h *harness) conn() *grpc.ClientConn { return reach(h.t, h.addr, insecure.NewCredentials()) }

// counts is a report of ok and failed requests in one second.
func counts(cluster string, ok, failed uint64) *endpointv3.ClusterStats {
	return &endpointv3.ClusterStats{ClusterName: cluster, LoadReportInterval: durationpb.New(time.Second), UpstreamLocalityStats: []*endpointv3.UpstreamLocalityStats{
		{TotalIssuedRequests: ok + failed, TotalSuccessfulRequests: ok, TotalErrorRequests: failed},
	}}
}

// sum waits until the loads of a cluster sum up to ok and failed.
func (h *harness) sum(cluster string, ok, failed uint64) {
	h.t.Helper()
	err := poll.Until(patience, func() error {
		var good, bad uint64
		for _, l := range h.Loads(cluster, time.Time{}) {
			good, bad = good+l.OK, bad+l.Failed
		}
		if good != ok || bad != failed {
			return fmt.Errorf("the loads of %s are %d and %d failed, want %d and %d", cluster, good, bad, ok, failed)
		}
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// fed is mesh with clusters that a split gives weight to.
func fed(clusters []string, all ...string) envoy.Resources {
	r := mesh(1, 50, "t1", all...)
	r.Splits[0].Clusters = clusters
	return r
}

func TestLoads_areSummedOverProxies(t *testing.T) {
	t.Parallel()
	h := start(t, Timing{})
	h.publish(fed([]string{"a", "b"}, "a", "b", "c"))
	connect(t, h.addr, "n1", false).send(ask{kind: clusters}) // the class has a proxy
	first, second := report(t, h.conn()), report(t, h.conn())
	first.send(able("n1"))
	second.send(able("n2"), counts("a", 1, 1)) // it comes again, with what it counted since
	for _, c := range []*counting{first, second} {
		if got, want := c.next(), "true [] 500ms true"; got != want {
			t.Errorf("answer %q, want %q", got, want)
		}
	}
	unmeasured := counts("a", 1000, 0)
	unmeasured.LoadReportInterval = nil
	first.send(nil, counts("a", 10, 2), counts("b", 7, 0), counts("sluice-xds", 5, 0), unmeasured)
	second.send(nil, counts("a", 20, 3), counts("c", 0, 4))
	h.sum("a", 31, 6)
	h.sum("b", 7, 0)
	h.sum("c", 0, 4)
	if got := h.Loads("sluice-xds", time.Time{}); got != nil {
		t.Errorf("a cluster that is not served has loads %v", got)
	}
	proxies := 0
	for _, l := range h.Loads("a", time.Time{}) {
		proxies = max(proxies, l.Proxies)
	}
	if proxies != 2 {
		t.Errorf("loads of a are of %d proxies, want 2", proxies)
	}
	if streams, reports := h.loads.measure(); streams != 2 || reports != 3 {
		t.Errorf("measured %d streams and %d reports, want 2 and 3", streams, reports)
	}
	if got := h.Loads("a", time.Now()); len(got) > 0 {
		t.Errorf("seconds that are not over have loads: %v", got)
	}
}

func TestLoads_answerNamesTheClustersOfSplits(t *testing.T) {
	t.Parallel()
	h := start(t, Timing{})
	c := report(t, h.conn())
	c.send(node("n1"))
	if got, want := c.next(), "false [] 1s false"; got != want {
		t.Errorf("before anything is served: %q, want %q", got, want)
	}
	h.publish(fed([]string{"b", "a"}, "a", "b", "c"))
	if got, want := c.next(), "false [a b] 500ms true"; got != want {
		t.Errorf("with a split: %q, want %q", got, want)
	}
	h.publish(fed(nil, "a", "b", "c"))
	if got, want := c.next(), "false [] 500ms true"; got != want {
		t.Errorf("without one: %q, want %q", got, want)
	}
}

// TestLoads_answerIsRepeatedForNewClusters: a proxy counts a new cluster only after an answer. Two that come together
// need one, not before two intervals have passed since the last, and gRPC none.
func TestLoads_answerIsRepeatedForNewClusters(t *testing.T) {
	t.Parallel()
	h := start(t, Timing{})
	h.publish(mesh(1, 0, "t1", "a"))
	p := connect(t, h.addr, "n1", false)
	c, other, grpcs := report(t, h.conn()), report(t, h.conn()), report(t, h.conn())
	began := time.Now()
	c.send(able("n1"))
	c.next()
	other.send(able("n2"))
	other.next()
	client := able("n1")
	client.UserAgentName = "gRPC Go"
	grpcs.send(client)
	grpcs.next()
	fence := 0
	push := func(names ...string) {
		h.publish(mesh(1, 0, "t1", names...))
		p.next()
		p.ack(clusters)
		fence++
		p.send(ask{kind: endpoints, sub: []string{fmt.Sprint("fence", fence)}})
		p.next()
	}
	p.send(ask{kind: clusters})
	p.next()
	p.ack(clusters)
	push("a", "b")
	push("a", "b", "c")
	c.next()
	if took := time.Since(began); took < 1900*time.Millisecond {
		t.Errorf("the answer was repeated after %s, want 2s", took)
	}
	changed := mesh(1, 0, "t1", "a", "b", "c")
	changed.Clusters[0] = res(clusters, "a", "c2")
	h.publish(changed)
	p.next()
	p.ack(clusters)
	push("a", "b", "c") // a changes back: nothing is new
	h.stop()
	for name, one := range map[string]*counting{"n1": c, "n2": other, "gRPC": grpcs} {
		one.fails()
		if n := len(one.inbox); n > 0 {
			t.Errorf("%s has %d more answers", name, n)
		}
	}
}

func TestLoads_refusals(t *testing.T) {
	t.Parallel()
	h := start(t, Timing{FirstMessage: 3 * time.Second})
	silent, nameless := report(t, h.conn()), report(t, h.conn())
	nameless.send(&corev3.Node{})
	if got := nameless.fails(); got != codes.InvalidArgument {
		t.Errorf("without an id: %v, want InvalidArgument", got)
	}
	if got := silent.fails(); got != codes.DeadlineExceeded {
		t.Errorf("without a message: %v, want DeadlineExceeded", got)
	}
	h.loads.streams = maxStreams
	full := report(t, h.conn())
	if got := full.fails(); got != codes.Unavailable {
		t.Errorf("beyond the limit: %v, want Unavailable", got)
	}
	h.loads.streams = 0
	closed, err := New(Config{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.admitReporter(t.Context()); status.Code(err) != codes.Unavailable {
		t.Errorf("before Open: %v, want Unavailable", err)
	}
}

func TestLoads_comeFromProvenProxies(t *testing.T) {
	t.Parallel()
	h := startSecured(t, nil)
	for names, want := range map[string]codes.Code{shopGateway: codes.OK, "spiffe://cluster.local/ns/bank/sa/gateway": codes.PermissionDenied} {
		c := report(t, reach(t, h.addr, h.with(h.ca.Issue(t, t.TempDir(), names))))
		c.send(able("n1"))
		if want == codes.OK {
			c.next()
		} else if got := c.fails(); got != want {
			t.Errorf("%s: %v, want %v", names, got, want)
		}
	}
}

func TestNew_refusesWhatCannotBe(t *testing.T) {
	for name, cfg := range map[string]Config{
		"no clock":             {},
		"a short interval":     {Now: time.Now, LoadInterval: time.Millisecond},
		"a long interval":      {Now: time.Now, LoadInterval: time.Minute + time.Second},
		"a reader without one": {Now: time.Now, Readers: []string{"shop/gateway"}},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: a server is made", name)
		}
	}
}

// TestLoads_ofManyProxies lets 200 proxies report at once, and holds that nothing is lost or left behind.
func TestLoads_ofManyProxies(t *testing.T) {
	t.Parallel()
	h := start(t, Timing{})
	h.publish(fed([]string{"a"}, "a"))
	conn := h.conn()
	var sent atomic.Uint64
	streams := make([]*counting, 200)
	for i := range streams {
		streams[i] = report(t, conn)
		streams[i].send(able(fmt.Sprint("n", i)))
	}
	for range 5 {
		for i, c := range streams {
			c.send(nil, counts("a", uint64(i), 1))
			sent.Add(uint64(i))
		}
	}
	h.sum("a", sent.Load(), 1000)
	for _, c := range streams {
		c.end()
	}
	err := poll.Until(patience, func() error {
		h.loads.mu.Lock()
		defer h.loads.mu.Unlock()
		if len(h.loads.reporters)+h.loads.streams > 0 {
			return fmt.Errorf("%d reporters and %d streams are left", len(h.loads.reporters), h.loads.streams)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestLoads_followTheClassesThatAreServed(t *testing.T) {
	t.Parallel()
	h := start(t, Timing{Demand: 50 * time.Millisecond})
	h.publish(fed([]string{"a"}, "a"))
	following := func() []string {
		h.loads.mu.Lock()
		defer h.loads.mu.Unlock()
		return slices.Clone(h.loads.fed[gateway])
	}
	if got := following(); !slices.Equal(got, []string{"a"}) {
		t.Errorf("clusters %v, want a", got)
	}
	err := poll.Until(patience, func() error {
		if got := following(); got != nil {
			return fmt.Errorf("a class that nobody asks for has clusters %v", got)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
