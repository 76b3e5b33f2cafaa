package replicas

import (
	"fmt"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/xds/bootstrap"
)

// TestTold_proxiesOfAFollowerEndACanary sends all users through an Envoy that only the follower knows. The leader, to which no
// proxy reports and which asks no Prometheus, is told by the follower, and takes the canary back within seconds. At rest the
// follower tells nothing.
func TestTold_proxiesOfAFollowerEndACanary(t *testing.T) {
	s := open(t, 1)
	s.lease = 30 * time.Second // nobody is to take over
	c := &canary{site: s, pods: s.crowd(), replica: s.replica("sluice-0"), history: s.follow()}
	s.apply(s.rollout(time.Second, stays))
	c.history.first(time.Time{}, "v1 adopted", func(st *v1alpha1.RolloutStatus) bool { return st.Stable.Name == "v1" })
	follower := s.replica("sluice-1")
	c.edge = s.edge(0, follower.xds, bootstrap.TLS{})
	c.history.adopted()
	c.edge.serves(0)
	c.began = time.Now()
	c.edge.visit(200)
	s.inSync("sluice-1", 1)
	if n := s.reports()["sluice-0"].Proxies.Connected; n != 0 {
		t.Fatalf("the leader has %d proxies", n)
	}
	s.want("v2")
	c.history.settled(50)
	c.edge.serves(50)
	c.enjoyed()
	eventually(t, "the leader to be told", func() error {
		if n := c.replica.metric("sluice_lrs_told_replicas", ""); n != 1 {
			return fmt.Errorf("%v replicas tell it", n)
		}
		return nil
	})
	if n := len(s.tells("sluice-1")); n == 0 || n > 2000 {
		t.Errorf("the follower tells %d bytes", n)
	} else {
		t.Logf("the follower tells %d bytes", n)
	}
	if text := s.tells("sluice-0"); text != "" {
		t.Errorf("the leader tells %s", text)
	}

	bad := c.turnBad()
	last := c.safe()
	decided := c.history.first(bad, "the rollback", func(st *v1alpha1.RolloutStatus) bool { return st.Weight == 0 && st.Attempt == 1 })
	c.measured(bad, decided.at, last)
	c.over("HardFail")
	eventually(t, "the follower to have nothing to tell", func() error {
		if text := s.tells("sluice-1"); text != "" {
			return fmt.Errorf("it tells %s", text)
		}
		return nil
	})
	c.stableFine()
}

// tells is what the Lease of a replica says of its proxies' reports.
func (s *site) tells(replica string) string {
	s.t.Helper()
	lease := &coordinationv1.Lease{}
	if err := s.client.Get(s.t.Context(), client.ObjectKey{Namespace: s.system, Name: "sluice-replica-" + replica}, lease); err != nil {
		s.t.Fatal(err)
	}
	return lease.Annotations["sluice.dev/load-reports"]
}
