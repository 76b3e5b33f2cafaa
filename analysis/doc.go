// Package analysis decides whether a canary is worse than stable, no worse, or not yet known to be either.
//
// It compares the two arms of a split inside windows of time, each window holding the requests and the bad
// requests of both. Evidence of harm and evidence of safety are e-processes: numbers that start at 1 and are not
// expected to grow while their null hypothesis holds, so that one may look after every window, for ever, and
// still be wrong no more often than promised. What is persisted between two looks is one Evidence.
//
// The package is pure: no I/O, no clock, no randomness. It never sets a weight and never waits; deadlines belong
// to rollout.Step. Missing, odd or too little data never leads to Promote, and by itself never to Rollback.
//
// A caller (rollout/controller, and sluice judge over recorded windows) does this for each look:
//
//	for _, q := range analysis.Queries(cfg, ev, moment, arms) {
//		series, err := querier.Series(ctx, q)                      // raw samples, or a Failure
//		reads = append(reads, analysis.Read{Metric: q.Metric, Series: series, Err: err})
//	}
//	batch := analysis.Collect(cfg, ev, moment, reads)              // closed windows, by Assemble
//	ev, report = analysis.Judge(cfg, ev, batch)                    // persist ev, then act on report
//
// A step whose weight is not settled yet is judged too (Moment.Settled zero): only the hard rules can speak then.
package analysis
