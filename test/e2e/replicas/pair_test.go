package replicas

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/xds/bootstrap"
)

// TestPair_bothReplicasHaveToBeThere spreads Envoys over two replicas. A weight settles only when those of both have it,
// and the one that leads is told by the other. Then the leader dies: its Envoys change over to the other replica, which
// takes over, gives them nothing that they have, and goes on with the release.
func TestPair_bothReplicasHaveToBeThere(t *testing.T) {
	s := open(t, 3)
	leader := s.replica("sluice-0")
	leader.leads()
	other := s.replica("sluice-1")
	h := s.follow()
	// The first two begin at the leader and can go to both; the third is at the other replica.
	both := front(t, leader.xds, other.xds)
	edges := []*edge{s.edge(0, both, bootstrap.TLS{}), s.edge(1, both, bootstrap.TLS{}), s.edge(2, other.xds, bootstrap.TLS{})}
	s.apply(s.rollout(stays, stays))
	h.adopted()
	began := time.Now()
	for _, e := range edges {
		e.serves(0)
		e.visit(100)
	}
	s.inSync("sluice-0", 2)
	s.inSync("sluice-1", 1)
	s.want("v2")
	at15 := h.settled(15)
	t.Logf("weight 15 settles %v after it is stored", at15.at.Sub(h.asked(15).at).Round(time.Millisecond))

	far := edges[2]
	far.signal(syscall.SIGSTOP)
	t.Cleanup(func() { _ = syscall.Kill(far.envoy.Pid(), syscall.SIGCONT) })
	s.ask(v1alpha1.ActionPromote)
	asked := h.asked(50)
	for _, e := range edges[:2] {
		e.serves(50)
	}
	h.says(asked.at, "Unknown", "2/3 proxies run weight 50", "waiting for "+far.node)
	if st := h.last(); st.Phase != v1alpha1.PhaseShifting || st.SettledSeq == st.Traffic.Seq {
		t.Errorf("the weight counts as settled while a proxy of the other replica has not got it: %s", brief(&st))
	}
	before := givenTo(edges[:2])

	leader.kill()
	died := time.Now()
	eventually(t, "its Envoys to come to the other replica", func() error {
		st := s.reports()["sluice-1"]
		if st.Proxies.Connected != 3 || st.Proxies.Synced != 2 {
			return fmt.Errorf("sluice-1 reports %+v", st.Proxies)
		}
		return nil
	})
	t.Logf("both Envoys of the dead leader are at the other replica after %v", time.Since(died).Round(time.Millisecond))
	far.signal(syscall.SIGCONT)
	h.settled(50)
	t.Logf("the other replica leads, and weight 50 is settled, %v after the leader died", time.Since(died).Round(time.Millisecond))
	if diff := cmp.Diff(before, givenTo(edges[:2])); diff != "" {
		t.Errorf("the other replica gave its Envoys something again (-before +now)\n%s", diff)
	}
	s.ask(v1alpha1.ActionPromoteFull)
	h.settled(100)
	t.Logf("weight 100, which waits until the dead replica does not count any more, is settled after %v", time.Since(died).Round(time.Millisecond))
	h.first(began, "the release to be complete", func(st *v1alpha1.RolloutStatus) bool {
		return st.Phase == v1alpha1.PhaseIdle && st.Stable.Name == "v2"
	})
	for _, e := range edges {
		if n := e.failed(began); n != 0 {
			t.Errorf("%d requests through %s failed", n, e.node)
		}
	}
}
