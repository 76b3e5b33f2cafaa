package cli_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/cli"
	"github.com/sluice-dev/sluice/test/poll"
)

// paper is an output that can be read while it is written.
type paper struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (p *paper) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *paper) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// sits runs the watch view of a rollout at a terminal.
func (d *desk) sits(t *testing.T, name string) (keys io.Writer, out *paper, ended <-chan int) {
	t.Helper()
	in, pipe := io.Pipe()
	t.Cleanup(func() { _ = pipe.Close() })
	out = &paper{}
	done := make(chan int, 1)
	go func() {
		done <- cli.Main(t.Context(), []string{"get", "rollout", name, "--watch", "--timeout", "5m", "--kubeconfig", d.kubeconfig, "-n", d.ns},
			cli.Streams{In: in, Out: out, Err: io.Discard, Live: true, Width: func() int { return 100 }}, cli.Build{})
	}()
	return pipe, out, done
}

func (p *paper) shows(t *testing.T, text string) {
	t.Helper()
	if err := poll.Until(20*time.Second, func() error {
		if !strings.Contains(p.String(), text) {
			return errors.New("no " + text + " in " + p.String())
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func exitOf(t *testing.T, ended <-chan int) int {
	t.Helper()
	select {
	case code := <-ended:
		return code
	case <-time.After(time.Minute):
		t.Fatal("the view does not end")
		return 0
	}
}

// TestGetWatch_aPersonRollsBackInTheView presses r and y, and the controller does it: the view ends by itself, and its last
// frame stays.
func TestGetWatch_aPersonRollsBackInTheView(t *testing.T) {
	d := newDesk(t)
	ro := d.put(t, "reviews", baking())
	keys, out, ended := d.sits(t, "reviews")
	out.shows(t, "quit")
	asked := d.decide(t, "reviews", v1alpha1.RolloutActionStatus{Result: v1alpha1.ActionAccepted, Message: "v2 serves"})
	press := func(key string) {
		if _, err := io.WriteString(keys, key); err != nil {
			t.Fatal(err)
		}
	}
	press("r")
	out.shows(t, "y/n")
	select {
	case spec := <-asked:
		t.Fatalf("%+v was asked for before it was confirmed", spec)
	default:
	}
	press("y")
	if spec := <-asked; spec.Verb != v1alpha1.ActionRollback || spec.IfAttempt != 2 || spec.Reason != "asked for in the watch view" || spec.Actor == "" {
		t.Errorf("asked for %+v", spec)
	}
	d.set(t, ro, rollingBack())
	d.set(t, ro, rolledBack())
	if code := exitOf(t, ended); code != 3 {
		t.Errorf("exit %d, want 3: it was rolled back", code)
	}
	text := out.String()
	if !strings.Contains(text, "RolledBack") || strings.Contains(text, "\x1b[?1049h") || strings.HasSuffix(strings.TrimSpace(text), "\x1b[2J") {
		t.Errorf("the last frame does not stay: %q", text)
	}
}

func TestGetWatch_qLeavesTheRolloutAsItIs(t *testing.T) {
	d := newDesk(t)
	d.put(t, "reviews", baking())
	keys, out, ended := d.sits(t, "reviews")
	out.shows(t, "quit")
	if _, err := io.WriteString(keys, "q"); err != nil {
		t.Fatal(err)
	}
	if code := exitOf(t, ended); code != 0 {
		t.Errorf("exit %d, want 0", code)
	}
	list := &v1alpha1.RolloutActionList{}
	if err := d.client.List(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	for _, a := range list.Items {
		if a.Namespace == d.ns {
			t.Errorf("%+v was asked for", a.Spec)
		}
	}
}
