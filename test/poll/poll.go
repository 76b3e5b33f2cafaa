// Package poll waits in tests: for a condition that another process or goroutine makes true, with a deadline.
// It never sleeps blindly and never decides anything; test support and tests call it.
//
//	err := poll.Until(5*time.Second, func() error { return ready() })
//	err := poll.End(5*time.Second, "the server", ended)
package poll

import (
	"fmt"
	"time"
)

const (
	interval = 20 * time.Millisecond
	slack    = 4 // a machine that tests share may be so many times slower than one that they have for themselves
)

// Until calls cond at once, and then every 20 ms, until it gives nil or time is over. The timeout says what is plenty on a
// machine that does nothing else; it is over after four times that, as no test fails because a machine is busy: how fast
// something is is measured, not waited for. The error wraps the last one of cond. A cond that blocks must have its own bound.
func Until(timeout time.Duration, cond func() error) error {
	timeout *= slack
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

// End gives what something ended with, as ended brings it. Where nothing comes the error names what was waited for; the timeout
// is as that of Until.
func End(timeout time.Duration, what string, ended <-chan error) error {
	timeout *= slack
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	select {
	case err := <-ended:
		return err
	case <-deadline.C:
		return fmt.Errorf("%s: no end after %v", what, timeout)
	}
}
