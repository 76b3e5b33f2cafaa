// Package controller writes the status of Notifiers: whether they can send, what waits, and what was given up. It is the
// one place that does. It decides nothing about notes; the Worker of package notify sends them.
//
//	worker, err := controller.Setup(mgr, controller.Config{Guard: guard, Now: now, Settled: wake})
package controller
