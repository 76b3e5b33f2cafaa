package controller_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/rollout/controller"
	"github.com/sluice-dev/sluice/test/kube"
	"github.com/sluice-dev/sluice/xds/ir"
)

// loads are reports of proxies that send 100 requests a second, to three endpoints of the canary.
type loads struct {
	mu       sync.Mutex // guards all
	silent   bool
	share    uint64 // of the canary, in percent
	bad      uint64 // of ten of its requests
	answered bool   // requests are
	changed  chan struct{}
	followed int // how often somebody waited for the next second
}

func newLoads() *loads { return &loads{silent: true, answered: true, changed: make(chan struct{})} }

func (l *loads) set(change func(*loads)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(l)
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *loads) Reported() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.followed++
	return l.changed
}

func (l *loads) LoadsOf(clusters []string, since time.Time) []ir.Load {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.silent {
		return nil
	}
	var out []ir.Load
	for at := since.Truncate(time.Second).Add(time.Second); !at.Add(time.Second).After(time.Now()); at = at.Add(time.Second) {
		one := ir.Load{From: at, To: at.Add(time.Second), Proxies: 1}
		for _, name := range clusters {
			one.Cluster, one.Endpoints = name, nil
			one.Issued, one.OK, one.Failed = 100-l.share, 100-l.share, 0
			if name == "canary" {
				one.Issued, one.OK, one.Failed = l.share, l.share-l.share*l.bad/10, l.share*l.bad/10
				for id := range uint32(3) {
					one.Endpoints = append(one.Endpoints, ir.EndpointLoad{ID: id, OK: one.OK / 3, Failed: one.Failed / 3})
				}
			}
			out = append(out, one)
		}
	}
	return out
}

// TestLoads_rollBackWhileNoMetricCanBeRead: what proxies report is enough for a rollback, and not for a promotion.
func TestLoads_rollBackWhileNoMetricCanBeRead(t *testing.T) {
	w := newWorld(t)
	w.prom.set(func(p *prometheus) { p.blocks = make(chan struct{}) })
	w.loads.set(func(l *loads) { l.silent, l.share = false, 15 })
	w.run()
	w.rollout("v1")
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonStable)
	w.push("v2", "digest-v2")
	w.untilPhase(v1alpha1.PhaseBaking)
	w.loads.set(func(l *loads) { l.bad = 5 })
	ro := w.until("rolled back", func(ro *v1alpha1.Rollout) bool { return ro.Status.Outcome == v1alpha1.OutcomeRolledBack })
	w.untilReason("HardFail") // it is told after it is stored
	if ro.Status.Stable.Name != "v1" || ro.Status.Weight != 0 {
		t.Errorf("stable %s, weight %d", ro.Status.Stable.Name, ro.Status.Weight)
	}
}

// TestLoads_holdWhereTrafficIsNotAsAsked: a canary that gets a tenth of its share is not promoted, whatever its errors say.
func TestLoads_holdWhereTrafficIsNotAsAsked(t *testing.T) {
	w := newWorld(t)
	w.loads.set(func(l *loads) { l.silent, l.share = false, 5 })
	w.run()
	w.rollout("v1", func(ro *v1alpha1.Rollout) {
		ro.Spec.Steps[0].Bake = &v1alpha1.Bake{Min: v1alpha1.DurationOf(time.Hour)}
	})
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonStable)
	w.push("v2", "digest-v2")
	w.untilReason("TrafficMismatch")
	if ro := w.get(); ro.Status.Weight != 15 || ro.Status.Outcome == v1alpha1.OutcomeRolledBack {
		t.Errorf("weight %d, outcome %s: traffic that is not as asked is no fault of the version", ro.Status.Weight, ro.Status.Outcome)
	}
}

// proxies are the fleet with its reports.
func (w *world) proxies() controller.Fleet {
	return struct {
		*fleet
		*loads
	}{w.fleet, w.loads}
}

// untilReason waits until some transition was told with the reason.
func (w *world) untilReason(reason string) {
	w.t.Helper()
	kube.Eventually(w.t, patience, func() error {
		if got := w.reasons(); !slices.ContainsFunc(got, func(r string) bool { return strings.HasSuffix(r, " "+reason) }) {
			return fmt.Errorf("transitions %v, want one for %s", got, reason)
		}
		return nil
	})
}
