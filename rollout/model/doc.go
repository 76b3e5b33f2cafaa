// Package model searches all behaviours of the engine within bounds: the real rollout.Step, run by replicas that see old
// states, die between any two writes and take over from each other, over proxies that move, lag and reject, while people
// and Git ask for things and the API server goes away. Each write that is accepted is held against rules of its own, which
// know nothing of rollout.Check; and from every state found, the run without further faults must come to rest.
//
//	result := model.Search(model.Bounds{Replicas: 2, Proxies: 1, Commits: 1, Crashes: 1}, model.Mutant{})
//	if result.Violation != nil {
//		// result.Violation.Moves is a shortest way to it
//	}
//
// Time passes in ticks; limits of the spec are a few of them. States are kept relative to now and to the newest sequence
// number, and ages end at a bound, so that the space is finite. A Mutant breaks one thing, to show that the search would
// find it.
package model
