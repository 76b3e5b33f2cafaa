package controller

import (
	"context"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/rollout"
)

// Times of actions.
const (
	actionTimeout = 1 * time.Second // Patience.Action: what a person asks for waits for the server, a verdict does not
	defaultTTL    = 24 * time.Hour
	maxMessage    = 256
	maxReads      = 4 // actions that one pass reads from the server
)

// conditionConsumed is the condition of an action that was decided on.
const conditionConsumed = "Consumed"

// Each action is decided on once, whatever order crashes, late reads and two leaders come in:
//
//	the Rollout is read, then each action that the cache calls pending, from the server
//	one with a result, or whose uid the Rollout lists as consumed, is not offered
//	what is decided on enters the Rollout's list in the write that holds what follows from it
//	then the action itself is told, and a later write of the Rollout drops the uid
//
// A Rollout that was read too early makes that write conflict, and the action was read after it.

// asked is what people ask of the object of a pass.
type asked struct {
	known   []v1alpha1.RolloutAction // of this Rollout, as the cache has them
	offered *rollout.Action
	expired []rollout.Action
	written []string // consumed uids whose actions say so, or are gone
	listen  []string // Notifiers that want to know of this pass's transition
	givenUp []string // notes that the write of this pass drops undelivered, in words
}

// readActions finds out what people ask for. What cannot be read is looked at again in the next pass.
// However many there are, and however slow the server is, that takes no longer than reading one may.
func (p *pass) readActions(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, p.controller.config.Lead.Patience.Action)
	defer cancel()
	p.asked.known = p.controller.actionsOf(ctx, p.key)
	p.choose(ctx)
	for _, done := range p.state.Consumed {
		if p.isWritten(ctx, done.UID) {
			p.asked.written = append(p.asked.written, done.UID)
		}
	}
}

// choose finds the action to offer: the first that is due and, as the server knows it, pending.
func (p *pass) choose(ctx context.Context) {
	var pending []rollout.Action
	for i := range p.asked.known {
		if a := &p.asked.known[i]; a.Status.Result == "" {
			pending = append(pending, actionOf(a))
		}
	}
	for range maxReads {
		var next *rollout.Action
		next, p.asked.expired = rollout.Due(p.state, pending, p.wallClock())
		if next == nil {
			return
		}
		live, err := p.controller.liveAction(ctx, p.asked.named(next.UID))
		if err != nil {
			log.FromContext(ctx).Error(fmt.Errorf("action of uid %s: %w", next.UID, err), "an action waits until it can be read")
		} else if live != nil && live.Status.Result == "" {
			p.asked.offered = next
			return
		}
		uid := next.UID
		pending = slices.DeleteFunc(pending, func(a rollout.Action) bool { return a.UID == uid })
	}
}

// actionsOf are the actions of a Rollout, oldest first.
func (c *Controller) actionsOf(ctx context.Context, key types.NamespacedName) []v1alpha1.RolloutAction {
	list := &v1alpha1.RolloutActionList{}
	ctx, cancel := context.WithTimeout(ctx, c.config.Lead.Patience.Action)
	defer cancel()
	if err := c.config.Client.List(ctx, list, client.InNamespace(key.Namespace), onlyLooked); err != nil {
		log.FromContext(ctx).Error(err, "actions wait until they can be read")
		return nil
	}
	var out []v1alpha1.RolloutAction // copies: thousands of Rollouts of a namespace may have some
	for i := range list.Items {
		if list.Items[i].Spec.Rollout == key.Name {
			out = append(out, *list.Items[i].DeepCopy())
		}
	}
	slices.SortStableFunc(out, func(a, b v1alpha1.RolloutAction) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	return out
}

// liveAction reads an action from the server; nil: that one is gone.
func (c *Controller) liveAction(ctx context.Context, a *v1alpha1.RolloutAction) (*v1alpha1.RolloutAction, error) {
	ctx, cancel := context.WithTimeout(ctx, c.config.Lead.Patience.Action)
	defer cancel()
	live := &v1alpha1.RolloutAction{}
	err := c.config.Live.Get(ctx, client.ObjectKeyFromObject(a), live)
	c.link.heard(answered(err))
	if err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	if live.UID != a.UID || !live.DeletionTimestamp.IsZero() {
		return nil, nil
	}
	return live, nil
}

// isWritten reports that a consumed action knows it, or that there is none with the uid any more. One that the cache
// does not know is looked for at the server: the cache may be late.
func (p *pass) isWritten(ctx context.Context, uid string) bool {
	for i := range p.asked.known {
		if a := &p.asked.known[i]; string(a.UID) == uid {
			return a.Status.Result != ""
		}
	}
	ctx, cancel := context.WithTimeout(ctx, p.controller.config.Lead.Patience.Action)
	defer cancel()
	list := &v1alpha1.RolloutActionList{}
	if p.controller.config.Live.List(ctx, list, client.InNamespace(p.key.Namespace)) != nil {
		return false
	}
	for _, a := range list.Items {
		if string(a.UID) == uid {
			p.asked.known = append(p.asked.known, a)
			return a.Status.Result != ""
		}
	}
	return true
}

// actionOf is an action as the engine takes it.
func actionOf(a *v1alpha1.RolloutAction) rollout.Action {
	s := a.Spec
	return rollout.Action{UID: string(a.UID), Verb: rollout.Verb(s.Verb), IfAttempt: s.IfAttempt, IfRevision: s.IfRevision, IfSeq: uint64(s.IfSeq),
		Step: s.Step, OverrideWindow: s.OverrideWindow, Actor: s.Actor, Reason: s.Reason, Created: a.CreationTimestamp.UTC()}
}

// answerActions tells those actions their result that, as stored, were decided on, and those that came too late, and
// removes those whose result is old. What fails is done by the next pass, and so is what takes too long.
func (c *Controller) answerActions(ctx context.Context, p *pass) {
	ctx, cancel := context.WithTimeout(ctx, c.config.Lead.Patience.Action)
	defer cancel()
	for _, done := range p.state.Consumed {
		if slices.Contains(p.asked.written, done.UID) {
			continue
		}
		c.answer(ctx, p.asked.named(done.UID), v1alpha1.RolloutActionStatus{
			Result: v1alpha1.ActionResult(done.Answer), Code: string(done.Code), Attempt: done.Attempt, Seq: int64(done.Seq),
			At: moment(done.At), Message: p.resultOf(done)})
	}
	for _, late := range p.asked.expired {
		c.answer(ctx, p.asked.named(late.UID), c.expiry(p.now, "nothing was decided within 10 minutes: ask again"))
	}
	for i := range p.asked.known {
		c.tidy(ctx, &p.asked.known[i])
	}
}

// named is the action with a uid; nil: it is not known.
func (a *asked) named(uid string) *v1alpha1.RolloutAction {
	for i := range a.known {
		if string(a.known[i].UID) == uid {
			return &a.known[i]
		}
	}
	return nil
}

// resultOf is what an action is told, as a sentence.
func (p *pass) resultOf(done rollout.Consumed) string {
	if done.Answer == rollout.Accepted {
		return fmt.Sprintf("accepted in attempt %d: transition %d", done.Attempt, done.Seq)
	}
	return problem.Clean(fmt.Sprintf("refused: %s; attempt %d, seq %d, %s", done.Code, done.Attempt, done.Seq, p.state.Phase), maxMessage)
}

func (c *Controller) expiry(now time.Time, message string) v1alpha1.RolloutActionStatus {
	return v1alpha1.RolloutActionStatus{Result: v1alpha1.ActionExpired, At: moment(now.UTC().Truncate(time.Microsecond)), Message: message}
}

// answer writes the status of an action, if nobody did since it was read.
func (c *Controller) answer(ctx context.Context, a *v1alpha1.RolloutAction, status v1alpha1.RolloutActionStatus) {
	if a == nil || a.Status.Result != "" || ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, c.config.Lead.Patience.Action)
	defer cancel()
	before := a.DeepCopy()
	status.Conditions = []metav1.Condition{{Type: conditionConsumed, Status: metav1.ConditionTrue, ObservedGeneration: a.Generation,
		LastTransitionTime: metav1.NewTime(status.At.Time), Reason: title(string(status.Result)), Message: status.Message}}
	told := a.DeepCopy()
	told.Status = status
	err := c.config.Client.Status().Patch(ctx, told, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	switch {
	case err == nil:
		*a = *told
	case !apierrors.IsConflict(err) && !apierrors.IsNotFound(err):
		log.FromContext(ctx).Error(fmt.Errorf("action %s: %w", a.Name, err), "an action is told its result later")
	}
}

// tidy removes an action whose result is old.
func (c *Controller) tidy(ctx context.Context, a *v1alpha1.RolloutAction) {
	if ctx.Err() != nil || a.Status.Result == "" || a.Status.At == nil || c.config.Now().Before(a.Status.At.Add(c.config.Lead.ActionTTL)) || c.link.silent() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, c.config.Lead.Patience.Action)
	defer cancel()
	err := c.config.Client.Delete(ctx, a, client.Preconditions{UID: &a.UID, ResourceVersion: &a.ResourceVersion})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		log.FromContext(ctx).Error(fmt.Errorf("action %s: %w", a.Name, err), "an old action is removed later")
	}
}

// orphans are the actions for a Rollout that is not there: they expire at once, and go when they are old. after is when
// to look again; 0: there is no need.
func (c *Controller) orphans(ctx context.Context, key types.NamespacedName) (after time.Duration) {
	known := c.actionsOf(ctx, key)
	if len(known) == 0 || !c.mayWrite() {
		return 0
	}
	if _, err := c.live(ctx, key); !apierrors.IsNotFound(err) {
		return openTick // it is there, and the cache late
	}
	for i := range known {
		c.answer(ctx, &known[i], c.expiry(c.config.Now(), "there is no Rollout "+key.Name+" in the namespace"))
		c.tidy(ctx, &known[i])
	}
	return min(c.config.Lead.ActionTTL, time.Hour)
}

// ofAction is the Rollout that an action is for. One that takes a canary's traffic away waits for no others.
func (c *Controller) ofAction(_ context.Context, o client.Object) []reconcile.Request {
	a, ok := o.(*v1alpha1.RolloutAction)
	if !ok {
		return nil
	}
	key := types.NamespacedName{Namespace: a.Namespace, Name: a.Spec.Rollout}
	if urgent := a.Spec.Verb == v1alpha1.ActionAbort || a.Spec.Verb == v1alpha1.ActionRollback; urgent && a.Status.Result == "" {
		c.wake.first(key)
	}
	return []reconcile.Request{{NamespacedName: key}}
}

// missing is what is done about an object that is not there.
func (c *Controller) missing(ctx context.Context, key types.NamespacedName) ctrl.Result {
	c.gone(c.memories.forget(key))
	c.meters.tallies.drop(key)
	return ctrl.Result{RequeueAfter: c.orphans(ctx, key)}
}

// title is a word with a capital.
func title(word string) string {
	if word == "" {
		return ""
	}
	return string(word[0]-'a'+'A') + word[1:]
}
