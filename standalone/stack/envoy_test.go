package stack

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/test/poll"
	"github.com/sluice-dev/sluice/test/proxy"
)

func openDir(t *testing.T) *Dir {
	t.Helper()
	dir, err := OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(EndEnvoy(dir), dir.Close()); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// startGateway starts or takes over the proxy of dir as a new process would; leave ends that process's care for it.
func startGateway(t *testing.T, dir *Dir, xds string) (e *envoy, leave func()) {
	t.Helper()
	log, err := os.OpenFile(filepath.Join(dir.path, "log", "test.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	s := &Stack{config: Config{Dir: dir, Envoy: proxy.Binary(t)}, doc: Document{XDS: xds}, log: log}
	if err := s.startEnvoy(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s.envoy, func() {
		s.envoy.cancel()
		<-s.envoy.done
	}
}

func TestStartEnvoy_takesOverTheOneLeftRunning(t *testing.T) {
	dir := openDir(t)
	first, leave := startGateway(t, dir, "127.0.0.1:15010")
	before := first.current()
	leave()
	if !before.Alive() {
		t.Fatal("Envoy does not outlive the process that started it")
	}
	second, leave := startGateway(t, dir, "127.0.0.1:15010")
	if got := second.current(); got != before {
		t.Errorf("the next run has %+v, want the one left running, %+v", got, before)
	}
	leave()

	third, _ := startGateway(t, dir, "127.0.0.1:15011")
	if got := third.current(); got.PID == before.PID || before.Alive() {
		t.Errorf("with another xDS address: got pid %d, old one alive %v; want a new Envoy", got.PID, before.Alive())
	}
	if err := third.stop(); err != nil || third.current().Alive() {
		t.Errorf("stop: %v, alive %v", err, third.current().Alive())
	}
}

func TestStartEnvoy_startsAnotherWhenItIsKilled(t *testing.T) {
	e, _ := startGateway(t, openDir(t), "127.0.0.1:15010")
	before := e.current()
	if err := before.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	err := poll.Until(15*time.Second, func() error {
		if now := e.current(); now.PID == before.PID || !now.Alive() {
			return errors.New("no other Envoy runs")
		}
		return e.awaitAdmin(t.Context())
	})
	if err != nil {
		t.Error(err)
	}
	if err := e.stop(); err != nil {
		t.Error(err)
	}
}

func TestStartEnvoy_saysWhereItsLogIsWhenItEndsAtOnce(t *testing.T) {
	dir := openDir(t)
	log, err := os.Create(dir.Path("log", "test.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	s := &Stack{config: Config{Dir: dir, Envoy: "/bin/false"}, doc: Document{XDS: "127.0.0.1:15010"}, log: log}
	if err := s.startEnvoy(t.Context()); err == nil {
		t.Error("a program that ends at once passes for an Envoy")
	}
}

func TestOpenDir_isHeldByOne(t *testing.T) {
	dir := openDir(t)
	if _, err := OpenDir(dir.path); !errors.Is(err, ErrHeld) {
		t.Errorf("a second one gets %v, want %v", err, ErrHeld)
	}
	if err := dir.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := OpenDir(dir.path)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

func TestProcess_isNotAliveUnderAnotherStartTime(t *testing.T) {
	self, err := Identify(os.Getpid())
	if err != nil || !self.Alive() {
		t.Fatalf("this process: %+v, %v", self, err)
	}
	self.Started += "0"
	if self.Alive() {
		t.Error("a process of another start time passes for this one")
	}
	if (Process{}).Alive() {
		t.Error("no process is alive")
	}
}

func TestPort_readsAddressesAndURLs(t *testing.T) {
	for text, want := range map[string]int{
		"": 7, "127.0.0.1:80": 80, "https://127.0.0.1:6443": 6443, "http://127.0.0.1:99/path": 99, "https://example.com/x": 7, "x:y": 7,
	} {
		if got := Port(text, 7); got != want {
			t.Errorf("%q: got %d, want %d", text, got, want)
		}
	}
}
