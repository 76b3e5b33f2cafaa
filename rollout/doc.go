// Package rollout is the engine that moves one service from its stable version to the one Git wants, in steps.
//
// It decides what the next state of a rollout is, and nothing else: Step is a total function of the spec, the state
// that was stored, what was observed and the time. It never does I/O, reads no clock and starts no goroutine. A caller
// (rollout/controller, rollout/scenario) observes, calls Step, holds the result against Check and stores the new
// state in one conditional write before anything follows from it.
//
//	next, acts := rollout.Step(spec, st, obs, now)
//	if err := rollout.Check(spec, st, next, obs, now); err == nil && acts.Transition != nil {
//		// store next, then announce acts.Transition
//	}
//
// # The table
//
// Open phases are Preparing, Shifting, Baking and Holding; Idle and RolledBack are rest. The first row that holds is
// taken; each makes at most one transition, which raises the sequence number by one. Elapsed times are observed
// time (see Clocks). "Due" means that the condition of row 18 holds.
//
//	row  phase            condition                                                  next                  reason
//	 1   any              the observation was made under another sequence number     same, look again
//	 2   open             a proxy rejected the configuration                         RollingBack, fail     DataPlaneRejected
//	 3   open             verdict Rollback                                           RollingBack, fail     the verdict's
//	 4   open             weight > 0 and no ready canary endpoint for 10 s           RollingBack, fail     CanaryUnavailable
//	 5   Shifting         proxies enough for the convergence timeout, not settled    RollingBack, fail     ConvergenceTimeout
//	 6   open             the attempt took maxDuration, policy rollback              RollingBack, fail     DeadlineExceeded
//	 7   Holding          for capacity or proxies, weight > 0, for progressDeadline, RollingBack, fail     ProgressDeadlineExceeded
//	                      policy rollback
//	 8   open             blind for blindAfter, policy rollback                      RollingBack, fail     BlindTimeout
//	 9   Baking           no gate and none due at bake.max, not blind, policy        RollingBack, fail     InconclusiveTimeout
//	                      rollback
//	10   open             the object is being deleted; Git wants stable again; Git   RollingBack, leave    Deleted; Reverted;
//	                      wants another version or content                                                 Superseded
//	11   Preparing        nothing blocks step 1                                      Shifting, enter       WeightRequested
//	12   Preparing        blocked by problems, proxies or capacity for               same, told            ProgressDeadlineExceeded
//	                      progressDeadline, once
//	13   Shifting         settled, proxies enough                                    Baking                WeightProgrammed
//	14   Shifting         too few proxies for the convergence timeout, once          same, told            NoProxies
//	15   Baking           no gate and none due at bake.max                           Holding               InconclusiveTimeout
//	16   Baking, Holding  no gate and none due; once a step each: blind for          same, told            Blind; WaitingForTraffic;
//	                      blindAfter; too few requests at bake.min; suspicious;                            Suspicious;
//	                      traffic not as asked                                                             TrafficMismatch
//	17   Baking, Holding  no gate and none due, otherwise                            same
//	18   Baking, Holding  no gate, but one is due: bake.min passed and verdict       the gate is recorded in the transition of
//	                      Promote (Pass); timeOnly, bake.min passed and neither      rows 19 to 21
//	                      blind nor suspicious (TimeOnly); bake.max passed, policy
//	                      promote and only requests lack (Inconclusive)
//	19   Baking, Holding  a gate, and something blocks what follows                  Holding (same when    the blocker's
//	                                                                                 held for it already)
//	20   Baking, Holding  a gate of the last step                                    Idle: stable = canary Completed
//	21   Baking, Holding  a gate                                                     Shifting, enter       StepPassed
//	22   RollingBack      weight > 0, and stable has a ready endpoint, or canary     RollingBack, weight 0 StableReady
//	                      has none, or nobody knows
//	23   RollingBack      weight 0, and settled, or rendered and no proxy            RolledBack after a    RolledBack; Cleared;
//	                      connected for 5 s, or canary never raised, or the          failure, else Idle    RollbackUnconfirmed by
//	                      convergence timeout passed                                                       timeout
//	24   rest             the object is being deleted                                same, finalize
//	25   rest             what Git wants is unknown                                  same
//	26   Idle             nothing is stable yet, and the version's clusters resolve  Idle: adopted         Adopted
//	27   RolledBack       Git wants stable                                           Idle                  Reverted
//	28   Idle             Git wants stable with other content                        Idle: taken over      StableChanged
//	29   rest             Git wants a rejected version; Idle, or not yet noticed     RolledBack            KnownRejected
//	30   rest             Git wants another version, not rejected                    Preparing: attempt+1  AttemptStarted
//	31   rest             the former stable's time is over, settled                  same, it is dropped   WarmDownEnded
//
// fail decides the attempt as rolled back, remembers the digest as rejected and takes the canary to weight 0. While
// stable has no ready endpoint and the canary has one, the decision stands at once but the weight stays (traffic is
// never sent to nothing) until row 22. leave does the same without remembering. enter(k) takes step and
// weight of plan entry k. The plan is frozen when the attempt starts: editing steps later changes the next attempt.
//
// Rows 2 to 9 stand before every wait, so nothing delays a rollback by even one Step.
package rollout
