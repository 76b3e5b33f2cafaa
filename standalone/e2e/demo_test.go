package e2e

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/test/child"
	"github.com/sluice-dev/sluice/test/poll"
	"github.com/sluice-dev/sluice/test/proxy"
)

// full is the program under test.
func full(t *testing.T) string {
	t.Helper()
	path := os.Getenv("SLUICE_FULL")
	if path == "" {
		root, err := child.Repository()
		if err != nil {
			t.Fatal(err)
		}
		path = filepath.Join(root, "bin", "full", "sluice")
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v; next: make build", err)
	}
	return path
}

// running is a demo in the middle of its first release, and the processes it has started.
type running struct {
	proc     *child.Process
	children []int
	state    string
	out      string // path of its output
}

func startDemo(t *testing.T) running {
	t.Helper()
	dir := t.TempDir()
	r := running{state: filepath.Join(dir, "state"), out: filepath.Join(dir, "out")}
	out, err := os.Create(r.out)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(full(t), "demo", "--plain", "--state", r.state, "--rps", "50")
	cmd.Env = append(os.Environ(), "SLUICE_ENVOY="+proxy.Binary(t))
	cmd.Stdout, cmd.Stderr = out, out
	if r.proc, err = child.Start(cmd); err != nil {
		t.Fatal(err)
	}
	err = poll.Until(90*time.Second, func() error {
		if err := r.proc.Ended(); err != nil {
			return err
		}
		if text := child.Tail(r.out, 64<<10); !strings.Contains(text, "weight 15 ACKed") {
			return fmt.Errorf("the first release has not begun:\n%s", text)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := poll.Until(5*time.Second, func() error { // a child moves to another thread when its own ends
		if r.children = childrenOf(t, r.proc.Pid()); len(r.children) < 4 {
			return fmt.Errorf("the demo has the children %v, want three versions of the service and Envoy at least", r.children)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return r
}

// childrenOf lists the child processes of pid.
func childrenOf(t *testing.T, pid int) []int {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil || len(threads) == 0 {
		t.Fatalf("reading the children of %d: %v", pid, err)
	}
	var out []int
	for _, path := range threads {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // a thread that has ended
		}
		for words := bufio.NewScanner(strings.NewReader(strings.ReplaceAll(string(text), " ", "\n"))); words.Scan(); {
			n, err := strconv.Atoi(words.Text())
			if err == nil {
				out = append(out, n)
			}
		}
	}
	return out
}

// gone waits until none of the processes runs. Zombies count as gone.
func gone(t *testing.T, pids []int) {
	t.Helper()
	err := poll.Until(15*time.Second, func() error {
		for _, pid := range pids {
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			if err == nil && !strings.Contains(string(stat), ") Z ") {
				return fmt.Errorf("process %d is left: %.80s", pid, stat)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestDemo_interruptedInTheMiddleLeavesNoProcess(t *testing.T) {
	t.Parallel()
	r := startDemo(t)
	if err := r.proc.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	select {
	case <-r.proc.Done():
	case <-time.After(2 * patience):
		t.Fatalf("still running long after the interrupt:\n%s", child.Tail(r.out, 4<<10))
	}
	text := child.Tail(r.out, 4<<10)
	if err := r.proc.Ended(); !strings.Contains(err.Error(), "exit status 130") {
		t.Errorf("got %v, want exit status 130\n%s", err, text)
	}
	if want := "demo: ended (exit 130): interrupted\n"; !strings.HasSuffix(text, want) {
		t.Errorf("last line: want %q, got\n%s", want, text)
	}
	gone(t, r.children)
	if _, err := os.Stat(filepath.Join(r.state, "kubeconfig")); err != nil {
		t.Errorf("the state of a demo that did not pass: got %v, want it kept", err)
	}
}

func TestDemo_killedLeavesNoProcess(t *testing.T) {
	t.Parallel()
	r := startDemo(t)
	if err := r.proc.Kill(); err != nil {
		t.Fatal(err)
	}
	gone(t, r.children)
}
