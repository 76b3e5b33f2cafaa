package replicas

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/test/child"
	"github.com/sluice-dev/sluice/test/proxy"
)

// withoutEnd is a context that outlives the test's own, for what is done after it.
func withoutEnd(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), limit)
}

// sluice runs the command line as another process.
func (s *site) command(args ...string) *exec.Cmd {
	s.t.Helper()
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), asSluice+"=1")
	return cmd
}

// sluice runs a command to its end, and gives its exit code and what it says.
func (s *site) sluice(args ...string) (code int, out, errs string) {
	s.t.Helper()
	cmd := s.command(append(args, "--kubeconfig", s.kubeconfig)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	p, err := child.Start(cmd)
	if err != nil {
		s.t.Fatal(err)
	}
	limit := time.NewTimer(4 * patience)
	defer limit.Stop()
	select {
	case <-p.Done():
	case <-limit.C:
		s.t.Errorf("sluice %s does not end: %v", strings.Join(args, " "), p.Kill())
	}
	return cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()
}

// replica is a controller process.
type replica struct {
	t       *testing.T
	site    *site
	name    string
	xds     string
	metrics string
	health  string
	log     string
	more    []string
	process *child.Process
}

// replica starts a controller. One that still runs at the end of the test is stopped.
func (s *site) replica(name string, more ...string) *replica {
	s.t.Helper()
	return s.replicaAt(name, fmt.Sprintf("127.0.0.1:%d", proxy.FreePort(s.t)), more...)
}

// replicaAt is replica with the address at which it serves proxies.
func (s *site) replicaAt(name, xds string, more ...string) *replica {
	s.t.Helper()
	loopback := func() string { return fmt.Sprintf("127.0.0.1:%d", proxy.FreePort(s.t)) }
	r := &replica{t: s.t, site: s, name: name, xds: xds, metrics: loopback(), health: loopback(), more: more,
		log: filepath.Join(s.t.TempDir(), name+".log")}
	r.start()
	s.t.Cleanup(func() {
		if r.process.Ended() == nil {
			if err := r.process.Stop(2 * patience); err != nil {
				s.t.Errorf("stopping %s: %v", name, err)
			}
		}
		if s.t.Failed() {
			s.t.Logf("the end of the log of %s:\n%s", name, child.Tail(r.log, 6<<10))
		}
	})
	return r
}

// start starts the process and waits until it serves proxies.
func (r *replica) start() {
	r.t.Helper()
	out, err := os.OpenFile(r.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		r.t.Fatal(err)
	}
	defer out.Close()
	cmd := r.site.command(append([]string{"controller", "--kubeconfig", r.site.kubeconfig, "--system-namespace", r.site.system, "--replica", r.name,
		"--xds-addr", r.xds, "--metrics-addr", r.metrics, "--health-addr", r.health, "--hook-addr", "0", "--egress-allow-loopback",
		"--lease-duration", r.site.lease.String()}, append(slices.Clone(r.more), r.site.flags...)...)...)
	cmd.Stdout, cmd.Stderr = out, out
	if r.process, err = child.Start(cmd); err != nil {
		r.t.Fatal(err)
	}
	err = r.process.Await(patience, func() error {
		_, err := fetch("http://" + r.health + "/readyz")
		return err
	})
	if err != nil {
		r.t.Fatalf("starting %s: %v\n%s", r.name, err, child.Tail(r.log, 4<<10))
	}
}

// leads waits until the replica leads.
func (r *replica) leads() {
	r.t.Helper()
	eventually(r.t, r.name+" to lead", func() error {
		if r.metric("sluice_leader", "") != 1 {
			return errors.New("it does not")
		}
		return nil
	})
}

// kill ends the process without a word.
func (r *replica) kill() {
	r.t.Helper()
	if err := r.process.Kill(); err != nil {
		r.t.Fatal(err)
	}
}

// metric sums the samples of a metric whose labels contain a text.
func (r *replica) metric(name, labels string) float64 {
	r.t.Helper()
	body, err := fetch("http://" + r.metrics + "/metrics")
	if err != nil {
		r.t.Fatal(err)
	}
	sum := 0.0
	for lines := bufio.NewScanner(bytes.NewReader(body)); lines.Scan(); {
		sample, value, _ := strings.Cut(lines.Text(), " ")
		of, rest, _ := strings.Cut(sample, "{")
		if of != name || !strings.Contains(rest, labels) {
			continue
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			r.t.Fatalf("%s: %v", lines.Text(), err)
		}
		sum += v
	}
	return sum
}

// fetch gets a page; an answer other than 200 is an error.
func fetch(url string) ([]byte, error) {
	client := http.Client{Timeout: patience}
	resp, err := client.Get(url)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s: %.200s", url, resp.Status, body)
	}
	return body, err
}
