package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/app"
	"github.com/sluice-dev/sluice/standalone/stack"
	"github.com/sluice-dev/sluice/test/child"
	"github.com/sluice-dev/sluice/test/load"
	"github.com/sluice-dev/sluice/test/poll"
	"github.com/sluice-dev/sluice/test/proxy"
)

// program is `sluice up` as a process of its own, which may be killed and started again.
type program struct {
	t       *testing.T
	path    string
	state   string
	envoy   string
	shop    *shop
	watcher client.WithWatch
	proc    *child.Process
	log     string
}

func startProgram(t *testing.T, sh *shop) *program {
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
	p := &program{t: t, path: path, state: t.TempDir(), envoy: proxy.Binary(t), shop: sh, log: filepath.Join(t.TempDir(), "up.log")}
	p.start()
	t.Cleanup(func() {
		if err := p.proc.Stop(patience); err != nil {
			t.Errorf("stopping up: %v\n%s", err, child.Tail(p.log, 4<<10))
		}
	})
	return p
}

// start runs up and waits until it says where everything is.
func (p *program) start() {
	p.t.Helper()
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer out.Close()
	began := app.Now()
	cmd := exec.Command(p.path, "up", p.shop.git.URL("shop"), "--path", "deploy", "--state", p.state, "--envoy", p.envoy, "-o", "json")
	cmd.Stdout, cmd.Stderr = out, out
	if p.proc, err = child.Start(cmd); err != nil {
		p.t.Fatal(err)
	}
	err = poll.Until(60*time.Second, func() error {
		if err := p.proc.Ended(); err != nil {
			return err
		}
		d, err := stack.ReadDocument(p.state)
		if err != nil {
			return err
		}
		if d.Process.PID != p.proc.Pid() || d.Repository == "" {
			return fmt.Errorf("up.json is of process %d, want %d", d.Process.PID, p.proc.Pid())
		}
		cfg, err := clientcmd.BuildConfigFromFlags("", d.Kubeconfig)
		if err != nil {
			return err
		}
		p.watcher, err = client.NewWithWatch(cfg, client.Options{Scheme: scheme()})
		p.shop.client = p.watcher
		return err
	})
	if err != nil {
		p.t.Fatalf("starting up: %v\n%s", err, child.Tail(p.log, 4<<10))
	}
	p.t.Logf("up after %v", app.Now().Sub(began).Round(10*time.Millisecond))
}

// killAndRestart ends the program without a word. Envoy has to serve on for a second alone.
func (p *program) killAndRestart(during string, users *load.Generator) {
	p.t.Helper()
	if err := p.proc.Kill(); err != nil {
		p.t.Fatal(err)
	}
	dead := app.Now()
	err := poll.Until(10*time.Second, func() error {
		if n := users.Record().Tally(dead, time.Time{}).Total; n < 50 {
			return fmt.Errorf("%d requests were answered while the program was dead", n)
		}
		return nil
	})
	if err != nil {
		p.t.Fatalf("killed during %s: %v", during, err)
	}
	p.start()
}

// killOnce does something and ends the program as soon as the API server tells of the phase, which may be over within milliseconds:
// a watch is told of each state that was stored, where who asks now and then finds some.
func (p *program) killOnce(phase v1alpha1.Phase, users *load.Generator, do func()) {
	p.t.Helper()
	w, err := p.watcher.Watch(p.t.Context(), &v1alpha1.RolloutList{}, client.InNamespace(p.shop.namespace))
	if err != nil {
		p.t.Fatal(err)
	}
	defer w.Stop()
	do()
	last, err := stored(w, phase)
	if err != nil {
		p.t.Fatalf("waiting for %s: %v, last seen: %s\n%s", phase, err, last, p.shop.sourceText())
	}
	p.killAndRestart(string(phase), users)
	for {
		next, err := stored(w, "")
		if err != nil {
			break
		}
		last = next
	}
	p.t.Logf("killed in %s: what was stored last was %s", phase, last)
}

// stored is the next phase that a watch of Rollouts tells of: that one, or any where none is given.
func stored(w watch.Interface, phase v1alpha1.Phase) (last v1alpha1.Phase, err error) {
	over := time.NewTimer(4 * patience)
	defer over.Stop()
	for {
		select {
		case e, more := <-w.ResultChan():
			ro, is := e.Object.(*v1alpha1.Rollout)
			if !more || !is {
				return last, fmt.Errorf("the watch ended: %+v", e)
			}
			if ro.Status == nil {
				continue
			}
			if last = ro.Status.Phase; phase == "" || last == phase {
				return last, nil
			}
		case <-over.C:
			return last, errors.New("it took too long")
		}
	}
}

func TestKill_inEveryPhaseTheStoryEndsTheSame(t *testing.T) {
	t.Parallel()
	sh := newShop(t, nil)
	sh.namespace = "default"
	sh.push("shop: first version", nil)
	p := startProgram(t, sh)
	sh.until("v1 adopted", 60*time.Second, func(st *v1alpha1.RolloutStatus) bool { return st.Stable.Name == "v1" && ready(st) })
	sh.answers("v1")
	users := sh.visit(300)
	start := app.Now()
	phase := func(want v1alpha1.Phase) func(*v1alpha1.RolloutStatus) bool {
		return func(st *v1alpha1.RolloutStatus) bool { return st.Phase == want }
	}

	sh.rollout.subset, sh.rollout.paused = "v2", true
	sh.push("reviews: v2, paused", nil)
	sh.until("Preparing", 40*time.Second, phase(v1alpha1.PhasePreparing))
	p.killAndRestart("Preparing", users)

	sh.rollout.paused = false
	p.killOnce(v1alpha1.PhaseShifting, users, func() { sh.push("reviews: go on", nil) })

	sh.until("Baking", 40*time.Second, phase(v1alpha1.PhaseBaking))
	sh.rollout.paused = true
	sh.push("reviews: pause", nil)
	p.killAndRestart("Baking", users)

	sh.until("Holding", 90*time.Second, phase(v1alpha1.PhaseHolding))
	p.killAndRestart("Holding", users)

	sh.rollout.paused = false
	sh.push("reviews: to the end", nil)
	done := sh.until("v2 promoted", 120*time.Second, func(st *v1alpha1.RolloutStatus) bool {
		return st.Stable.Name == "v2" && st.Phase == v1alpha1.PhaseIdle && ready(st)
	})
	p.killAndRestart("Idle", users)
	if ro := sh.until("Idle after the restart", 40*time.Second, ready); ro.Status.Attempt != done.Status.Attempt || ro.Status.Stable.Name != "v2" {
		t.Errorf("a restart at rest changed %s to %s", brief(done.Status), brief(ro.Status))
	}
	if n := users.Record().Tally(start, time.Time{}).FailedBut(nobody); n != 0 {
		t.Errorf("%d requests failed while the program was killed five times", n)
	}

	sh.versions["v3"].errors.Store(300)
	sh.rollout.subset = "v3"
	p.killOnce(v1alpha1.PhaseRollingBack, users, func() { sh.push("reviews: v3", nil) })
	back := sh.until("RolledBack", 40*time.Second, phase(v1alpha1.PhaseRolledBack))
	p.killAndRestart("RolledBack", users)
	sh.answers("v2")
	ro := sh.until("RolledBack after the restart", 40*time.Second, phase(v1alpha1.PhaseRolledBack))
	if ro.Status.Attempt != back.Status.Attempt || ro.Status.Seq != back.Status.Seq {
		t.Errorf("a restart after the rollback changed %s to %s", brief(back.Status), brief(ro.Status))
	}
	if n := users.Record().Tally(start, time.Time{}).FailedBut("v3"); n != 0 {
		t.Errorf("%d requests failed that v3 did not fail", n)
	}
}
