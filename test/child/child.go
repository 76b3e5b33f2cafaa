// Package child runs the real programs that tests need (Envoy, the API server) as child processes that cannot
// outlive the test: each is stopped by its own pid, and on Linux the kernel kills it when the test dies first.
package child

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/sluice-dev/sluice/test/poll"
)

// Process is a running child. Its methods may be called from any goroutine.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the child has ended and err is set
	err  error
}

// Start runs cmd. Output goes where cmd says; use files, so that nothing has to be read for the child to go on.
func Start(cmd *exec.Cmd) (*Process, error) {
	p := &Process{cmd: cmd, done: make(chan struct{})}
	dieWithParent(cmd)
	started := make(chan error)
	go func() {
		// The parent-death signal belongs to the thread that forks, so that thread stays until the child has ended.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", filepath.Base(cmd.Path), err)
	}
	return p, nil
}

// Pid is the process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done is closed when the child has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Ended gives an error that says how the child ended, nil while it runs.
func (p *Process) Ended() error {
	select {
	case <-p.done:
		return fmt.Errorf("%s (pid %d) ended: %v", filepath.Base(p.cmd.Path), p.Pid(), p.cmd.ProcessState)
	default:
		return nil
	}
}

// Await returns when ready gives nil, asked every 20 ms. It gives up when the child has ended, with how it ended, and
// after timeout, with the last error of ready.
func (p *Process) Await(timeout time.Duration, ready func() error) error {
	err := poll.Until(timeout, func() error {
		select {
		case <-p.done:
			return nil
		default:
			return ready()
		}
	})
	if ended := p.Ended(); ended != nil {
		return ended
	}
	return err
}

// Signal sends sig to the child. One that has ended is no error.
func (p *Process) Signal(sig os.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("sending %v to pid %d: %w", sig, p.Pid(), err)
	}
	return nil
}

// Stop asks the child to end with SIGTERM, kills it after grace, waits for its end and gives the error of its exit.
func (p *Process) Stop(grace time.Duration) error {
	if err := p.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
		return p.err
	case <-timer.C:
	}
	if err := p.Kill(); err != nil {
		return err
	}
	return fmt.Errorf("pid %d was killed: it did not end within %v", p.Pid(), grace)
}

// Kill ends the child with SIGKILL and waits for its end.
func (p *Process) Kill() error {
	if err := p.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.done
	return nil
}

// Repository gives the root of the checkout that the working directory is in: the directory with the root
// module's go.mod.
func Repository() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the repository: %w", err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && bytes.HasPrefix(mod, []byte("module github.com/sluice-dev/sluice\n")) {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no go.mod of github.com/sluice-dev/sluice above %s", start)
		}
	}
}

// Tail gives the last limit bytes of the file, for failure texts; a file that cannot be read gives the reason.
func Tail(path string, limit int) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	if len(data) > limit {
		data = data[len(data)-limit:]
	}
	return string(data)
}
