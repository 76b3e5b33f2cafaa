package controller

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/rollout"
)

// Times of the controller.
const (
	persistEvery = 15 * time.Second // evidence, clocks, deliveries, confirmations
	writeTimeout = 10 * time.Second
	readTimeout  = 2 * time.Second  // of what is not watched here, or not known to be: a pass waits no longer for it
	openTick     = time.Second      // how often an unsettled object is looked at when nothing happens
	restTick     = 1 * time.Minute  // and one at rest
	maxSteps     = 16               // transitions in one pass
	reconnect    = 30 * time.Second // how long proxies may take to come back to a process that has just started
)

// Controller reconciles Rollouts. Make it with New, then SetupWithManager.
type Controller struct {
	config   Config
	start    time.Time
	memories memories
	queries  queries
	wake     waker
}

// Wake makes the controller look at an object soon, such as when the outbox has results.
func (c *Controller) Wake(key types.NamespacedName) { c.wake.now(key) }

// New makes a controller.
func New(c Config) (*Controller, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	out := &Controller{config: c, start: c.Now()}
	out.queries = queries{querier: c.Querier, done: out.wake.now}
	return out, nil
}

// Reconcile looks at one object until nothing is left to do at once.
func (c *Controller) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	ro := &v1alpha1.Rollout{}
	if err := c.config.Client.Get(ctx, req.NamespacedName, ro); err != nil {
		if apierrors.IsNotFound(err) {
			c.gone(c.memories.forget(req.NamespacedName))
		}
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if m := c.remember(ro); m.behind(ro.ResourceVersion) {
		if c.config.Now().Sub(c.start)-m.wroteAt < openTick {
			return ctrl.Result{RequeueAfter: openTick}, nil // the newer version is on its way, and wakes us
		}
		var err error
		if ro, err = c.live(ctx, req.NamespacedName); err != nil { // the cache stands still, which stops nothing
			return ctrl.Result{}, client.IgnoreNotFound(err)
		}
	}
	ro = ro.DeepCopy()
	for range maxSteps {
		again, after, err := c.once(ctx, ro)
		if apierrors.IsConflict(err) || apierrors.IsInvalid(err) {
			if apierrors.IsInvalid(err) {
				c.config.Recorder.Eventf(ro, nil, eventType(true), "StatusRefused", "Write", "%s", short(err.Error(), 1000))
			}
			live, missing := c.live(ctx, req.NamespacedName)
			if missing != nil {
				return ctrl.Result{}, client.IgnoreNotFound(missing)
			}
			if apierrors.IsInvalid(err) && live.ResourceVersion == ro.ResourceVersion {
				return ctrl.Result{}, fmt.Errorf("writing status: %w", err)
			}
			ro = live
			continue
		}
		if err != nil || !again {
			return ctrl.Result{RequeueAfter: after}, err
		}
	}
	return ctrl.Result{RequeueAfter: time.Millisecond}, nil
}

// live reads an object from the server.
func (c *Controller) live(ctx context.Context, key types.NamespacedName) (*v1alpha1.Rollout, error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	ro := &v1alpha1.Rollout{}
	return ro, c.config.Live.Get(ctx, key, ro)
}

// remember gives the memory of an object; one that is new is shown to the outbox.
func (c *Controller) remember(ro *v1alpha1.Rollout) *memory {
	m, gone := c.memories.of(client.ObjectKeyFromObject(ro), ro.UID)
	c.gone(gone)
	if !m.shown && c.config.Outbox != nil {
		c.config.Outbox.Stored(ro.DeepCopy())
	}
	if !m.shown {
		m.shown, m.first = true, c.config.Now().Sub(c.start)
		if ro.Status != nil && ro.Status.Proxies != nil {
			m.proxies = int(ro.Status.Proxies.Connected)
		}
	}
	return m
}

// gone lets go of what is kept elsewhere of an object.
func (c *Controller) gone(uid types.UID) {
	if uid != "" && c.config.Outbox != nil {
		c.config.Outbox.Forget(uid)
	}
}

// once makes one pass. again says that the next one, over the object as it now is, should follow at once.
func (c *Controller) once(ctx context.Context, ro *v1alpha1.Rollout) (again bool, after time.Duration, err error) {
	p, err := c.see(ctx, ro)
	if err != nil {
		return false, openTick, c.unknownState(ctx, p, err)
	}
	if !p.want.Deleting && controllerutil.AddFinalizer(ro, v1alpha1.RolloutFinalizer) {
		return true, 0, c.patchFinalizer(ctx, ro, controllerutil.RemoveFinalizer)
	}
	report := p.trusted(p.judge())
	obs := p.observe(report)
	next, acts := rollout.Step(p.spec, p.state, obs, p.wallClock())
	if broken := rollout.Check(p.spec, p.state, next, obs, p.wallClock()); broken != nil {
		log.FromContext(ctx).Error(broken, "a step was refused", "phase", p.state.Phase.String(), "seq", p.state.Seq)
		next, acts = rollout.Fail(p.spec, p.state, obs, p.wallClock(), rollout.InvariantBroken)
	}
	if acts.Transition != nil && p.unjudged(report) && raises(p.state, next) {
		next, acts = p.state, p.patience()
	}
	if acts.Transition == nil {
		p.memory.watch = p.memory.watch.Seen(next, p.mono)
	}
	c.observeAcked(p)
	again, err = c.write(ctx, p, decision{observation: obs, next: next, actions: acts})
	if err != nil {
		return false, 0, err
	}
	if acts.Finalize && controllerutil.RemoveFinalizer(ro, v1alpha1.RolloutFinalizer) {
		return false, 0, c.patchFinalizer(ctx, ro, controllerutil.AddFinalizer)
	}
	return again, p.wait(acts), nil
}

// decision is what a pass came to.
type decision struct {
	observation rollout.Observation
	next        rollout.State
	actions     rollout.Actions
}

// write stores what is worth storing in one conditional patch, then lets everything follow that follows from it.
func (c *Controller) write(ctx context.Context, p *pass, d decision) (again bool, err error) {
	before := p.object.DeepCopy()
	status, err := p.status(ctx, d)
	if err != nil {
		return false, err
	}
	moved := d.actions.Transition != nil
	if !moved && !p.due(before.Status, status) {
		return false, nil
	}
	p.object.Status = status
	if err := c.patchStatus(ctx, p, before); err != nil {
		p.object.Status = before.Status
		return false, err
	}
	if moved {
		p.memory.watch = p.memory.watch.Seen(d.next, p.mono)
	}
	c.announce(p, d)
	return moved, nil
}

// patchStatus is the one place where a Rollout's status is written: what differs from before, if before is still what is
// stored.
func (c *Controller) patchStatus(ctx context.Context, p *pass, before *v1alpha1.Rollout) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := c.config.Client.Status().Patch(ctx, p.object, patch); err != nil {
		return err
	}
	p.memory.wrote, p.memory.wroteAt = p.object.ResourceVersion, p.mono
	return nil
}

// due reports that a status without a transition is to be written now: at once what people or the engine wait for,
// else what changed, but seldom.
func (p *pass) due(was, is *v1alpha1.RolloutStatus) bool {
	if was == nil {
		return true
	}
	if urgent(was, is) {
		return true
	}
	return p.mono-p.memory.wroteAt >= persistEvery && !equality.Semantic.DeepEqual(was, is)
}

func urgent(was, is *v1alpha1.RolloutStatus) bool {
	if was.ObservedGeneration != is.ObservedGeneration || was.SettledSeq != is.SettledSeq || len(is.Notes) > len(was.Notes) {
		return true
	}
	if len(was.Conditions) != len(is.Conditions) {
		return true
	}
	for i, c := range is.Conditions {
		if w := was.Conditions[i]; w.Type != c.Type || w.Status != c.Status || w.Reason != c.Reason {
			return true
		}
	}
	verdict := func(s *v1alpha1.RolloutStatus) string {
		if s.Analysis == nil {
			return ""
		}
		return s.Analysis.Verdict
	}
	return verdict(was) != verdict(is)
}

// wait is how long nothing needs to be looked at: until the engine's limit, the next look, or the end of settling.
func (p *pass) wait(acts rollout.Actions) time.Duration {
	out := restTick
	sooner := func(d time.Duration) { out = min(out, max(d, time.Millisecond)) }
	if !acts.Wake.IsZero() {
		sooner(acts.Wake.Sub(p.wallClock()))
	}
	if p.fleet.Done() && p.now.Before(p.fleet.SettledAt) {
		sooner(p.fleet.SettledAt.Sub(p.now))
	}
	if !p.state.Phase.Rest() || p.state.Stable.Name == "" {
		sooner(openTick)
	}
	if p.judging() && !p.memory.looking() { // what a look brings wakes the next pass
		sooner(p.tick() - (p.mono - p.memory.judged.at))
	}
	if s := p.object.Status; s != nil && len(s.Notes) > 0 {
		sooner(persistEvery)
	}
	return out
}

// patchFinalizer stores a change of the finalizers; undo takes the change back where it is to be computed from.
func (c *Controller) patchFinalizer(ctx context.Context, ro *v1alpha1.Rollout, undo func(client.Object, string) bool) error {
	before := ro.DeepCopy()
	undo(before, v1alpha1.RolloutFinalizer)
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	return client.IgnoreNotFound(c.config.Client.Patch(ctx, ro, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})))
}

func short(s string, limit int) string { return s[:min(len(s), limit)] }
