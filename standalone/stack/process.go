package stack

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// Process names a process for good: the start time tells it from a later one with the same number.
type Process struct {
	PID     int    `json:"pid"`
	Started string `json:"started"` // as the system tells it
}

// Identify names the running process pid; the error says that there is none.
func Identify(pid int) (Process, error) {
	started, err := startTime(pid)
	return Process{PID: pid, Started: started}, err
}

// Alive reports whether the process still runs.
func (p Process) Alive() bool {
	if p.PID <= 0 {
		return false
	}
	started, err := startTime(p.PID)
	return err == nil && started == p.Started
}

// Signal sends sig to the process if it still runs.
func (p Process) Signal(sig syscall.Signal) error {
	if !p.Alive() {
		return nil
	}
	if err := syscall.Kill(p.PID, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return os.NewSyscallError("kill", err)
	}
	return nil
}

// End asks the process to end, kills it after grace, and waits for its end.
func (p Process) End(grace time.Duration) error {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if err := p.Signal(sig); err != nil {
			return err
		}
		if p.awaitEnd(grace) {
			return nil
		}
	}
	return errors.New("the process does not end")
}

func (p Process) awaitEnd(limit time.Duration) bool {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for p.Alive() {
		select {
		case <-deadline.C:
			return false
		case <-tick.C:
		}
	}
	return true
}
