// Package poll waits in tests: for a condition that another process or goroutine makes true, with a deadline.
// It never sleeps blindly and never decides anything; test support and tests call it.
//
//	err := poll.Until(5*time.Second, func() error { return ready() })
package poll

import (
	"fmt"
	"time"
)

const interval = 20 * time.Millisecond

// Until calls cond at once, and then every 20 ms, until it gives nil or the timeout has passed. The error it then
// returns wraps the last one of cond. A cond that blocks must have its own bound.
func Until(timeout time.Duration, cond func() error) error {
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		err := cond()
		if err == nil {
			return nil
		}
		select {
		case <-deadline.C:
			return fmt.Errorf("still not after %v: %w", timeout, err)
		case <-tick.C:
		}
	}
}
