package demo

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestWatchMachine_findsTheLongestStillness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, asked := time.Now(), 0
		stop := watchMachine(t.Context(), func() time.Time { // the fourth look comes 700 ms late
			if asked++; asked >= 4 {
				return time.Now().Add(700 * time.Millisecond)
			}
			return time.Now()
		})
		timer := time.NewTimer(time.Second)
		<-timer.C
		if got := stop(); got != 700*time.Millisecond {
			t.Errorf("got %v after %v, want 700ms", got, time.Since(start))
		}
	})
}
