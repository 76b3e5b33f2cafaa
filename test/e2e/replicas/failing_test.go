package replicas

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/load"
	"github.com/sluice-dev/sluice/test/poll"
	"github.com/sluice-dev/sluice/xds/bootstrap"
)

const takeover = 5 * time.Second // that a rollback may take longer when the leader dies

var shortLease = flag.Duration("lease", 6*time.Second, "with which this package's replicas run, unless they are many")

// TestTakeover_rollsBackWhenTheLeaderDies kills the leader at the moment at which the canary begins to fail, before it can
// have judged that. Another of the three replicas takes over, sees it, and goes back: within the time of the lease and five
// seconds nobody is sent to the canary any more.
func TestTakeover_rollsBackWhenTheLeaderDies(t *testing.T) {
	s := open(t, 3)
	s.crowd()
	var all []*replica
	for i := range 3 {
		all = append(all, s.replica(fmt.Sprintf("sluice-%d", i)))
		all[0].leads()
	}
	h := s.follow()
	var edges []*edge
	for i := range all { // each replica hears of one gateway what it sees
		edges = append(edges, s.edge(i, front(t, all[i].xds, all[(i+1)%3].xds, all[(i+2)%3].xds), bootstrap.TLS{}))
	}
	s.apply(s.rollout(time.Second, stays))
	h.adopted()
	began := time.Now()
	for _, e := range edges {
		e.visit(60)
	}
	s.want("v2")
	h.settled(50)
	for _, e := range edges {
		e.serves(50)
	}
	good := time.Now()
	eventually(t, "users of v2", func() error {
		for _, e := range edges {
			if n := e.users.Record().Tally(good, time.Time{}).Requests("v2"); n < 50 {
				return fmt.Errorf("%d requests through %s", n, e.node)
			}
		}
		return nil
	})

	s.broken.Store(true)
	all[0].kill()
	bad := time.Now()
	last := bad
	err := poll.Until(2*patience, func() error {
		for _, e := range edges {
			if met, found := e.users.Record().Last(bad, time.Time{}, load.Of("v2")); found && met.Start.After(last) {
				last = met.Start
			}
		}
		if quiet := time.Since(last); quiet < time.Second {
			return fmt.Errorf("the last user met the canary %v ago", quiet)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	decided := h.first(bad, "the rollback", func(st *v1alpha1.RolloutStatus) bool { return st.Weight == 0 && st.Attempt == 1 })
	took := last.Sub(bad)
	t.Logf("the rollback is stored %v after the leader was killed, the last user met the canary after %v (lease %v)",
		decided.at.Sub(bad).Round(time.Millisecond), took.Round(time.Millisecond), *shortLease)
	if took > *shortLease+takeover+busy {
		t.Errorf("users met the failing canary for %v, want %v", took, *shortLease+takeover)
	}
	end := h.first(bad, "the end", func(st *v1alpha1.RolloutStatus) bool { return st.Phase == v1alpha1.PhaseRolledBack }).status
	if len(end.Rejected) != 1 || end.Rejected[0].Digest != "v2" {
		t.Errorf("rejected %+v", end.Rejected)
	}
	for _, e := range edges {
		if n := e.users.Record().Tally(began, time.Time{}).FailedBut("v2"); n != 0 {
			t.Errorf("%d requests through %s failed that v2 did not answer", n, e.node)
		}
	}
	h.eachStepOnce()
}
