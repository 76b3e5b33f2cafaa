package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
)

// waitOptions are the flags of `sluice wait`.
type waitOptions struct {
	cluster *cluster
	until   string
	timeout time.Duration
	attempt int64
}

func newWait(_ Streams) *cobra.Command {
	o := &waitOptions{}
	cmd := &cobra.Command{
		Use:   "wait NAME --for=CONDITION",
		Short: "Wait, in silence, until a rollout is somewhere",
		Long: "Wait until a rollout is somewhere, and print nothing. --for is one of:\n" +
			"  completed      the newest attempt ended with its version stable\n" +
			"  paused         somebody must act before it goes on\n" +
			"  rolledback     the newest attempt ended the other way\n" +
			"  insync         what Git wants is what runs\n" +
			"  step=N         the attempt is at step N or further\n" +
			"  weight=N       the new version has N percent or more, in every proxy\n" +
			"  condition=T    condition T is True; condition=T=V: it is V\n\n" +
			"Exit code: 0 it is, 1 it cannot be any more, 3 the attempt was rolled back instead, 5 not found, 6 no answer,\n" +
			"7 not authorised, 124 --timeout.",
		Example: "  sluice wait reviews --for=completed --timeout 20m\n" +
			"  sluice wait reviews --for=weight=50\n" +
			"  sluice wait reviews --for=condition=Ready",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), args[0]) },
	}
	o.cluster = addCluster(cmd)
	f := cmd.Flags()
	f.StringVar(&o.until, "for", "", "what to wait for")
	f.DurationVar(&o.timeout, "timeout", 30*time.Minute, "wait at most this long")
	f.Int64Var(&o.attempt, "attempt", 0, "the attempt that is meant; a newer one ends the wait (default: any)")
	o.cluster.completeAttempt(cmd)
	offer(cmd, "for", "completed", "paused", "rolledback", "insync", "step=", "weight=", "condition=")
	return cmd
}

// goal decides whether a wait is over. An error ends it: what is waited for cannot come any more.
type goal func(ro *v1alpha1.Rollout) (bool, error)

func (o *waitOptions) run(ctx context.Context, arg string) error {
	name, err := rolloutName(arg)
	if err != nil {
		return err
	}
	if o.timeout <= 0 || o.attempt < 0 {
		return &Exit{Code: ExitUsage, Err: errors.New("--timeout and --attempt must be above 0")}
	}
	reached, err := o.goal(name)
	if err != nil {
		return err
	}
	if err := o.cluster.connect(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.timeout, errTimeout)
	defer cancel()
	err = o.cluster.observe(ctx, "rollouts", name, func(object runtime.Object) (bool, error) {
		ro, ok := object.(*v1alpha1.Rollout)
		if !ok {
			return false, fmt.Errorf("getting rollout %s: the server sent a %T", name, object)
		}
		return o.visit(ro, reached)
	})
	if err != nil && context.Cause(ctx) != nil {
		return ended(ctx, fmt.Sprintf("rollout %s is not %s", name, o.until), o.timeout, statusOf(o.cluster.namespace, name))
	}
	return err
}

// visit holds a rollout against the goal; a status that does not know the newest spec yet decides nothing.
func (o *waitOptions) visit(ro *v1alpha1.Rollout, reached goal) (bool, error) {
	st := ro.Status
	if st == nil || st.ObservedGeneration < ro.Generation || st.Attempt < o.attempt {
		return false, nil
	}
	if o.attempt != 0 && st.Attempt > o.attempt {
		return false, &Exit{Code: ExitNo, Err: fmt.Errorf("attempt %d of rollout %s was followed by attempt %d", o.attempt, ro.Name, st.Attempt), Next: statusOf(ro.Namespace, ro.Name)}
	}
	return reached(ro)
}

// goal reads --for.
func (o *waitOptions) goal(name string) (goal, error) {
	word, value, valued := strings.Cut(o.until, "=")
	if valued == (word == "completed" || word == "paused" || word == "rolledback" || word == "insync") {
		word = ""
	}
	switch word {
	case "completed":
		return completed, nil
	case "paused":
		return func(ro *v1alpha1.Rollout) (bool, error) { return view.Status(ro).Standing == view.Paused, nil }, nil
	case "rolledback":
		return func(ro *v1alpha1.Rollout) (bool, error) { return ro.Status.Phase == v1alpha1.PhaseRolledBack, nil }, nil
	case "insync":
		return conditioned(v1alpha1.ConditionInSyncWithGit, "True"), nil
	case "step", "weight":
		n, err := strconv.ParseInt(value, 10, 32)
		if err == nil && n >= 0 && (word != "weight" || n <= 100) {
			return placed(word, int32(n)), nil
		}
	case "condition":
		kind, want, given := strings.Cut(value, "=")
		if !given {
			want = "True"
		}
		if kind != "" && want != "" {
			return conditioned(kind, want), nil
		}
	}
	return nil, &Exit{Code: ExitUsage, Err: fmt.Errorf("--for %q: want completed, paused, rolledback, insync, step=N, weight=N or condition=TYPE[=VALUE]", o.until),
		Next: "sluice wait " + name + " --for=completed"}
}

func completed(ro *v1alpha1.Rollout) (bool, error) {
	if err := rolledBackInstead(ro); err != nil {
		return false, err
	}
	return view.Status(ro).Standing == view.Ready && ro.Status.Phase.AtRest(), nil
}

// rolledBackInstead is the exit of who waits for progress and gets none.
func rolledBackInstead(ro *v1alpha1.Rollout) error {
	if ro.Status.Phase != v1alpha1.PhaseRolledBack && ro.Status.Phase != v1alpha1.PhaseRollingBack {
		return nil
	}
	return &Exit{Code: ExitRolledBack, Err: fmt.Errorf("rollout %s: %s", ro.Name, view.Status(ro).Message), Next: statusOf(ro.Namespace, ro.Name)}
}

// placed is met when the attempt is at a step, or at a weight that every proxy has; a completed one is past both.
func placed(word string, n int32) goal {
	return func(ro *v1alpha1.Rollout) (bool, error) {
		if err := rolledBackInstead(ro); err != nil {
			return false, err
		}
		st := ro.Status
		switch {
		case st.Outcome == v1alpha1.OutcomeCompleted:
			return true, nil
		case word == "step":
			return st.Canary != nil && st.Step >= n, nil
		}
		return st.Canary != nil && st.Weight >= n && st.Phase != v1alpha1.PhaseShifting, nil
	}
}

func conditioned(kind, want string) goal {
	return func(ro *v1alpha1.Rollout) (bool, error) {
		c := v1alpha1.Condition(ro.Status.Conditions, kind)
		return c != nil && strings.EqualFold(string(c.Status), want), nil
	}
}
