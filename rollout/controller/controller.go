package controller

import (
	"context"
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/rollout"
	"github.com/sluice-dev/sluice/rollout/scenario"
)

// Times of the controller.
const (
	persistEvery = 15 * time.Second // evidence, clocks, deliveries, confirmations
	readTimeout  = 2 * time.Second  // Patience.Read: of what is not watched here, or not known to be: a pass waits no longer for it
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
	checks   checks
	freezes  freezes
	wake     waker
	fence    *fence
	brakes   holds
	tapes    tapes
	link     link
	account
}

// Wake makes the controller look at an object soon, such as when the outbox has results.
func (c *Controller) Wake(key types.NamespacedName) { c.wake.now(key) }

// New makes a controller.
func New(c Config) (*Controller, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	out := &Controller{config: c.defaulted(), start: c.Now(), account: account{meters: newMeters()}, freezes: newFreezes()}
	out.checks.check = out.config.CheckSource
	out.fence = newFence(&out.config)
	out.queries = queries{done: out.wake.now, harm: out.wake.first}
	return out, nil
}

// Reconcile looks at one object until nothing is left to do at once. Whatever brought it here, next time it comes in turn,
// unless a rollback could not be stored.
func (c *Controller) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	c.wake.looking(req.NamespacedName)
	out, err := c.look(ctx, req)
	out.Priority = ptr.To(c.memories.priority(req.NamespacedName))
	return out, err
}

func (c *Controller) look(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	if _, err := c.fence.take(ctx); err != nil {
		return ctrl.Result{}, ignoreFenced(err)
	}
	ro := &v1alpha1.Rollout{}
	if err := c.config.Client.Get(ctx, req.NamespacedName, ro); err != nil {
		if apierrors.IsNotFound(err) {
			return c.missing(ctx, req.NamespacedName), nil
		}
		return ctrl.Result{}, err
	}
	if m := c.remember(ro); m.behind(ro.ResourceVersion) {
		if c.config.Now().Sub(c.start)-m.wroteAt < openTick {
			return ctrl.Result{RequeueAfter: openTick}, nil // the newer version is on its way, and wakes us
		}
		live, err := c.live(ctx, req.NamespacedName) // the cache stands still, which stops nothing
		switch {
		case apierrors.IsNotFound(err):
			return ctrl.Result{}, nil
		case err == nil:
			ro = live
		default: // nor does a server that fell silent before the cache had what it stored
			ro = m.newest(ro)
		}
	} else {
		m.last = nil // the cache has it, or something newer
	}
	return c.repeat(ctx, ro)
}

// repeat makes passes over an object, which it may keep and change, until nothing is left to do at once. After a conflict
// everything is dropped, and the object read from the server.
func (c *Controller) repeat(ctx context.Context, ro *v1alpha1.Rollout) (ctrl.Result, error) {
	for range maxSteps {
		again, after, err := c.once(ctx, ro)
		switch {
		case err == nil && again && c.wake.pressing() && isBack(ro):
			return ctrl.Result{RequeueAfter: time.Millisecond}, nil // what is left of it waits until the others are at 0, too
		case err == nil && again:
		case err == nil:
			return ctrl.Result{RequeueAfter: after}, nil
		case errors.Is(err, errSilent):
			return ctrl.Result{RequeueAfter: openTick}, nil
		case apierrors.IsConflict(err), errors.Is(err, errRefused):
			live, missing := c.live(ctx, client.ObjectKeyFromObject(ro))
			if missing != nil {
				return ctrl.Result{}, client.IgnoreNotFound(missing)
			}
			if errors.Is(err, errRefused) && live.ResourceVersion != ro.ResourceVersion { // what was refused was made of something old
				c.remember(live).refusal = refusal{}
			}
			ro = live
		default:
			return ctrl.Result{}, ignoreFenced(err)
		}
	}
	return ctrl.Result{RequeueAfter: time.Millisecond}, nil
}

// isBack reports that an object's way back is stored.
func isBack(ro *v1alpha1.Rollout) bool {
	return ro.Status != nil && ro.Status.Phase == v1alpha1.PhaseRollingBack
}

// ignoreFenced is nil for an error that ends the whole process soon anyway.
func ignoreFenced(err error) error {
	if errors.Is(err, ErrFenced) {
		return nil
	}
	return err
}

// live reads an object from the server.
func (c *Controller) live(ctx context.Context, key types.NamespacedName) (*v1alpha1.Rollout, error) {
	ctx, cancel := context.WithTimeout(ctx, c.config.Lead.Patience.Read)
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
	if uid == "" {
		return
	}
	c.lost(uid)
	c.tapes.drop(uid)
	c.curves.drop(uid)
	if c.config.Outbox != nil {
		c.config.Outbox.Forget(uid)
	}
}

// once makes one pass. again says that the next one, over the object as it now is, should follow at once.
func (c *Controller) once(ctx context.Context, ro *v1alpha1.Rollout) (again bool, after time.Duration, err error) {
	if err := c.fence.met(ro.Status); err != nil {
		return false, 0, err
	}
	p, err := c.see(ctx, ro)
	if err != nil {
		return false, openTick, c.unknownState(ctx, p, err)
	}
	c.catchUp(ctx, p)
	d := c.decide(ctx, p)
	c.curves.see(p, d)
	p.memory.owed = d.owed
	if !c.mayWrite() {
		c.onlyBrake(ctx, p, d)
		c.tapes.add(p, d, false)
		return false, openTick, nil
	}
	if !isRollback(d) { // which waits for no other write
		if !p.want.Deleting && controllerutil.AddFinalizer(ro, v1alpha1.RolloutFinalizer) {
			return true, 0, c.patchFinalizer(ctx, ro, controllerutil.RemoveFinalizer)
		}
		c.answerActions(ctx, p)
	}
	if d.actions.Transition == nil {
		p.memory.watch = p.memory.watch.Seen(d.next, p.mono)
	}
	c.observeAcked(p)
	wrote := p.memory.wrote
	again, err = c.write(ctx, p, d)
	c.tapes.add(p, d, err == nil && p.memory.wrote != wrote)
	if err != nil {
		return false, 0, err
	}
	p.memory.owed = d.owed && !isRollback(d)
	if d.actions.Finalize && controllerutil.RemoveFinalizer(ro, v1alpha1.RolloutFinalizer) {
		err := c.patchFinalizer(ctx, ro, controllerutil.AddFinalizer)
		if err == nil {
			c.released(p)
		}
		return false, 0, err
	}
	return again, p.wait(d.actions), nil
}

// decide is what follows from what a pass saw. A brake that is on comes before everything else; what breaks a rule is
// thrown away and fails the attempt; what needs a verdict waits for the first one of this process; what the server has
// refused is not offered again at once.
func (c *Controller) decide(ctx context.Context, p *pass) decision {
	report := p.cautious(p.trusted(p.judge()))
	d := decision{observation: p.observe(report)}
	obs := d.observation
	if brake, on := c.braked(p); on {
		obs.Brake = &rollout.Brake{Attempt: brake.attempt, Reason: brake.reason, Text: brake.text}
		d.observation = obs
	}
	d.next, d.actions = rollout.Step(p.spec, p.state, obs, p.wallClock())
	if broken := rollout.Check(p.spec, p.state, d.next, obs, p.wallClock()); broken != nil {
		log.FromContext(ctx).Error(broken, "a step was refused", "seq", p.state.Seq)
		c.meters.violated(broken)
		p.broken = "a decision broke a rule and was thrown away: " + broken.Error()
		d.next, d.actions = rollout.Fail(p.spec, p.state, obs, p.wallClock(), rollout.InvariantBroken)
		d.how = scenario.ByFail
	}
	if d.actions.Transition != nil && (p.unjudged(report) || p.memory.pruned) && raises(p.state, d.next) {
		d.next, d.actions, d.withheld = p.state, p.patience(), true
	}
	out := p.offered(d)
	out.owed = isRollback(d)
	return out
}

// offered is a decision, or what is said of it if it was refused a short time ago: once that, then nothing.
func (p *pass) offered(d decision) decision {
	if d.actions.Transition == nil && d.actions.Consumed == nil || !p.memory.refusal.holds(p, d) {
		return d
	}
	if !p.memory.refusal.mute && d.actions.Transition != nil {
		obs := d.observation
		obs.Refused = problem.Clean(p.memory.refusal.text, maxRefusal)
		if next, said := rollout.SayRefused(p.spec, p.state, obs, p.wallClock()); said.Transition != nil {
			return decision{observation: obs, next: next, actions: said, says: true, how: scenario.BySayRefused}
		}
	}
	d.next, d.actions, d.withheld = p.state, p.patience(), true
	return d
}

// decision is what a pass came to.
type decision struct {
	observation rollout.Observation
	next        rollout.State
	actions     rollout.Actions
	says        bool // that another one was refused
	how         scenario.How
	withheld    bool // back: it is no decision
	owed        bool // it was to be a rollback, whether it is offered or not
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
		sooner(p.untilLook(&p.memory.judged))
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
	ctx, cancel := context.WithTimeout(ctx, c.config.Lead.Patience.Write)
	defer cancel()
	return client.IgnoreNotFound(c.config.Client.Patch(ctx, ro, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})))
}

func short(s string, limit int) string { return s[:min(len(s), limit)] }
