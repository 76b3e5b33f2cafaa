// Package invariant judges what was seen of a Rollout from outside: each status that was stored, what endpoints there were,
// what proxies ran, who answered requests, and which notes arrived. It imports nothing of the product: its rules are
// written anew, so that they and the engine can disagree. One log and one checker serve virtual worlds and real clusters.
//
//	c := invariant.New(2 * time.Second)
//	violations := c.Add(invariant.Event{At: at, Body: invariant.Stored{…}})
//	exercised := c.Exercised() // how often each was put to the test
//
// What it checks:
//
//	Sum        a stored weight is one of 0 to 100; what a proxy runs is a whole percent, and one that was stored
//	Capacity   a weight is raised only with half of the ready endpoints that its share of stable's would be, and one at least
//	Gate       a step is left upwards only with its gate, and none is left out but by a person
//	Attempt    a new attempt begins at weight 0 after weight 0, and takes over no gate
//	Absorbed   the weight of an attempt that has ended never rises; one that failed gets no request after a bounded time
//	WayBack    the weight does not drop while stable has no ready endpoint and the canary has one
//	Writer     the epoch never falls
//	Sequence   the sequence number rises one by one
//	Once       an action is consumed at one place
//	Notes      a transition has one note id for each receiver, and they arrive in order
//	Recreated  a new object inherits nothing
//
// What it leaves to others, since it cannot be seen in such a log: the order of resources and acknowledgements on a stream
// and that no version goes back in time (xds/server), that unknown data is no success (analysis), that every wait has an
// end and every transition is in the table (rollout, rollout/model), crash equivalence (rollout/controller's enumeration),
// that an unchanged world is left alone, what dead controllers leave behind (test/e2e/replicas), what Git may remove
// (gitsync), clocks (rollout/scenario), isolation between tenants and bounds (their packages' own tests).
package invariant
