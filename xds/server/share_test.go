package server

import (
	"bytes"
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
