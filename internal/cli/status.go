package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
)

// rewatch is the pause before a watch that ended is taken up again.
const rewatch = 500 * time.Millisecond

// statusOptions are the flags of `sluice status`.
type statusOptions struct {
	cluster *cluster
	watch   bool
	through bool
	timeout time.Duration
	output  string
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
	f.StringVarP(&o.output, "output", "o", "", "json or yaml; with --watch a document for each change")
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

// name reads NAME, rollout/NAME or slr/NAME, and checks the flags.
func (o *statusOptions) name(arg string) (string, error) {
	switch o.output {
	case "", "json", "yaml":
	default:
		return "", &Exit{Code: ExitUsage, Err: fmt.Errorf("--output %q: want json or yaml", o.output)}
	}
	if o.timeout <= 0 {
		return "", &Exit{Code: ExitUsage, Err: fmt.Errorf("--timeout %v: want a length of time", o.timeout)}
	}
	word, name, slashed := strings.Cut(arg, "/")
	if !slashed {
		word, name = "rollout", arg
	}
	kind, known := resourceOf(word)
	if !known || kind.kind != v1alpha1.KindRollout || name == "" {
		return "", &Exit{Code: ExitUsage, Err: fmt.Errorf("%q does not name a rollout", arg), Next: "sluice get rollouts"}
	}
	return name, nil
}

func (o *statusOptions) print(s Streams, v view.StatusView) error {
	var text []byte
	var err error
	switch {
	case o.output == "json" && o.watch:
		text, err = json.Marshal(v)
	case o.output == "json":
		text, err = json.MarshalIndent(v, "", "  ")
	case o.output == "yaml":
		text, err = yaml.Marshal(v)
		if o.watch {
			text = append([]byte("---\n"), text...)
		}
		text = []byte(strings.TrimSuffix(string(text), "\n"))
	default:
		text = []byte(v.Line())
		if o.metrics {
			text = []byte(strings.Join(append([]string{v.Line()}, v.Rows()...), "\n  "))
		}
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.Out, string(text))
	return err
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
		next := "push a version with other content"
		if v.Rejected != nil && v.Rejected.Commit != "" {
			next = "revert " + view.Short(v.Rejected.Commit) + " in Git, or " + next
		}
		return &Exit{Code: ExitRolledBack, Next: next}
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
	w := &follower{options: o, streams: s, name: name}
	for {
		last, err := w.round(ctx)
		switch {
		case context.Cause(ctx) != nil && last == nil:
			return nil, ended(ctx, name, o.timeout)
		case err != nil:
			return nil, err
		case last != nil:
			return last, nil
		}
		timer := time.NewTimer(rewatch)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, ended(ctx, name, o.timeout)
		case <-timer.C:
		}
	}
}

var errTimeout = errors.New("timeout")

func ended(ctx context.Context, name string, timeout time.Duration) error {
	if errors.Is(context.Cause(ctx), errTimeout) {
		return &Exit{Code: ExitTimeout, Err: fmt.Errorf("rollout %s is not at rest after %v", name, timeout), Next: "sluice status " + name}
	}
	return &Exit{Code: ExitInterrupted}
}

// follower is one watch across its rounds: a connection that breaks starts another.
type follower struct {
	options *statusOptions
	streams Streams
	name    string
	seen    bool
	shown   string // the last line
}

// round reads the object and follows its changes until the watch breaks (nil, nil), or there is nothing more to wait for.
func (f *follower) round(ctx context.Context) (*view.StatusView, error) {
	c := f.options.cluster
	list := &v1alpha1.RolloutList{}
	only := fields.OneTermEqualSelector("metadata.name", f.name).String()
	request := func() *metav1.ListOptions { return &metav1.ListOptions{FieldSelector: only} }
	err := c.client.Get().Namespace(c.namespace).Resource("rollouts").VersionedParams(request(), metav1.ParameterCodec).Do(ctx).Into(list)
	if err != nil {
		err = failed("getting rollout "+f.name, err)
		if exit, ok := errors.AsType[*Exit](err); ok && exit.Code == ExitUnreachable && f.seen {
			return nil, nil // it was there: the server comes back
		}
		return nil, err
	}
	if len(list.Items) == 0 {
		return nil, f.missing()
	}
	if last, err := f.show(&list.Items[0]); last != nil || err != nil {
		return last, err
	}
	from := request()
	from.ResourceVersion, from.Watch = list.ResourceVersion, true
	events, err := c.client.Get().Namespace(c.namespace).Resource("rollouts").VersionedParams(from, metav1.ParameterCodec).Watch(ctx)
	if err != nil {
		return nil, nil
	}
	defer events.Stop()
	return f.listen(events)
}

func (f *follower) listen(events watch.Interface) (*view.StatusView, error) {
	for e := range events.ResultChan() {
		ro, ok := e.Object.(*v1alpha1.Rollout)
		if !ok {
			return nil, nil // such as an expired resource version
		}
		switch e.Type {
		case watch.Deleted:
			return nil, f.missing()
		case watch.Added, watch.Modified:
			if last, err := f.show(ro); last != nil || err != nil {
				return last, err
			}
		case watch.Bookmark, watch.Error:
		}
	}
	return nil, nil
}

// show prints the view if it differs from the last one, and gives it if it is the end.
func (f *follower) show(ro *v1alpha1.Rollout) (*view.StatusView, error) {
	v := view.Status(ro)
	f.seen = true
	if line := v.Line(); line != f.shown {
		f.shown = line
		if err := f.options.print(f.streams, v); err != nil {
			return nil, err
		}
	}
	if f.options.ends(v) {
		return &v, nil
	}
	return nil, nil
}

func (f *follower) missing() error {
	text := fmt.Errorf("rollout %s does not exist in namespace %s", f.name, f.options.cluster.namespace)
	if f.seen {
		text = fmt.Errorf("rollout %s was deleted", f.name)
	}
	return &Exit{Code: ExitNotFound, Err: text, Next: "sluice get rollouts -A"}
}
