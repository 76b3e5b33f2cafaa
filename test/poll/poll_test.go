package poll_test

import (
	"errors"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/test/poll"
)

var errNotYet = errors.New("not yet")

func TestUntil_returnsWhenTheConditionHolds(t *testing.T) {
	calls := 0
	err := poll.Until(time.Minute, func() error {
		calls++
		if calls < 3 {
			return errNotYet
		}
		return nil
	})
	if err != nil || calls != 3 {
		t.Errorf("got error %v after %d calls, want none after 3", err, calls)
	}
}

func TestUntil_givesTheLastErrorAtTheDeadline(t *testing.T) {
	err := poll.Until(time.Millisecond, func() error { return errNotYet })
	if !errors.Is(err, errNotYet) {
		t.Errorf("got %v, want it to wrap %v", err, errNotYet)
	}
}
