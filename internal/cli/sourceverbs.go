package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/app"
)

// sourceVerb is a verb that asks something of a Source: by which change, and when it is done.
type sourceVerb struct {
	use     string // of cobra
	called  string // as people type it, without the name
	short   string
	long    string
	change  func() map[string]any // merged into the Source
	reached func(src *v1alpha1.Source, asked *v1alpha1.Source) bool
	// wants is the reason of Ready by which it has worked; empty: Ready is True and not suspended.
	wants string
}

func newReconcile(s Streams) *cobra.Command {
	return newSourceVerb(s, sourceVerb{
		use: "reconcile source NAME", called: "reconcile source", short: "Make a source look at Git now",
		long: "Make a Source look at its remote now and wait until what it finds is applied. It skips the interval and any backoff; it\n" +
			"changes nothing else.",
		change: func() map[string]any {
			mark := map[string]any{v1alpha1.AnnotationReconcile: app.Now().UTC().Format(time.RFC3339Nano)}
			return map[string]any{"metadata": map[string]any{"annotations": mark}}
		},
		reached: func(src, asked *v1alpha1.Source) bool {
			return src.Status.LastHandledReconcile == asked.Annotations[v1alpha1.AnnotationReconcile]
		},
	})
}

func newSuspend(s Streams) *cobra.Command {
	return newSourceVerb(s, sourceVerb{
		use: "suspend source NAME", called: "suspend source", short: "Make a source leave Git and the cluster alone",
		long:   "Nothing is fetched, applied, removed or repaired until resume. Rollouts go on.",
		change: suspension(true), reached: observed, wants: v1alpha1.ReasonSuspended,
	})
}

// newResumeSource is the part of `sluice resume` that is about Sources.
func newResumeSource(s Streams) *cobra.Command {
	return newSourceVerb(s, sourceVerb{
		use: "source NAME", called: "resume source", short: "Make a suspended source look at Git again",
		long: "End a suspension, and wait until what Git has is applied.", change: suspension(false), reached: observed,
	})
}

func suspension(on bool) func() map[string]any {
	return func() map[string]any { return map[string]any{"spec": map[string]any{"suspend": on}} }
}

func observed(src, asked *v1alpha1.Source) bool {
	return src.Status.ObservedGeneration >= asked.Generation
}

// sourceOptions are the flags of the verbs about Sources.
type sourceOptions struct {
	sourceVerb
	cluster *cluster
	noWait  bool
	timeout time.Duration
}

func newSourceVerb(s Streams, v sourceVerb) *cobra.Command {
	o := &sourceOptions{sourceVerb: v}
	cmd := &cobra.Command{
		Use:   v.use,
		Short: v.short,
		Long: v.long + "\n\nExit code: 0 done, 1 the Source says no, 2 usage, 5 not found, 6 no answer, 7 not authorised,\n" +
			"124 --timeout, 130 interrupted.",
		Example: "  sluice " + v.called + " shop -n bookinfo\n  sluice " + v.called + " shop --no-wait",
		Args:    cobra.RangeArgs(1, 2),
		RunE:    func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), s, cmd.Name(), args) },
	}
	o.cluster = addCluster(cmd)
	f := cmd.Flags()
	f.BoolVar(&o.noWait, "no-wait", false, "do not wait until it is done")
	f.DurationVar(&o.timeout, "timeout", 5*time.Minute, "wait at most this long")
	cmd.ValidArgsFunction = o.cluster.kindAndName("sources")
	if cmd.Name() == "source" {
		cmd.ValidArgsFunction = o.cluster.nameOf("sources", 0) // of resume: the first word is read already
	}
	return cmd
}

// nameOf reads `source NAME` or `source/NAME`; the command `source` of resume has read the first word already.
func (o *sourceOptions) nameOf(command string, args []string) (string, error) {
	if command == "source" && len(args) == 1 {
		args = []string{"source", args[0]}
	}
	kind, name, err := subject(args)
	if err != nil || kind.kind != v1alpha1.KindSource || name == "" {
		return "", &Exit{Code: ExitUsage, Err: errors.New("it wants the name of a source"), Next: "sluice " + o.called + " NAME"}
	}
	return name, nil
}

func (o *sourceOptions) run(ctx context.Context, s Streams, command string, args []string) error {
	name, err := o.nameOf(command, args)
	if err != nil {
		return err
	}
	if o.timeout <= 0 {
		return &Exit{Code: ExitUsage, Err: errors.New("--timeout must be above 0")}
	}
	if err := o.cluster.connect(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.timeout, errTimeout)
	defer cancel()
	body, err := json.Marshal(o.change())
	if err != nil {
		return err
	}
	asked := &v1alpha1.Source{}
	err = o.cluster.client.Patch(types.MergePatchType).Namespace(o.cluster.namespace).Resource("sources").Name(name).Body(body).Do(ctx).Into(asked)
	if err != nil && context.Cause(ctx) != nil {
		return ended(ctx, "source "+name+" cannot be asked", o.timeout, o.describe(name))
	}
	if err != nil {
		return failed(o.called+" "+name, err)
	}
	if o.noWait {
		_, err := fmt.Fprintf(s.Out, "asked: %s %s\n", o.called, name)
		return err
	}
	return o.await(ctx, s, asked)
}

// await waits until the Source has looked and is at rest, and says what came of it. What it retries is told once.
func (o *sourceOptions) await(ctx context.Context, s Streams, asked *v1alpha1.Source) error {
	var last *metav1.Condition
	told := ""
	err := o.cluster.observe(ctx, "sources", asked.Name, func(object runtime.Object) (bool, error) {
		src, ok := object.(*v1alpha1.Source)
		if !ok {
			return false, fmt.Errorf("getting source %s: the server sent a %T", asked.Name, object)
		}
		if !o.reached(src, asked) {
			return false, nil
		}
		last = v1alpha1.Condition(src.Status.Conditions, v1alpha1.ConditionReady)
		if moving := v1alpha1.Condition(src.Status.Conditions, v1alpha1.ConditionReconciling); moving != nil && last != nil && last.Status != metav1.ConditionFalse {
			if now := moving.Reason + ": " + moving.Message; now != told {
				told = now
				fmt.Fprintln(s.Err, problem.Clean(now, problem.MaxMessage))
			}
			return false, nil
		}
		return last != nil && last.Status != metav1.ConditionUnknown, nil
	})
	switch {
	case err != nil && context.Cause(ctx) != nil:
		return ended(ctx, fmt.Sprintf("source %s is not at rest", asked.Name), o.timeout, o.describe(asked.Name))
	case err != nil:
		return err
	}
	return o.verdict(s, asked.Name, last)
}

func (o *sourceOptions) describe(name string) string {
	return "kubectl describe source " + name + " -n " + o.cluster.namespace
}

// verdict is what the Source says, and whether that is what was asked for.
func (o *sourceOptions) verdict(s Streams, name string, ready *metav1.Condition) error {
	text := problem.Clean(fmt.Sprintf("source %s %s: %s", name, ready.Reason, ready.Message), 4*problem.MaxMessage)
	if _, err := fmt.Fprintln(s.Out, text); err != nil {
		return err
	}
	switch suspended := ready.Reason == v1alpha1.ReasonSuspended; {
	case o.wants != "" && ready.Reason == o.wants, o.wants == "" && ready.Status == metav1.ConditionTrue && !suspended:
		return nil
	case suspended:
		return &Exit{Code: ExitNo, Next: "sluice resume source " + name}
	}
	return &Exit{Code: ExitNo, Next: o.describe(name)}
}
