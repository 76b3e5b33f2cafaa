package controller

import (
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/sluice-dev/sluice/xds/ir"
)

// queued is a controller that nobody runs, with its queue and a thousand objects that are looked at because of load reports.
func queued(t *testing.T, fleet Fleet) (*Controller, priorityqueue.PriorityQueue[reconcile.Request]) {
	t.Helper()
	queue := priorityqueue.New[reconcile.Request](t.Name())
	t.Cleanup(queue.ShutDown)
	now := time.Unix(1_000_000, 0)
	c := &Controller{start: now, config: Config{Now: func() time.Time { return now }, Fleet: fleet}}
	if err := c.wake.start(t.Context(), queue); err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		m, _ := c.memories.of(named(i), types.UID(fmt.Sprint(i)))
		m.note(concern{loads: true, proxies: true, split: ir.Split{Key: named(i).String()}, facts: ir.SplitFacts{CanaryClusters: []string{fmt.Sprint(i)}}})
	}
	return c, queue
}

func named(i int) types.NamespacedName {
	return types.NamespacedName{Namespace: "shop", Name: fmt.Sprint(i)}
}

// answers is what proxies say of splits, by key.
type answers struct {
	Fleet
	of map[string]ir.Convergence
}

func (a answers) Convergence(key, _ string, _ uint64) ir.Convergence { return a.of[key] }

// TestWakeAll_letsThoseThatFailGoFirst: a hundred that fail among a thousand wait for none of these.
func TestWakeAll_letsThoseThatFailGoFirst(t *testing.T) {
	loads, convergence := reporting{failed: map[string]uint64{}}, answers{of: map[string]ir.Convergence{}}
	for i := range 1000 {
		convergence.of[named(i).String()] = ir.Convergence{Acked: 1}
		if i%10 == 0 {
			loads.failed[fmt.Sprint(i)] = failingAtAll
			convergence.of[named(i).String()] = ir.Convergence{Nacked: 1}
		}
	}
	for what, fleet := range map[string]Fleet{"reports": loads, "rejections": convergence} {
		t.Run(what, func(t *testing.T) {
			c, queue := queued(t, fleet)
			f := follower{matters: c.pulse(), first: c.fails}
			if what == "rejections" {
				f = follower{matters: always(c.moved), first: c.rejected}
			}
			c.wakeAll(t.Context(), f)
			for n := range 1000 {
				req, priority, _ := queue.GetWithPriority()
				var i int
				if _, err := fmt.Sscan(req.Name, &i); err != nil {
					t.Fatal(err)
				}
				if fails := i%10 == 0; fails != (n < 100) || fails != (priority == firstOfAll) || c.wake.pressing() != (n < 100) {
					t.Fatalf("%s came as number %d with priority %d, pressing: %v", req.Name, n, priority, c.wake.pressing())
				}
				c.wake.looking(req.NamespacedName)
				queue.Done(req)
			}
		})
	}
}

// TestReconcile_comesBackInTurn: whatever put an object first, its next look is one of many.
func TestReconcile_comesBackInTurn(t *testing.T) {
	c := &Controller{}
	c.fence = newFence(&c.config)
	c.fence.end()
	out, err := c.Reconcile(t.Context(), reconcile.Request{NamespacedName: named(1)})
	if err != nil || out.Priority == nil || *out.Priority != inTurn {
		t.Errorf("%+v, %v", out, err)
	}
}

// TestMemories_areListedOnce: each answer of a proxy goes through all of them, and copies none.
func TestMemories_areListedOnce(t *testing.T) {
	c, _ := queued(t, nil)
	if n := testing.AllocsPerRun(10, func() { c.memories.listed() }); n > 1 {
		t.Errorf("%v allocations for one list", n)
	}
	was := len(c.memories.listed())
	c.memories.forget(named(3))
	if is := len(c.memories.listed()); is != was-1 {
		t.Errorf("%d are listed after one of %d is gone", is, was)
	}
	c.memories.of(named(3), "new")
	if is := len(c.memories.listed()); is != was {
		t.Errorf("%d are listed after one came, want %d", is, was)
	}
}
