// Package fault stands between clients and the real API server and lets single requests go wrong: the k-th write of one
// kind is lost, or applied without a reply, refused, held, or comes late. It knows nothing of what the clients do, works
// for the program as released, and writes down every write that passes.
//
//	p := fault.Start(t, cfg)
//	door := p.Open("leader")                             // one per process
//	rule := p.Add(fault.Rule{Match: fault.Key{Verb: "patch", Resource: "rollouts.sluice.dev", Subresource: "status"}, Nth: 3,
//		Mode: fault.Applied, Kill: true})
//	run(door.Config())
//	<-rule.Fired()
//
// Clients reach a door by plain HTTP on loopback; the proxy's own credentials are used behind it.
package fault
