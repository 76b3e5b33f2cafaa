// Package proxy runs a real Envoy in a test: on free loopback ports, with the bootstrap that the test gives, and
// gone when the test is over. It knows nothing of what the proxy serves.
//
//	p := proxy.Start(t, bootstrap)  // JSON or YAML; admin on 127.0.0.1, port 0 for a free one
//	p.WaitLive(t)                   // the first configuration has arrived
//	dump := p.ConfigDump(t)
package proxy

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/test/child"
	"github.com/sluice-dev/sluice/test/poll"
)

const (
	startTimeout = 30 * time.Second
	stopGrace    = 30 * time.Second
	maxAnswer    = 64 << 20
)

// Proxy is a running Envoy.
type Proxy struct {
	Admin string // host:port of the administration interface

	process *child.Process
	client  http.Client
	logPath string
}

// Binary gives the Envoy to test with: SLUICE_ENVOY, else what make envoy has installed. Without one the test fails.
func Binary(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("SLUICE_ENVOY"); path != "" {
		return path
	}
	root, err := child.Repository()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(root, ".cache", "envoy", "bin", "envoy")
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("there is no Envoy to test with: %v\nnext: make envoy", err)
	}
	return path
}

// Start runs Envoy with the bootstrap, which is JSON or YAML, and returns when its administration interface answers.
// It is stopped at the end of the test; of a failed test the end of its log is shown.
func Start(t testing.TB, bootstrap []byte) *Proxy {
	t.Helper()
	return StartDraining(t, bootstrap, time.Second)
}

// StartDraining is Start with another time, in whole seconds, after which Envoy closes the connections of what it has
// replaced.
func StartDraining(t testing.TB, bootstrap []byte, drain time.Duration) *Proxy {
	t.Helper()
	binary, dir := Binary(t), t.TempDir()
	config := filepath.Join(dir, "bootstrap.yaml") // JSON is YAML
	if err := os.WriteFile(config, bootstrap, 0o600); err != nil {
		t.Fatal(err)
	}
	p := &Proxy{logPath: filepath.Join(dir, "envoy.log"), client: http.Client{Timeout: 30 * time.Second}}
	log, err := os.Create(p.logPath)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	adminFile := filepath.Join(dir, "admin")
	cmd := exec.Command(binary, "--config-path", config, "--admin-address-path", adminFile,
		"--disable-hot-restart", "--concurrency", "2", "--log-level", "warn", "--drain-time-s", strconv.Itoa(int(drain/time.Second)))
	cmd.Stdout, cmd.Stderr = log, log
	if p.process, err = child.Start(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Stop(t)
		if t.Failed() {
			t.Logf("the end of Envoy's log:\n%s", p.Log())
		}
	})
	if err := p.awaitAdmin(adminFile); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *Proxy) awaitAdmin(adminFile string) error {
	err := p.process.Await(startTimeout, func() error {
		addr, err := os.ReadFile(adminFile)
		if err != nil {
			return err
		}
		p.Admin = strings.TrimSpace(string(addr))
		_, err = p.Get("/server_info")
		return err
	})
	if err != nil {
		return fmt.Errorf("waiting for Envoy's administration interface: %w", err)
	}
	return nil
}

// Get asks the administration interface for path. An answer other than 200 is an error.
func (p *Proxy) Get(path string) ([]byte, error) {
	resp, err := p.client.Get("http://" + p.Admin + path)
	if err != nil {
		return nil, fmt.Errorf("asking Envoy's admin: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("reading Envoy's answer to %s: %w", path, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("envoy answers %s with %s: %.200s", path, resp.Status, body)
	}
	return body, nil
}

// WaitLive returns when Envoy has its first configuration and listens; /ready says LIVE then.
func (p *Proxy) WaitLive(t testing.TB) {
	t.Helper()
	err := poll.Until(startTimeout, func() error {
		_, err := p.Get("/ready")
		return err
	})
	if err != nil {
		t.Fatalf("waiting for Envoy to be live: %v", err)
	}
}

// ConfigDump gives the whole configuration that Envoy says it runs, endpoints included, as JSON.
func (p *Proxy) ConfigDump(t testing.TB) []byte {
	t.Helper()
	dump, err := p.Get("/config_dump?include_eds")
	if err != nil {
		t.Fatal(err)
	}
	return dump
}

// Pid is the process id of Envoy.
func (p *Proxy) Pid() int { return p.process.Pid() }

// Log gives the end of what Envoy has logged.
func (p *Proxy) Log() string { return child.Tail(p.logPath, 8<<10) }

// Stop ends Envoy by its pid and waits for its end. A second call does nothing.
func (p *Proxy) Stop(t testing.TB) {
	t.Helper()
	if p.process.Ended() != nil {
		return
	}
	if err := p.process.Stop(stopGrace); err != nil {
		t.Errorf("stopping Envoy: %v", err)
	}
}

// Kill ends Envoy with SIGKILL.
func (p *Proxy) Kill(t testing.TB) {
	t.Helper()
	if err := p.process.Kill(); err != nil {
		t.Error(err)
	}
}
