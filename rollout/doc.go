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
// A write that the server refuses is the caller's to notice: SayRefused tells of it, once in a step, by the transition
// StatusRefused from any phase to itself.
//
// # The table
//
// Open phases are Preparing, Shifting, Baking and Holding; Idle and RolledBack are rest. The first row that holds is
// taken; each makes at most one transition, which raises the sequence number by one. Elapsed times are observed
// time (see Clocks). "Due" means that the condition of row 29 holds. An action that is accepted always makes a
// transition, one that is refused never does.
//
//	row  phase            condition                                                  next                  reason
//	 1   any              the observation was made under another sequence number     same, look again
//	 2   open             this process braked the attempt                            RollingBack, fail     the brake's
//	 3   open             a person aborts, or rolls back                             RollingBack, fail     Aborted; ManualRollback
//	 4   open             a proxy rejected the configuration                         RollingBack, fail     DataPlaneRejected
//	 5   open             verdict Rollback                                           RollingBack, fail     the verdict's
//	 6   open             canary is sent requests, without a ready endpoint for 10 s RollingBack, fail     CanaryUnavailable
//	 7   Shifting         proxies enough for the convergence timeout, not settled    RollingBack, fail     ConvergenceTimeout
//	 8   open             the attempt took maxDuration, policy rollback              RollingBack, fail     DeadlineExceeded
//	 9   Holding          for capacity or proxies, weight > 0, for progressDeadline, RollingBack, fail     ProgressDeadlineExceeded
//	                      policy rollback
//	10   open             blind for blindAfter, policy rollback                      RollingBack, fail     BlindTimeout
//	11   Baking, Holding  no gate and none due at bake.max, or held for that         RollingBack, fail     InconclusiveTimeout
//	                      already; not blind, policy rollback
//	12   open             the object is being deleted; Git wants stable again; Git   RollingBack, leave    Deleted; Reverted;
//	                      wants another version or content (an undo: unless it                             Superseded
//	                      wants what is rejected)
//	13   open             a person retries                                           RollingBack, leave    Restarted
//	14   any              an action whose guard fails, or that cannot apply          same, refused
//	15   open             a person pauses; resumes; approves                         same                  ManualPause; Resumed;
//	                                                                                                       Approved
//	16   rest             the object is being deleted                                same, finalize
//	17   rest             a person rolls back, the former stable is warm and not     Preparing: undo,      AttemptStarted
//	                      rejected                                                   attempt+1
//	18   rest             what Git wants is unknown                                  same
//	19   Idle             nothing is stable yet, and the version's clusters resolve  Idle: adopted         Adopted
//	20   RolledBack       Git wants stable                                           Idle                  Reverted
//	21   Idle             Git wants stable with other content, or dryRun changed     Idle: taken over      StableChanged
//	22   rest             Git wants a rejected version, nobody retries; Idle, or not RolledBack            KnownRejected
//	                      yet noticed
//	23   rest             Git wants another version, not rejected or retried         Preparing: attempt+1  AttemptStarted
//	24   rest             the former stable's time is over, settled                  same, it is dropped   WarmDownEnded
//	25   Preparing        a dry run                                                  Baking                ObservationStarted
//	26   Preparing        nothing blocks step 1 (promoteFull: the last)              Shifting, enter       WeightRequested
//	27   Preparing;       blocked by problems, proxies or capacity for               same, told            ProgressDeadlineExceeded;
//	     Holding;         progressDeadline; the same where nothing is rolled back;                         NoProxies
//	     Shifting         too few proxies for the convergence timeout; once each
//	28   Shifting         settled, proxies enough                                    Baking                WeightProgrammed
//	29   Baking, Holding  no gate, but one is due: a person promotes (Override), or  the gate is recorded in the transition of
//	                      goes to a later step (Skipped); bake.min passed and        rows 32 to 34
//	                      verdict Promote (Pass); timeOnly or proven, bake.min
//	                      passed, neither blind nor suspicious (TimeOnly, Proven);
//	                      bake.max passed, policy promote and only requests lack
//	                      (Inconclusive)
//	30   Baking           no gate and none due at bake.max                           Holding               InconclusiveTimeout
//	31   Baking, Holding  no gate and none due; once a step each: blind for          same, told            Blind; WaitingForTraffic;
//	                      blindAfter; too few requests at bake.min; suspicious;                            Suspicious;
//	                      traffic not as asked                                                             TrafficMismatch
//	32   Baking, Holding  a gate, and something blocks what follows                  Holding (same when    the blocker's
//	                                                                                 held for it already
//	                                                                                 and nobody acts)
//	33   Baking, Holding  a gate of the last step                                    Idle: stable = canary Completed
//	34   Baking, Holding  a gate                                                     Shifting, enter       StepPassed
//	35   RollingBack      requests left, and stable has a ready endpoint, or canary  RollingBack, none     StableReady
//	                      has none, or nobody knows                                  left
//	37   RollingBack      requests left, and stable has no ready endpoint; once      same, told            StableEmpty
//	36   RollingBack      none left, and settled, or rendered and no proxy           RolledBack after a    RolledBack; Cleared;
//	                      connected for 5 s, or canary never raised, or the          failure, else Idle    RollbackUnconfirmed by
//	                      convergence timeout passed                                                       timeout
//
// fail decides the attempt as rolled back (or aborted), remembers the digest as rejected and takes weight, match and mirror
// from the canary. While stable has no ready endpoint and the canary has one, the decision stands at once but what the
// canary gets stays (traffic is never sent to nothing) until row 35. leave does the same without remembering. enter(k)
// takes step, weight, match and mirror of plan entry k. The plan is frozen when the attempt starts: editing steps later
// changes the next attempt. A dry run renders nothing and waits for no proxy, window or capacity. An undo waits for no
// pause of Git and no window, and like a version that was stable a short while ago has one step of 100 that counts time.
//
// Rows 2 to 11 stand before every refusal and wait, so nothing delays a rollback by even one Step. An action is decided on
// once: its uid stays in State.Consumed until the caller has seen that the action itself says so (Observation.Written).
// In Shifting the promoting verbs wait, in Preparing promote and skip, in RollingBack retry (see Due).
package rollout
