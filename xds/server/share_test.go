package server

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/test/poll"
	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/load"
)

// under is mesh with a split that is not at rest, of the clusters a and b, and another cluster.
func under(rest bool) envoy.Resources {
	r := fed([]string{"a", "b"}, "a", "b", "c")
	r.Splits[0].Rest = rest
	return r
}

// toldTo waits until there is something to be told, and gives it.
func toldTo(t *testing.T, s *Server, to string) string {
	t.Helper()
	out := ""
	if err := poll.Until(patience, func() error {
		text, news := s.Share(to, 1<<20)
		if text == "" || !news {
			return errNothing
		}
		out = text
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

type nothing struct{}

func (nothing) Error() string { return "nothing is told" }

var errNothing = nothing{}

// TestShare_whoDecidesHearsWhatProxiesOfOthersReport: proxies report to one server, and another one, which serves nobody, has their
// loads, by endpoint too, and tells of them. What is told to somebody else does not count.
func TestShare_whoDecidesHearsWhatProxiesOfOthersReport(t *testing.T) {
	t.Parallel()
	follower := startWith(t, Config{Now: time.Now, Process: "follower"})
	var log bytes.Buffer
	leader := startWith(t, Config{Now: time.Now, Process: "leader", Log: slog.New(slog.NewTextHandler(&log, nil))})
	if text, _ := follower.Share("leader", 1<<20); text != "" {
		t.Errorf("without a canary it tells %s", text)
	}
	follower.publish(under(false))
	connect(t, follower.addr, "n1", false).send(ask{kind: clusters})
	proxy := report(t, follower.conn())
	proxy.send(able("n1"))
	proxy.next()
	proxy.send(nil, counts("a", 90, 10), counts("b", 5, 15), counts("c", 1000, 0))
	follower.sum("b", 5, 15)

	changed := leader.Reported()
	text := toldTo(t, follower.Server, "leader")
	if strings.Contains(text, `"c":{`) {
		t.Errorf("it tells of a cluster without a canary: %s", text)
	}
	leader.Hear("sluice-1", "follower", text)
	leader.Hear("sluice-1", "follower", text) // the same Lease, seen once more
	leader.sum("a", 90, 10)
	leader.sum("b", 5, 15)
	<-changed
	if n := leader.loads.tellers(time.Now()); n != 1 {
		t.Errorf("%d tell it", n)
	}
	proxy.send(nil, counts("b", 0, 20))
	leader.Hear("sluice-1", "follower", toldTo(t, follower.Server, "leader"))
	leader.sum("b", 5, 35)

	proxy.send(nil, counts("b", 0, 30))
	leader.Hear("sluice-1", "follower", toldTo(t, follower.Server, "another"))
	leader.sum("b", 5, 35)
	if n := leader.loads.tellers(time.Now()); n != 0 {
		t.Errorf("%d tell it, though the only one tells another", n)
	}
	leader.Hear("sluice-1", "follower", "{")
	if !strings.Contains(log.String(), "is left out") {
		t.Errorf("nonsense is not complained of: %s", log.String())
	}

	follower.publish(under(true))
	if text, _ := follower.Share("leader", 1<<20); text != "" {
		t.Errorf("at rest it tells %s", text)
	}
}

// TestShare_whatIsToldIsNotJudgedHere: when the one who was told is gone, the next one judges what was not told.
func TestShare_whatIsToldIsNotJudgedHere(t *testing.T) {
	t.Parallel()
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	now := begin
	s, err := New(Config{Now: func() time.Time { return now }, Process: "b"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Publish(t.Context(), gateway, under(false)); err == nil {
		t.Log("published without a class")
	}
	s.loads.follow(gateway, mustSet(t, under(false)))
	var from load.Reporter
	add := func(at int, n uint64) {
		now = begin.Add(time.Duration(at) * time.Second)
		s.loads.add(&from, []load.Stats{{Cluster: "a", Interval: time.Second, Issued: n, OK: n}}, now)
	}
	sum := func() (n uint64) {
		for _, l := range s.LoadsOf([]string{"a"}, time.Time{}) {
			n += l.Issued
		}
		return n
	}
	add(1, 3)
	add(2, 5)
	if text, news := s.Share("a", 1<<20); text == "" || !news {
		t.Fatal("nothing is told")
	}
	add(3, 7)
	add(4, 11)
	if n := sum(); n != 18 {
		t.Errorf("%d requests are left, want 18", n)
	}
	if text, _ := s.Share("b", 1<<20); text != "" {
		t.Errorf("it tells itself %s", text)
	}
	if n := sum(); n != 18 {
		t.Errorf("once it decides, %d requests are left, want 18", n)
	}
}

func mustSet(t *testing.T, r envoy.Resources) *set {
	t.Helper()
	s, err := newSet(nil, r)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// hearing is a server that hears others, and how to let it hear sums of the cluster a; an empty process: the Lease is gone.
func hearing(t *testing.T, log *bytes.Buffer) (s *Server, hear func(at time.Duration, process, text string), sum func() uint64) {
	t.Helper()
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	now := begin
	s, err := New(Config{Now: func() time.Time { return now }, Process: "me", Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	s.loads.follow(gateway, mustSet(t, under(false)))
	hear = func(at time.Duration, process, text string) {
		now = begin.Add(at)
		s.Hear("sluice-1", process, text)
	}
	return s, hear, func() (n uint64) {
		now = now.Add(3 * time.Second)
		for _, l := range s.LoadsOf([]string{"a"}, time.Time{}) {
			n += l.Issued
		}
		return n
	}
}

// TestHear_aLeaseThatComesBackAddsNothing: a replica whose Lease was gone, could not be read, or was taken by another process for a
// while goes on with the same sums. They were counted.
func TestHear_aLeaseThatComesBackAddsNothing(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s, hear, sum := hearing(t, &log)
	told := func(at, n int) string {
		return fmt.Sprintf(`{"to":"me","at":%d,"of":{"a":{"n":1,"c":[%d,%d,0,0],"w":3,"p":2}}}`, at, n, n)
	}
	hear(10*time.Second, "p", told(1, 40))
	for i, gone := range []struct{ process, text string }{{"", ""}, {"p", "{"}, {"p", ""}, {"q", ""}} {
		hear(time.Duration(20+20*i)*time.Second, gone.process, gone.text)
		if n := s.loads.tellers(s.now()); n != 0 {
			t.Errorf("%d replicas tell it after %q %q", n, gone.process, gone.text)
		}
		hear(time.Duration(30+20*i)*time.Second, "p", told(2+i, 40+i))
		if n := sum(); n != uint64(40+i) {
			t.Errorf("%d requests after %q %q, want %d", n, gone.process, gone.text, 40+i)
		}
	}
}

// TestHear_whoIsSilentSeesNothing: what a replica sees is no part of the sum when it has said nothing for long, nor what it saw of a
// cluster that it does not tell of any more.
func TestHear_whoIsSilentSeesNothing(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s, hear, _ := hearing(t, &log)
	seen := func(cluster string) int {
		var from load.Reporter
		s.loads.mu.Lock()
		defer s.loads.mu.Unlock()
		s.loads.reported(s.now())
		at := s.now().Add(time.Second)
		s.loads.book.Add(&from, load.Stats{Cluster: cluster, Interval: 100 * time.Millisecond, Issued: 1, OK: 1}, at)
		return s.loads.book.Gauge(cluster, at.Add(time.Second)).Proxies
	}
	hear(10*time.Second, "p", `{"to":"me","at":1,"of":{"a":{"n":1,"c":[4,4,0,0],"p":2},"b":{"n":2,"c":[4,4,0,0],"p":2}}}`)
	if n := seen("a"); n != 3 {
		t.Errorf("%d proxies, want 3", n)
	}
	for at := 20; at <= 80; at += 10 {
		hear(time.Duration(at)*time.Second, "p", fmt.Sprintf(`{"to":"me","at":%d,"of":{"b":{"n":2,"c":[4,4,0,0],"p":2}}}`, at))
	}
	if a, b := seen("a"), seen("b"); a != 1 || b != 3 {
		t.Errorf("%d and %d proxies, want 1 of the cluster that it does not tell of any more, and 3", a, b)
	}
	s.Hear("sluice-2", "q", "")                      // another one
	hear(100*time.Second, "p", `{"to":"me","at":1}`) // its Lease as it was
	if b := seen("b"); b != 1 {
		t.Errorf("%d proxies, want 1", b)
	}
}

// TestHear_saysOnceWhatIsUnsound: and there is room all the same.
func TestHear_saysOnceWhatIsUnsound(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s, hear, _ := hearing(t, &log)
	for at := 1; at <= 3; at++ {
		hear(time.Duration(at)*time.Second, "p", fmt.Sprintf(`{"to":"me","at":%d,"of":{"a":{"n":1,"c":[%d,0,0,0]}}}`, at, 9-at))
	}
	if n := strings.Count(log.String(), "counts less than before"); n != 1 || s.loads.full {
		t.Errorf("said %d times: %s", n, log.String())
	}
}
