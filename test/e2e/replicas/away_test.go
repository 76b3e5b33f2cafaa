package replicas

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/xds/bootstrap"
)

// TestAway_aProxyThatIsOnItsWayIsWaitedFor sends the proxy of a follower away, which cannot come to the leader: it is stopped, and runs
// what it had. The follower ends in order. A higher weight, which the leader's own proxy has, does not count as settled as long as
// the other one may be on its way. Then it is given up, and the release goes on.
func TestAway_aProxyThatIsOnItsWayIsWaitedFor(t *testing.T) {
	s := open(t, 2)
	leader := s.replica("sluice-0")
	h := s.follow()
	s.apply(s.rollout(stays, stays))
	h.first(time.Time{}, "v1 adopted", func(st *v1alpha1.RolloutStatus) bool { return st.Stable.Name == "v1" })
	follower := s.replica("sluice-1", "--drain-delay", "100ms", "--drain-time", "200ms")
	near := s.edge(0, leader.xds, bootstrap.TLS{})
	far := s.edge(1, front(t, follower.xds, leader.xds), bootstrap.TLS{})
	h.adopted()
	for _, e := range []*edge{near, far} {
		e.serves(0)
	}
	s.inSync("sluice-1", 1)
	s.want("v2")
	h.settled(15)

	far.signal(syscall.SIGSTOP)
	t.Cleanup(func() { _ = syscall.Kill(far.envoy.Pid(), syscall.SIGCONT) })
	if err := follower.process.Stop(15 * time.Second); err != nil {
		t.Fatal(err)
	}
	left := time.Now()
	if n := s.reports()["sluice-1"].Proxies.Away; n != 1 {
		t.Errorf("%d proxies are on their way from the follower: %+v", n, s.reports()["sluice-1"])
	}
	s.ask(v1alpha1.ActionPromote)
	asked := h.asked(50)
	near.serves(50)
	h.says(asked.at, "Unknown", "weight 50")
	settled := h.settled(50)
	t.Logf("weight 50 is settled %v after the follower has ended, and %v after it was asked for",
		settled.at.Sub(left).Round(time.Millisecond), settled.at.Sub(asked.at).Round(time.Millisecond))
	// The Lease of the follower was renewed 5 s before at most, and counts for 15 s.
	if took := settled.at.Sub(left); took < 7*time.Second {
		t.Errorf("weight 50 counts as settled after %v, while a proxy with weight 15 may be on its way", took)
	}
	far.signal(syscall.SIGCONT)
	far.serves(50)
	eventually(t, "both proxies at the leader", func() error {
		if n := s.reports()["sluice-0"].Proxies.Synced; n != 2 {
			return fmt.Errorf("%d are in sync", n)
		}
		return nil
	})
}
