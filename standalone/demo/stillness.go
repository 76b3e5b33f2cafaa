package demo

import (
	"context"
	"sync"
	"time"
)

// beat is how often a machine is asked whether it goes on.
const beat = 20 * time.Millisecond

// watchMachine measures for how long at most this process got no turn, until the function it gives is called, which gives that.
// A moment that came late by so much may be the machine's, which others use too.
func watchMachine(ctx context.Context, now func() time.Time) (stop func() time.Duration) {
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	longest := time.Duration(0)
	watching.Go(func() {
		tick := time.NewTimer(beat)
		defer tick.Stop()
		for last := now(); ; {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			at := now()
			longest = max(longest, at.Sub(last)-beat)
			last = at
			tick.Reset(beat)
		}
	})
	return func() time.Duration {
		cancel()
		watching.Wait()
		return longest
	}
}
