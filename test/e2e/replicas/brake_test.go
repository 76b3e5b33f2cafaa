package replicas

import (
	"testing"
	"time"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/fault"
)

// TestBrake_zeroWithoutTheAPIServer takes the API server away from a controller, then lets the canary fail: its users are
// safe before anything can be stored. When the server is back, that the version failed is the first thing it hears.
func TestBrake_zeroWithoutTheAPIServer(t *testing.T) {
	for _, tc := range []struct {
		name       string
		away, back func(*testing.T, *fault.Proxy, *fault.Door)
	}{
		{"silent", func(_ *testing.T, p *fault.Proxy, _ *fault.Door) { p.Silence() }, func(_ *testing.T, p *fault.Proxy, _ *fault.Door) { p.Resume() }},
		{"refused", func(_ *testing.T, _ *fault.Proxy, d *fault.Door) { d.Shut() }, func(t *testing.T, _ *fault.Proxy, d *fault.Door) { t.Helper(); d.Reopen(t) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := open(t, 1)
			way := fault.Start(t, s.config)
			door, kubeconfig := s.door(way, "sluice-0")
			c := s.canary(s.rollout(time.Second, stays), "--kubeconfig", kubeconfig)
			s.want("v2")
			c.history.settled(50)
			c.edge.serves(50)
			c.enjoyed()

			tc.away(t, way, door)
			bad := c.turnBad()
			last := c.safe()
			c.measured(bad, c.replica.logged("a rollback that is not stored yet brakes", "time"), last)
			if st := c.history.last(); st.Weight != 50 || st.Phase == v1alpha1.PhaseRollingBack {
				t.Errorf("while nothing can be stored: %s", brief(&st))
			}
			known := len(c.history.all())

			tc.back(t, way, door)
			returned := time.Now()
			c.over("HardFail")
			t.Logf("the end of the attempt is stored %v after the server is back", time.Since(returned).Round(time.Millisecond))
			first := c.history.all()[known].status
			if first.Phase != v1alpha1.PhaseRollingBack {
				t.Errorf("the first thing that was stored: %s", brief(&first))
			}
			c.stays(t)
			c.stableFine()
		})
	}
}
