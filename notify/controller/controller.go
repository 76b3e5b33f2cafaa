package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/notify"
)

// lookAgain is when a Notifier is looked at although nothing happened: its Secrets are not watched.
const lookAgain = time.Minute

// healths tells how sending through a Notifier goes.
type healths interface {
	Opened(n *v1alpha1.Notifier, s notify.Sink)
	Health(key types.NamespacedName) notify.Health
	ForgetNotifier(key types.NamespacedName)
}

type reconciler struct {
	client client.Client
	outlet notify.Opener
	worker healths
	now    func() time.Time
	system string // namespace of the controller
}

// Reconcile looks whether the Notifier could send, and writes what is known.
func (r *reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	n := &v1alpha1.Notifier{}
	if err := r.client.Get(ctx, req.NamespacedName, n); err != nil {
		if apierrors.IsNotFound(err) {
			r.worker.ForgetNotifier(req.NamespacedName)
		}
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !n.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	before := n.DeepCopy()
	seen := Seen{Open: r.try(ctx, n), Health: r.worker.Health(req.NamespacedName), System: r.system}
	n.Status = Status(before, seen, r.now())
	if !equality.Semantic.DeepEqual(before.Status, n.Status) {
		patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
		if err := r.client.Status().Patch(ctx, n, patch); err != nil {
			if apierrors.IsNotFound(err) {
				return ctrl.Result{}, nil
			}
			return ctrl.Result{}, fmt.Errorf("writing the status of Notifier %s: %w", req.NamespacedName, err)
		}
	}
	return ctrl.Result{RequeueAfter: lookAgain}, nil
}

// try opens the sink and sends nothing.
func (r *reconciler) try(ctx context.Context, n *v1alpha1.Notifier) error {
	if n.Spec.Suspend || !notify.Permitted(n, r.system) {
		return nil
	}
	sink, err := r.outlet.Open(ctx, n)
	if err == nil {
		r.worker.Opened(n, sink)
	}
	return err
}

// Seen is what a status is made of, besides the Notifier.
type Seen struct {
	Open   error // what opening the sink said
	Health notify.Health
	System string // namespace of the controller
}

// Status gives the status of n.
func Status(n *v1alpha1.Notifier, seen Seen, now time.Time) v1alpha1.NotifierStatus {
	h := seen.Health
	if h.UID != n.UID { // it went with one that had the name before
		h = notify.Health{Pending: h.Pending}
	}
	st := *n.Status.DeepCopy()
	c := v1alpha1.NewConditions(n.Status.Conditions, n.Generation, now)
	accept(c, n, seen.System)
	switch {
	case !notify.Permitted(n, seen.System):
		c.Stalled(v1alpha1.ReasonNotPermitted, notPermitted(seen.System)+": nothing is sent")
	case n.Spec.Suspend:
		c.Ready(v1alpha1.ReasonSuspended, "suspended in spec: nothing is sent")
	case seen.Open != nil:
		fails(c, reasonOf(seen.Open), seen.Open.Error())
	case h.Reason != "" && h.Generation == n.Generation:
		fails(c, h.Reason, h.Message)
	case stopped(n):
		c.Stalled(v1alpha1.ReasonGone, v1alpha1.Condition(n.Status.Conditions, v1alpha1.ConditionReady).Message)
	default:
		message := "notes can be sent"
		if h.Lacks != "" {
			message += "; of the newest, " + h.Lacks
		}
		c.Ready(v1alpha1.ReasonReady, message)
	}
	st.Conditions = c.List()
	st.ObservedGeneration = n.Generation
	st.Pending = h.Pending
	if !h.LastSuccess.IsZero() {
		at := metav1.NewTime(h.LastSuccess.Truncate(time.Second))
		st.LastSuccessTime = &at
	}
	st.DeadLetters = bury(st.DeadLetters, h.Dead)
	return st
}

// accept says whether the spec can be acted on as it is. What is wrong with a template only costs its first line.
func accept(c *v1alpha1.Conditions, n *v1alpha1.Notifier, system string) {
	if !notify.Permitted(n, system) {
		c.Set(v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonNotPermitted, notPermitted(system))
		return
	}
	for _, p := range n.Validate() {
		if p.Severity == problem.Error {
			c.Set(v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonInvalidSpec, p.Field+": "+p.Message)
			return
		}
	}
	c.Set(v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonAccepted, "the spec is understood")
}

func notPermitted(system string) string {
	return fmt.Sprintf("namespaces: All is for Notifiers in the controller's namespace %s", system)
}

// stopped reports that the receiver wanted nothing any more at this generation: known across restarts from here only.
func stopped(n *v1alpha1.Notifier) bool {
	c := v1alpha1.Condition(n.Status.Conditions, v1alpha1.ConditionReady)
	return c != nil && c.Reason == v1alpha1.ReasonGone && c.ObservedGeneration == n.Generation
}

// fails says whether a failure ends by itself.
func fails(c *v1alpha1.Conditions, reason, message string) {
	switch reason {
	case v1alpha1.ReasonUnreachable, v1alpha1.ReasonThrottled:
		c.Failing(reason, message)
	default:
		c.Stalled(reason, message)
	}
}

func reasonOf(err error) string {
	if f, ok := errors.AsType[*notify.Failure](err); ok {
		return f.Reason
	}
	return v1alpha1.ReasonUnreachable
}

// bury puts letters that are not there yet in front, newest first, and keeps the newest.
func bury(stored, dead []v1alpha1.DeadLetter) []v1alpha1.DeadLetter {
	out := slices.Clone(stored)
	for _, d := range slices.Backward(dead) {
		if !slices.ContainsFunc(out, func(have v1alpha1.DeadLetter) bool { return have.ID == d.ID }) {
			out = slices.Insert(out, 0, d)
		}
	}
	return out[:min(len(out), notify.MaxDeadLetters)]
}
