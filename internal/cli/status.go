package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
)

// statusOptions are the flags of `sluice status`.
type statusOptions struct {
	cluster *cluster
	watch   bool
	through bool
	timeout time.Duration
	output  *output
	metrics bool
}

func newStatus(s Streams) *cobra.Command {
	o := &statusOptions{}
	cmd := &cobra.Command{
		Use:   "status NAME",
		Short: "Say in one line how a rollout stands",
		Long: "Say in one line how a rollout stands. With --watch, a line for each change until it is completed, rolled back,\n" +
			"or waits for somebody.\n\n" +
			"Exit code: 0 ready or moving, 1 it cannot start, 3 rolled back, 4 paused, 5 not found, 6 no answer, 7 not authorised, 124 --timeout.",
		Example: "  sluice status reviews -n bookinfo\n" +
			"  sluice status reviews --metrics\n" +
			"  sluice status reviews --watch --timeout 10m\n" +
			"  sluice status reviews -o json",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), s, args[0]) },
	}
	o.cluster = addCluster(cmd)
	f := cmd.Flags()
	f.BoolVarP(&o.watch, "watch", "w", false, "go on until it is completed, rolled back or paused")
	f.BoolVar(&o.through, "through-pauses", false, "with --watch: go on while it is paused")
	f.DurationVar(&o.timeout, "timeout", 30*time.Minute, "with --watch: at most this long")
	f.BoolVar(&o.metrics, "metrics", false, "below it a row for each metric: what was counted, by which bounds, how far a gate is")
	o.output = addOutput(cmd)
	cmd.ValidArgsFunction = o.cluster.nameOf("rollouts", 0)
	return cmd
}

func (o *statusOptions) run(ctx context.Context, s Streams, arg string) error {
	name, err := o.name(arg)
	if err != nil {
		return err
	}
	if err := o.cluster.connect(); err != nil {
		return err
	}
	if !o.watch {
		ro := &v1alpha1.Rollout{}
		err := o.cluster.client.Get().Namespace(o.cluster.namespace).Resource("rollouts").Name(name).Do(ctx).Into(ro)
		if err != nil {
			return failed("getting rollout "+name, err)
		}
		v := view.Status(ro)
		if err := o.print(s, v); err != nil {
			return err
		}
		return o.verdict(v)
	}
	last, err := o.follow(ctx, s, name)
	if err != nil {
		return err
	}
	return o.verdict(*last)
}

// name checks the flags and reads which rollout is meant.
func (o *statusOptions) name(arg string) (string, error) {
	if err := o.output.ready(); err != nil {
		return "", err
	}
	o.output.stream = o.watch
	if o.timeout <= 0 {
		return "", &Exit{Code: ExitUsage, Err: fmt.Errorf("--timeout %v: want a length of time", o.timeout)}
	}
	return rolloutName(arg)
}

// rolloutName reads NAME, rollout/NAME or slr/NAME.
func rolloutName(arg string) (string, error) {
	word, name, slashed := strings.Cut(arg, "/")
	if !slashed {
		word, name = "rollout", arg
	}
	kind, known := resourceOf(word)
	if known && kind.kind == v1alpha1.KindSource && name != "" {
		return "", &Exit{Code: ExitUsage, Err: fmt.Errorf("%q does not name a rollout", arg), Next: "sluice describe source/" + name}
	}
	if !known || kind.kind != v1alpha1.KindRollout || name == "" {
		return "", &Exit{Code: ExitUsage, Err: fmt.Errorf("%q does not name a rollout", arg), Next: "sluice get rollouts"}
	}
	return name, nil
}

func (o *statusOptions) print(s Streams, v view.StatusView) error {
	return o.output.show(s, v, func() string {
		lines := []string{problem.Clean(v.Line(), problem.MaxMessage+maxWords)}
		if o.metrics {
			lines = append(lines, v.Rows()...)
		}
		return strings.Join(lines, "\n  ") + "\n"
	})
}

// ends reports that a watch has nothing more to wait for.
func (o *statusOptions) ends(v view.StatusView) bool {
	switch v.Standing {
	case view.Ready, view.RolledBack, view.Failing:
		return true
	case view.Paused:
		return !o.through
	case view.Moving:
		return false
	}
	return false
}

// verdict is the exit code, with what to do next.
func (o *statusOptions) verdict(v view.StatusView) error {
	name := v.Rollout.Name
	switch v.Standing {
	case view.RolledBack:
		return &Exit{Code: ExitRolledBack, Next: v.Undo()}
	case view.Paused:
		return &Exit{Code: ExitPaused, Next: "kubectl describe rollout " + name + " -n " + v.Rollout.Namespace}
	case view.Failing:
		return &Exit{Code: ExitNo, Next: "kubectl describe rollout " + name + " -n " + v.Rollout.Namespace}
	case view.Ready, view.Moving:
	}
	return nil
}

// follow prints each change until there is nothing more to wait for, and gives the last view.
func (o *statusOptions) follow(ctx context.Context, s Streams, name string) (*view.StatusView, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, o.timeout, errTimeout)
	defer cancel()
	var last view.StatusView
	shown := ""
	err := o.cluster.observe(ctx, "rollouts", name, func(object runtime.Object) (bool, error) {
		ro, ok := object.(*v1alpha1.Rollout)
		if !ok {
			return false, fmt.Errorf("getting rollout %s: the server sent a %T", name, object)
		}
		last = view.Status(ro)
		if line := last.Line(); line != shown {
			shown = line
			if err := o.print(s, last); err != nil {
				return false, err
			}
		}
		return o.ends(last), nil
	})
	switch {
	case err != nil && context.Cause(ctx) != nil:
		return nil, ended(ctx, "rollout "+name+" is not at rest", o.timeout, statusOf(o.cluster.namespace, name))
	case err != nil:
		return nil, err
	}
	return &last, nil
}
