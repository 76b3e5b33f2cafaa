// Package scenario plays stories against the engine on virtual time: one replica that watches, stores and crashes, a
// fleet of proxies, endpoints, a Git that changes its mind, and a store that loses writes.
//
// A script is a text of blocks: commands, a line "----", what came out, a blank line. After each command Step runs
// until nothing changes; output is a line per stored transition, "seq from > to reason details", and one per fault.
// Every step is held against rollout.Check, and a violation ends the play. Lines that begin with # are comments.
//
//	spec k=v...                 steps=15,50,100 bake.min=5m bake.max=30m onInconclusive=pause|promote|rollback
//	                            onBlind=hold|rollback blindAfter=10m paused=true initialStable=v1 capacity.minReady=1
//	                            capacity.ratio=50 convergence.minProxies=1 convergence.timeout=60s progressDeadline=10m
//	                            maxDuration=168h onDeadline=rollback|pause warmDown=10m historyLimit=10
//	                            rollbackWindow.versions=1 rollbackWindow.maxAge=1h previewHost=next dryRun=true
//	                            affinity=cookie|header:NAME|none; of the step n: steps.n.name= .min= .max= .promotion=
//	                            .metrics=a,b .pause=open|10m|none .approvals=2 .match=header:value,... .mirror=10
//	want NAME [digest=] [commit=]   Git asks for a version; "want unknown": nobody can say
//	delete                      the object is being deleted
//	proxies N; ack N; settle    N proxies are connected; N have the newest weight; all have, for a second
//	nack PROXY "text"; drop     a proxy rejects the newest weight; a proxy leaves
//	ready stable=N canary=N [after=9s]   endpoints, as seen after a time in which nobody looked; "ready unknown"
//	problem CODE...             what forbids raising; without a code: nothing
//	window open|closed|frozen [until=2h] [text=]   whether the time is one for raises
//	act VERB [by=] [if-attempt=] [if-revision=] [if-seq=] [step=] [override-window=true] [reason=] [id=]
//	                            a person's action; the same id again is the same action, seen in an old list
//	verdict V [reason=] [message=""]   what analysis says from now on, in this step of this attempt
//	windows n=425 bad=0 canary.n=75 canary.bad=3 [count=12] [dt=5s]   through the real Judge instead, in this attempt
//	loads n=85 bad=0 canary.n=15 canary.bad=8 [count=60] [objective=0.999]   the same by seconds that proxies report,
//	                            without any metric of Prometheus
//	tick 5m; jump ±1h           time passes, stopping at every wake; the wall clock alone is set
//	write conflict|lost|applied|refused [after=N] [crash=true]   the next write, or the one after N others: refused as made
//	                            of something old, never stored, stored with the answer lost, or, of a transition, refused
//	                            for good; the replica dies with it, and comes back
//	brake [REASON]; brake off   the API server is gone, and a failure with that reason was found; it is back
//	crash [down=10m]; takeover  the replica dies and comes back, or another takes over, knowing only what is stored
//	lag N; stale                the next read is N versions old; an observation of another state is offered
//	spec {…}; state {…}; clocks {…}; look {…}   as JSON, what a process elsewhere was asked, what it found stored, and what it
//	                            saw: it decides on that alone (see Tape)
//	notes                       puts out the notes since the last time
//	expect k=v...               phase weight step attempt seq outcome reason hold stable canary previous rejected managed
//	                            gates approvals consumed kind extra observe paused epoch clock final;
//	                            a missed expectation is an output line
//
// The package is pure: what a random walk needs of chance comes from its caller.
package scenario
