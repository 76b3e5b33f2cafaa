package child_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/test/child"
	"github.com/sluice-dev/sluice/test/poll"
)

func TestStop_endsTheChildByItsPid(t *testing.T) {
	p, err := child.Start(exec.Command("cat", "/dev/zero"))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Ended(); err != nil {
		t.Errorf("right after the start: got %v, want a running child", err)
	}
	if err := p.Stop(10 * time.Second); err == nil || !strings.Contains(err.Error(), "terminated") {
		t.Errorf("Stop: got %v, want the end by SIGTERM", err)
	}
	if err := syscall.Kill(p.Pid(), 0); err != syscall.ESRCH {
		t.Errorf("after Stop: signal 0 gives %v, want %v", err, syscall.ESRCH)
	}
}

func TestStop_killsAChildThatIgnoresTheRequest(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "armed")
	p, err := child.Start(exec.Command("sh", "-c", `trap '' TERM; echo x > "$0"; while :; do :; done`, mark))
	if err != nil {
		t.Fatal(err)
	}
	armed := poll.Until(10*time.Second, func() error {
		return exec.Command("test", "-s", mark).Run()
	})
	if armed != nil {
		t.Fatal(armed)
	}
	if err := p.Stop(50 * time.Millisecond); err == nil || !strings.Contains(err.Error(), "was killed") {
		t.Errorf("got %v, want that it was killed", err)
	}
	if p.Ended() == nil {
		t.Error("the child still runs")
	}
}

func TestStart_namesTheMissingProgram(t *testing.T) {
	_, err := child.Start(exec.Command(filepath.Join(t.TempDir(), "absent")))
	if err == nil || !strings.Contains(err.Error(), "starting absent") {
		t.Errorf("got %v, want the program's name", err)
	}
}
