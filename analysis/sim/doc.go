// Package sim makes worlds of traffic and lets the real analysis judge them: what does a fault of this size cost, how
// long does it take to find, how often is a healthy version rolled back?
//
// It decides nothing about a canary. Its traffic becomes raw samples, as a metrics server would hold them, and those go
// through analysis.Queries, Collect and Judge like any others. Other tools' published decision rules stand beside it as
// Peers, to compare with. Chance comes from a seed that the caller gives: the same seed makes the same world.
//
//	trial := sim.Trial{World: sim.World{Rate: 100, Stable: 0.001, Canary: 0.01}, Config: analysis.Default(), Weight: 15}
//	outcome := trial.Run(seed)                  // one world
//	summary := sim.Summarise(outcomes)          // of many, by whatever order the caller ran them in
//
// sluice simulate and rollout/scenario are the callers.
package sim
