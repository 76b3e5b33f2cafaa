package poll_test

import (
	"errors"
	"strings"
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

func TestEnd_namesWhatDoesNotEnd(t *testing.T) {
	ended := make(chan error, 1)
	if err := poll.End(time.Millisecond, "the server", ended); err == nil || !strings.Contains(err.Error(), "the server") {
		t.Errorf("got %v, want an error that names the server", err)
	}
	ended <- errNotYet
	if err := poll.End(time.Minute, "the server", ended); !errors.Is(err, errNotYet) {
		t.Errorf("got %v, want what it ended with", err)
	}
	close(ended)
	if err := poll.End(time.Minute, "the server", ended); err != nil {
		t.Errorf("got %v of one that ended well", err)
	}
}
