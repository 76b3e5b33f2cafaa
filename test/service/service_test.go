package service_test

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-dev/sluice/test/load"
	"github.com/sluice-dev/sluice/test/poll"
	"github.com/sluice-dev/sluice/test/service"
)

// asService makes the test binary the service, asParent a parent that starts the service and says its pid.
const (
	role      = "SLUICE_TEST_ROLE"
	asService = "service"
	asParent  = "parent"
)

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case asService:
		if err := service.Run(context.Background(), os.Stdin, os.Stdout, service.Config{Version: "v2", Endpoints: 3, Seed: 1}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case asParent:
		p, err := service.Start(context.Background(), command(asService))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(p.Pid())
		_, _ = io.Copy(io.Discard, os.Stdin)
	default:
		os.Exit(m.Run())
	}
}

func command(as string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), role+"="+as)
	cmd.Stderr = os.Stderr
	return cmd
}

func ask(t *testing.T, addr string) (version string, status int) {
	t.Helper()
	resp, err := http.Get("http://" + addr + "/reviews/1")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.Header.Get(load.VersionHeader), resp.StatusCode
}

func TestProcess_servesFailsAndEnds(t *testing.T) {
	t.Parallel()
	p, err := service.Start(t.Context(), command(asService))
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Endpoints) != 3 {
		t.Fatalf("endpoints: got %v, want 3", p.Endpoints)
	}
	for _, addr := range p.Endpoints {
		if version, status := ask(t, addr); version != "v2" || status != 200 {
			t.Errorf("%s: got %q, %d, want v2, 200", addr, version, status)
		}
	}
	if err := p.SetFault(t.Context(), service.Fault{Errors: 1}); err != nil {
		t.Fatal(err)
	}
	if version, status := ask(t, p.Endpoints[0]); version != "v2" || status != 500 {
		t.Errorf("while it fails: got %q, %d, want v2, 500", version, status)
	}
	if err := p.SetFault(t.Context(), service.Fault{}); err != nil {
		t.Fatal(err)
	}
	if version, status := ask(t, p.Endpoints[1]); version != "v2" || status != 200 {
		t.Errorf("mended: got %q, %d, want v2, 200", version, status)
	}
	if err := p.SetFault(t.Context(), service.Fault{Errors: 1.2}); err == nil {
		t.Error("a share above 100% was accepted")
	}
	if err := p.Stop(); err != nil {
		t.Errorf("Stop: got %v", err)
	}
	if err := syscall.Kill(p.Pid(), 0); err != syscall.ESRCH {
		t.Errorf("after Stop: signal 0 gives %v, want %v", err, syscall.ESRCH)
	}
	if err := p.SetFault(t.Context(), service.Fault{}); err == nil {
		t.Error("a process that has ended took a fault")
	}
}

func TestProcess_diesWithItsParent(t *testing.T) {
	t.Parallel()
	parent := command(asParent)
	stdin, err := parent.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscan(out, &pid); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); err != nil {
		t.Fatalf("the service does not run: %v", err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // says that it was killed
	if err := poll.Until(10*time.Second, func() error {
		// Nobody waits for an orphan but the system, so a zombie counts as ended.
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err == nil && !strings.Contains(string(stat), ") Z ") {
			return fmt.Errorf("the service %d outlives its parent", pid)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

func TestHandler_answersInLognormalTimeAndFailsItsShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := service.NewHandler("v3", 1)
		if err := h.SetFault(service.Fault{Errors: 0.2, Delay: 300, Share: 0.1}); err != nil {
			t.Fatal(err)
		}
		const n = 4000
		failed, late := 0, 0
		var logs float64
		for range n {
			start, w := time.Now(), httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
			took := time.Since(start)
			if took > 300*time.Millisecond {
				late++
				took -= 300 * time.Millisecond
			}
			logs += math.Log(took.Seconds() / 0.008)
			if w.Code == http.StatusInternalServerError {
				failed++
			}
			if got := w.Header().Get(load.VersionHeader); got != "v3" {
				t.Fatalf("version: got %q, want v3", got)
			}
		}
		near := func(what string, got, want, within float64) {
			if math.Abs(got-want) > within {
				t.Errorf("%s: got %.4f, want %.4f within %.4f", what, got, want, within)
			}
		}
		near("share of failures", float64(failed)/n, 0.2, 4*math.Sqrt(0.2*0.8/n))
		near("share of delays", float64(late)/n, 0.1, 4*math.Sqrt(0.1*0.9/n))
		near("log of the median time against 8 ms", logs/n, 0, 4*0.7/math.Sqrt(n))
	})
}
