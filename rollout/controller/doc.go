// Package controller reconciles Rollouts: it observes, lets rollout.Step decide, stores the new state in one conditional
// status write, and only then says what happened.
//
// One pass over an object goes like this:
//
//	spec, state     from the object (stateOf is the inverse of what the write stores)
//	observation     what Git wants, the proxies, the endpoints, what stands in the way
//	report          analysis.Judge over what a query brought that was started earlier
//	Step, Check     rollout's
//	one PATCH       of status, with the resourceVersion that was read
//	then            events, the observer, the notes, the next pass
//
// Queries run beside the passes: a pass starts one when it is time for the next look and goes on; the answer wakes the
// next pass. So a slow Prometheus delays neither another Rollout nor a rollback for another reason.
//
// What is kept in memory saves work only: clocks and evidence since the last write, the resourceVersion of that write.
// A process that knows nothing goes on from the status alone. Weights are never read back from the mesh and nothing but
// the status is ever written, besides the object's finalizer.
package controller
