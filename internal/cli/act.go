package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// act is a verb by which a person asks something of a rollout.
type act struct {
	verb    v1alpha1.ActionVerb
	short   string
	long    string
	example string
	undo    string // how to undo it, with the rollout's name in place of NAME
	steps   bool   // takes --step
	windows bool   // takes --override-window
}

func acts() []act {
	return []act{
		{verb: v1alpha1.ActionPromote, short: "End the waits of the present step", steps: false, windows: true,
			long: "End the bake, the pause and the holds of the present step. It gives no approval, lifts no pause that somebody asked\n" +
				"for, and waits for no proxy less. With --full, go straight to the last step.",
			example: "  sluice promote reviews\n  sluice promote reviews --full --reason \"the fix of today's outage\"",
			undo:    "sluice rollback NAME --reason WHY"},
		{verb: v1alpha1.ActionPause, short: "Keep the weight from rising", long: "Keep the weight from rising until resume. A rollback goes on being possible.",
			example: "  sluice pause reviews --reason \"looking at the traces\"", undo: "sluice resume NAME"},
		{verb: v1alpha1.ActionResume, short: "End a pause", long: "End a pause that was asked for by pause. One that stands in Git is ended in Git.",
			example: "  sluice resume reviews", undo: "sluice pause NAME"},
		{verb: v1alpha1.ActionAbort, short: "End the attempt and reject its version", long: "Take all traffic off the new version and reject it, until retry or until Git has other content.",
			example: "  sluice abort reviews --reason \"wrong image\"", undo: "sluice retry NAME"},
		{verb: v1alpha1.ActionRollback, short: "Go back to the version before",
			long:    "While an attempt is open, the same as abort. At rest, back to the version that was stable before, as long as it is kept.",
			example: "  sluice rollback reviews --reason \"the page is blank\"", undo: "sluice retry NAME"},
		{verb: v1alpha1.ActionRetry, short: "Start again with what Git wants, rejected or not", long: "Start a new attempt with what Git wants, from weight 0, by the steps that are now in the spec.",
			example: "  sluice retry reviews --reason \"the database is back\"", undo: "sluice abort NAME"},
		{verb: v1alpha1.ActionApprove, short: "Give an approval that a step asks for", steps: true, long: "Give one approval. Each must come from another person.",
			example: "  sluice approve reviews\n  sluice approve reviews --step 3", undo: "sluice pause NAME"},
		{verb: v1alpha1.ActionSkip, short: "Go straight to a later step", steps: true, windows: true, long: "Go straight to a later step. What lies between is left out, but for approvals.",
			example: "  sluice skip reviews --step 3 --reason \"known from staging\"", undo: "sluice rollback NAME --reason WHY"},
	}
}

// actOptions are the flags of the verbs that act.
type actOptions struct {
	act
	cluster  *cluster
	attempt  int64
	step     string
	reason   string
	override bool
	full     bool
	noWait   bool
	timeout  time.Duration
}

func newAct(s Streams, a act) *cobra.Command {
	o := &actOptions{act: a}
	cmd := &cobra.Command{
		Use:   string(a.verb) + " NAME",
		Short: a.short,
		Long: a.long + "\n\nIt creates a RolloutAction and waits until that is decided on.\n\n" +
			"Exit code: 0 accepted, 1 refused, 2 usage, 5 not found, 6 no answer, 7 not authorised, 124 --timeout.",
		Example: a.example,
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), s, args[0]) },
	}
	o.cluster = addCluster(cmd)
	f := cmd.Flags()
	f.Int64Var(&o.attempt, "attempt", 0, "the attempt that is meant; another one refuses it (default: the newest, which is printed)")
	f.StringVar(&o.reason, "reason", "", "why, for people: at most 280 characters")
	f.BoolVar(&o.noWait, "no-wait", false, "do not wait until it is decided on")
	f.DurationVar(&o.timeout, "timeout", time.Minute, "wait at most this long")
	if a.steps {
		f.StringVar(&o.step, "step", "", "step of the plan, by name or by number from 1")
	}
	if a.windows {
		f.BoolVar(&o.override, "override-window", false, "lift windows and freezes for the rest of the attempt; needs --reason")
	}
	if a.verb == v1alpha1.ActionPromote {
		f.BoolVar(&o.full, "full", false, "go straight to the last step, with the whole capacity; needs --reason")
	}
	o.cluster.completeAttempt(cmd)
	return cmd
}

func (o *actOptions) run(ctx context.Context, s Streams, arg string) error {
	name, err := rolloutName(arg)
	if source, ok := strings.CutPrefix(arg, "source/"); err != nil && ok && o.verb == v1alpha1.ActionResume {
		return &Exit{Code: ExitUsage, Err: fmt.Errorf("%q does not name a rollout; a source is resumed by its kind and its name", arg), Next: "sluice resume source " + source}
	}
	if err != nil {
		return err
	}
	verb := o.verb
	if o.full {
		verb = v1alpha1.ActionPromoteFull
	}
	if err := o.check(verb, name); err != nil {
		return err
	}
	if err := o.cluster.connect(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.timeout, errTimeout)
	defer cancel()
	made, err := o.create(ctx, verb, name)
	if err != nil && context.Cause(ctx) != nil {
		return ended(ctx, fmt.Sprintf("rollout %s cannot be asked to %s", name, verb), o.timeout, statusOf(o.cluster.namespace, name))
	}
	if err != nil {
		return err
	}
	if o.noWait {
		_, err := fmt.Fprintf(s.Out, "asked: %s %s%s (rolloutaction/%s)\n", verb, name, ofAttempt(made.Spec.IfAttempt), made.Name)
		return err
	}
	return o.await(ctx, s, made)
}

// check refuses what the server would refuse, in the words of the flags.
func (o *actOptions) check(verb v1alpha1.ActionVerb, name string) error {
	wants := []v1alpha1.ActionVerb{v1alpha1.ActionPromoteFull, v1alpha1.ActionSkip, v1alpha1.ActionRollback}
	said := "sluice " + string(o.verb) + " " + name
	switch {
	case o.reason == "" && (o.override || slices.Contains(wants, verb)):
		return &Exit{Code: ExitUsage, Err: errors.New("it needs a --reason: others will ask"), Next: said + " --reason WHY"}
	case len([]rune(o.reason)) > 280:
		return &Exit{Code: ExitUsage, Err: errors.New("--reason has more than 280 characters")}
	case verb == v1alpha1.ActionSkip && o.step == "":
		return &Exit{Code: ExitUsage, Err: errors.New("it needs --step: where to go"), Next: said + " --step 2 --reason WHY"}
	case o.attempt < 0 || o.timeout <= 0:
		return &Exit{Code: ExitUsage, Err: errors.New("--attempt and --timeout must be above 0")}
	}
	return nil
}

// create asks for it, in the name that the server knows the caller by.
func (o *actOptions) create(ctx context.Context, verb v1alpha1.ActionVerb, name string) (*v1alpha1.RolloutAction, error) {
	ro := &v1alpha1.Rollout{}
	if err := o.cluster.client.Get().Namespace(o.cluster.namespace).Resource("rollouts").Name(name).Do(ctx).Into(ro); err != nil {
		return nil, failed("getting rollout "+name, err)
	}
	attempt := o.attempt
	if attempt == 0 && ro.Status != nil {
		attempt = ro.Status.Attempt
	}
	guarded := []v1alpha1.ActionVerb{v1alpha1.ActionPromote, v1alpha1.ActionPromoteFull, v1alpha1.ActionSkip, v1alpha1.ActionApprove}
	if attempt == 0 && slices.Contains(guarded, verb) {
		return nil, &Exit{Code: ExitNo, Err: fmt.Errorf("rollout %s has had no attempt yet: there is nothing to %s", name, o.verb), Next: statusOf(o.cluster.namespace, name)}
	}
	actor, err := o.cluster.whoami(ctx)
	if err != nil {
		return nil, err
	}
	a := &v1alpha1.RolloutAction{
		ObjectMeta: metav1.ObjectMeta{GenerateName: name + "-" + strings.ToLower(string(verb)) + "-"},
		Spec: v1alpha1.RolloutActionSpec{
			Rollout: name, Verb: verb, IfAttempt: attempt, Step: o.step, OverrideWindow: o.override, Reason: o.reason, Actor: actor,
		},
	}
	made := &v1alpha1.RolloutAction{}
	if err := o.cluster.client.Post().Namespace(o.cluster.namespace).Resource("rolloutactions").Body(a).Do(ctx).Into(made); err != nil {
		return nil, failed(fmt.Sprintf("asking to %s rollout %s", verb, name), err)
	}
	return made, nil
}

// whoami is the name that the API server knows the caller by.
func (c *cluster) whoami(ctx context.Context) (string, error) {
	client, err := authenticationclient.NewForConfig(c.config)
	if err != nil {
		return "", &Exit{Code: ExitUsage, Err: fmt.Errorf("reading the kubeconfig: %w", err)}
	}
	review, err := client.SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return "", failed("asking the API server who you are", err)
	}
	return review.Status.UserInfo.Username, nil
}

// await waits until the action is decided on and says what came of it.
func (o *actOptions) await(ctx context.Context, s Streams, made *v1alpha1.RolloutAction) error {
	var decided *v1alpha1.RolloutAction
	err := o.cluster.observe(ctx, "rolloutactions", made.Name, func(object runtime.Object) (bool, error) {
		a, ok := object.(*v1alpha1.RolloutAction)
		if !ok {
			return false, fmt.Errorf("getting rolloutaction %s: the server sent a %T", made.Name, object)
		}
		decided = a
		return a.Status.Result != "", nil
	})
	name := made.Spec.Rollout
	switch {
	case err != nil && context.Cause(ctx) != nil:
		return ended(ctx, fmt.Sprintf("nobody has decided on rolloutaction %s", made.Name), o.timeout, "kubectl get rolloutaction "+made.Name+" -n "+o.cluster.namespace)
	case err != nil:
		return err
	case decided.Status.Result != v1alpha1.ActionAccepted:
		code, why := cmp.Or(decided.Status.Code, string(decided.Status.Result)), strings.TrimPrefix(decided.Status.Message, string(decided.Status.Result)+": ")
		if !strings.HasPrefix(why, code) { // the controller's message may begin with it
			why = strings.TrimSuffix(code+": "+why, ": ")
		}
		return &Exit{Code: ExitNo, Err: fmt.Errorf("%s %s%s: %s: %s", made.Spec.Verb, name, ofAttempt(made.Spec.IfAttempt), decided.Status.Result, why), Next: statusOf(o.cluster.namespace, name)}
	}
	_, err = fmt.Fprintf(s.Out, "%s %s%s: %s\nundo: %s\n", made.Spec.Verb, name, ofAttempt(made.Spec.IfAttempt), cmp.Or(decided.Status.Message, "accepted"),
		strings.Replace(o.undo, "NAME", name+" -n "+o.cluster.namespace, 1))
	return err
}

// ofAttempt names an attempt, unless there is none.
func ofAttempt(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" (attempt %d)", n)
}
