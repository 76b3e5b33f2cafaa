package up

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// process names a process for good: the start time tells it from a later one with the same number.
type process struct {
	PID     int    `json:"pid"`
	Started string `json:"started"`
}

// identify names the running process pid; the error says that there is none.
func identify(pid int) (process, error) {
	started, err := startTime(pid)
	return process{PID: pid, Started: started}, err
}

// alive reports whether the process still runs.
func (p process) alive() bool {
	if p.PID <= 0 {
		return false
	}
	now, err := startTime(p.PID)
	return err == nil && now == p.Started
}

// end asks the process to end and kills it after grace. One that has ended is no error.
func (p process) end(grace time.Duration) error {
	for _, step := range []struct {
		signal syscall.Signal
		wait   time.Duration
	}{{syscall.SIGTERM, grace}, {syscall.SIGKILL, grace}} {
		if !p.alive() {
			return nil
		}
		if err := syscall.Kill(p.PID, step.signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return os.NewSyscallError("kill", err)
		}
		if p.awaitEnd(step.wait) {
			return nil
		}
	}
	return errors.New("the process does not end")
}

func (p process) awaitEnd(limit time.Duration) bool {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for p.alive() {
		select {
		case <-deadline.C:
			return false
		case <-tick.C:
		}
	}
	return true
}
