package stack

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/sluice-dev/sluice/standalone/file"
	"github.com/sluice-dev/sluice/standalone/prom"
	"github.com/sluice-dev/sluice/xds/bootstrap"
	"github.com/sluice-dev/sluice/xds/ir"
)

const (
	envoyReady   = 60 * time.Second
	envoyStop    = 10 * time.Second
	envoyLook    = 500 * time.Millisecond
	envoyRestart = time.Second // between the end of an Envoy and the next one
)

// The one proxy, and the file that says how the next run finds it.
const (
	gatewayName      = "gateway-1"
	gatewayNamespace = "default"
	recordFile       = "envoy.json"
)

// envoyRecord is envoy.json: how the next run finds the Envoy of this one.
type envoyRecord struct {
	Process
	Admin string `json:"admin"` // host:port
	Sum   string `json:"sum"`   // over program and bootstrap; another one needs another Envoy
}

// envoy keeps one Envoy running.
type envoy struct {
	program   string
	config    string // path of the bootstrap
	record    string // path of envoy.json
	output    string // path of its log
	ephemeral bool
	log       *slog.Logger

	cancel context.CancelFunc
	done   chan struct{} // closed when watch has returned

	mu  sync.Mutex // guards now
	now envoyRecord
}

// startEnvoy takes over the Envoy that an earlier run has left when it is the right one, else starts one, and has it
// scraped.
func (s *Stack) startEnvoy(ctx context.Context) error {
	dir := s.config.Dir
	var left envoyRecord
	if err := file.ReadJSON(dir.Path(recordFile), &left); err != nil {
		return err
	}
	if s.config.Envoy == "" {
		text, err := s.bootstrap("")
		if err != nil {
			return err
		}
		return errors.Join(file.Write(dir.Path(BootstrapFile), text), left.End(envoyStop))
	}
	e := &envoy{
		program: s.config.Envoy, config: dir.Path(BootstrapFile), record: dir.Path(recordFile),
		output: dir.Path("log", "envoy.log"), ephemeral: s.config.Ephemeral, log: s.logger("envoy"),
	}
	admin := left.Admin
	if !left.Alive() {
		chosen, err := choose(Port(left.Admin, portAdmin))
		if err != nil {
			return err
		}
		defer chosen.release() // Envoy listens, or never will
		admin = chosen.text
	}
	text, err := s.bootstrap(admin)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(append([]byte(e.program+"\n"), text...))
	e.now = envoyRecord{Admin: admin, Sum: hex.EncodeToString(sum[:])}
	if err := e.begin(ctx, left, text); err != nil {
		return err
	}
	s.envoy, s.doc.EnvoyAdmin = e, admin
	if s.prometheus != nil {
		s.prometheus.Targets(prom.Target{Address: admin, Labels: map[string]string{"proxy": gatewayName}})
	}
	return nil
}

// bootstrap gives the file that the gateway proxy starts with.
func (s *Stack) bootstrap(admin string) ([]byte, error) {
	labels := s.config.Gateway
	if len(labels) == 0 {
		labels = map[string]string{"istio": "ingressgateway"}
	}
	return bootstrap.JSON(bootstrap.Options{
		Kind: ir.KindGateway, ID: gatewayName, Namespace: gatewayNamespace, Labels: labels, XDS: s.doc.XDS, Admin: admin,
	})
}

// EndEnvoy ends the Envoy that a killed process has left running with this state, if there is one.
func EndEnvoy(dir *Dir) error {
	var left envoyRecord
	if err := file.ReadJSON(dir.Path(recordFile), &left); err != nil {
		return err
	}
	return left.End(envoyStop)
}

func (e *envoy) begin(ctx context.Context, left envoyRecord, text []byte) error {
	if left.Alive() && left.Sum == e.now.Sum {
		e.now = left
		e.log.Info("envoy taken over", "pid", left.PID)
	} else {
		if err := left.End(envoyStop); err != nil {
			return fmt.Errorf("ending the Envoy of the last run: %w", err)
		}
		if err := file.Write(e.config, text); err != nil {
			return err
		}
		if err := e.launch(); err != nil {
			return err
		}
	}
	if err := e.awaitAdmin(ctx); err != nil {
		return errors.Join(err, e.current().End(envoyStop))
	}
	watch, cancel := context.WithCancel(context.WithoutCancel(ctx))
	e.cancel, e.done = cancel, make(chan struct{})
	go e.watch(watch)
	return nil
}

// launch starts the program and writes down which process it is. Unless it is ephemeral it has a session of its own:
// neither a signal to this process's group nor the end of this process reaches it.
func (e *envoy) launch() error {
	log, err := os.OpenFile(e.output, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(e.program, "--config-path", e.config, "--disable-hot-restart", "--concurrency", "2", "--log-level", "warn")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if e.ephemeral {
		dieWithParent(cmd)
	}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // the parent-death signal belongs to the thread that forks
		err := cmd.Start()
		started <- err
		if err == nil {
			err = cmd.Wait()
			e.log.Info("envoy ended", "pid", cmd.Process.Pid, "state", cmd.ProcessState.String(), "err", err)
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("starting Envoy: %w", err)
	}
	p, err := Identify(cmd.Process.Pid)
	if err != nil {
		return fmt.Errorf("envoy ended at once (its log: %s)", e.output)
	}
	e.mu.Lock()
	e.now.Process = p
	now := e.now
	e.mu.Unlock()
	return file.WriteJSON(e.record, now)
}

func (e *envoy) current() envoyRecord {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.now
}

// awaitAdmin returns when the administration interface answers.
func (e *envoy) awaitAdmin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, envoyReady)
	defer cancel()
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	now := e.current()
	for {
		_, err := get(ctx, "http://"+now.Admin+"/server_info")
		if err == nil {
			return nil
		}
		if !now.Alive() {
			return fmt.Errorf("envoy has ended (its log: %s)", e.output)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for Envoy: %w (its log: %s)", cmp.Or(err, ctx.Err()), e.output)
		case <-tick.C:
		}
	}
}

// watch starts Envoy anew whenever it has ended, until the context ends.
func (e *envoy) watch(ctx context.Context) {
	defer close(e.done)
	tick := time.NewTicker(envoyLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if e.current().Alive() {
			continue
		}
		e.log.Error("envoy is gone and is started anew", "pid", e.current().PID)
		select {
		case <-ctx.Done():
			return
		case <-time.After(envoyRestart):
		}
		if err := e.launch(); err != nil {
			e.log.Error("starting envoy", "err", err)
		}
	}
}

// stop ends Envoy for good.
func (e *envoy) stop() error {
	e.cancel()
	<-e.done
	if err := e.current().End(envoyStop); err != nil {
		return fmt.Errorf("stopping Envoy: %w", err)
	}
	return nil
}
