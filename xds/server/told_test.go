package server

import (
	"testing"
	"time"
)

// TestLoads_aClusterThatIsToldTwiceCountsOnce: for the process that has the proxy, and for another one that judges.
func TestLoads_aClusterThatIsToldTwiceCountsOnce(t *testing.T) {
	t.Parallel()
	follower := startWith(t, Config{Now: time.Now, Process: "follower"})
	leader := startWith(t, Config{Now: time.Now, Process: "leader"})
	follower.publish(under(false))
	connect(t, follower.addr, "n1", false).send(ask{kind: clusters})
	proxy := report(t, follower.conn())
	proxy.send(able("n1"))
	proxy.next()
	before := counts("a", 5, 1)
	before.ClusterServiceName = "where its endpoints came from before"
	proxy.send(nil, counts("a", 10, 2), before, counts("a", 100, 100))
	follower.sum("a", 15, 3)
	leader.Hear("sluice-1", "follower", toldTo(t, follower.Server, "leader"))
	leader.sum("a", 15, 3)
}
