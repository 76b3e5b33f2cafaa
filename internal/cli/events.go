package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/cli-runtime/pkg/printers"
	eventsclient "k8s.io/client-go/kubernetes/typed/events/v1"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
	"github.com/sluice-dev/sluice/internal/app"
)

// eventsOptions are the flags of `sluice events`.
type eventsOptions struct {
	cluster *cluster
	watch   bool
	since   time.Duration
	attempt int64
	timeout time.Duration
	output  *output
}

func newEvents(s Streams) *cobra.Command {
	o := &eventsOptions{}
	cmd := &cobra.Command{
		Use:   "events NAME",
		Short: "Tell what happened to a rollout and to the Source it comes from",
		Long: "List the events of a rollout and of the Source that it comes from, oldest first. The API server keeps them for an hour\n" +
			"or so. With --watch, go on until the rollout rests.\n\n" +
			"Exit code: 0 printed, 1 there is no such attempt, 5 not found, 6 no answer, 7 not authorised, 124 --timeout.",
		Example: "  sluice events reviews\n  sluice events reviews --since 10m\n  sluice events reviews --attempt 3\n  sluice events reviews --watch -o json",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), s, args[0]) },
	}
	o.cluster = addCluster(cmd)
	f := cmd.Flags()
	f.BoolVarP(&o.watch, "watch", "w", false, "go on until the rollout rests")
	f.DurationVar(&o.since, "since", 0, "only of the last this long (default: all)")
	f.Int64Var(&o.attempt, "attempt", 0, "only while that attempt was the newest")
	f.DurationVar(&o.timeout, "timeout", 30*time.Minute, "with --watch: at most this long")
	o.output = addOutput(cmd)
	o.cluster.completeAttempt(cmd)
	return cmd
}

func (o *eventsOptions) run(ctx context.Context, s Streams, arg string) error {
	name, err := rolloutName(arg)
	if err != nil {
		return err
	}
	if o.since < 0 || o.attempt < 0 || o.timeout <= 0 {
		return &Exit{Code: ExitUsage, Err: errors.New("--since, --attempt and --timeout must be above 0")}
	}
	if err := o.output.ready(); err != nil {
		return err
	}
	o.output.stream = o.watch
	if err := o.cluster.connect(); err != nil {
		return err
	}
	seen := map[string]int32{}
	show := func(ro *v1alpha1.Rollout) error {
		from, to, err := o.span(ro)
		if err != nil {
			return err
		}
		found, err := o.cluster.events(ctx, ro)
		if err != nil {
			return err
		}
		fresh := slices.DeleteFunc(found, func(e eventsv1.Event) bool {
			at := lastSeen(&e)
			return at.Before(from) || (!to.IsZero() && at.After(to)) || seen[string(e.UID)] == count(&e)
		})
		for i := range fresh {
			seen[string(fresh[i].UID)] = count(&fresh[i])
		}
		return o.print(s, ro, fresh)
	}
	if o.watch {
		return o.follow(ctx, name, show)
	}
	ro := &v1alpha1.Rollout{}
	if err := o.cluster.client.Get().Namespace(o.cluster.namespace).Resource("rollouts").Name(name).Do(ctx).Into(ro); err != nil {
		return failed("getting rollout "+name, err)
	}
	if err := show(ro); err != nil {
		return err
	}
	if len(seen) == 0 && o.output.people() {
		fmt.Fprintf(s.Err, "no events of rollout %s\n", name)
	}
	return nil
}

// print prints events: those of a watch one document a line, without one all as one document.
func (o *eventsOptions) print(s Streams, ro *v1alpha1.Rollout, fresh []eventsv1.Event) error {
	switch {
	case o.output.people():
		return printEvents(s.Out, "", fresh, app.Now())
	case !o.watch:
		return o.output.document(s.Out, view.Events(ro, asEvents(fresh)))
	}
	for _, e := range asEvents(fresh) {
		if err := o.output.document(s.Out, view.Events(ro, []view.Event{e})); err != nil {
			return err
		}
	}
	return nil
}

// asEvents gives events as documents have them.
func asEvents(list []eventsv1.Event) []view.Event {
	out := make([]view.Event, 0, len(list))
	for i := range list {
		e := &list[i]
		out = append(out, view.Event{Object: regarding(e), Reason: problem.Clean(e.Reason, maxWords), Note: problem.Clean(e.Note, problem.MaxMessage), Count: count(e), At: lastSeen(e).UTC()})
	}
	return out
}

// regarding names the object of an event.
func regarding(e *eventsv1.Event) string {
	return problem.Clean(strings.ToLower(e.Regarding.Kind)+"/"+e.Regarding.Name, maxWords)
}

// span gives the times between which events count; a zero end is none.
func (o *eventsOptions) span(ro *v1alpha1.Rollout) (from, to time.Time, err error) {
	if o.since > 0 {
		from = app.Now().Add(-o.since)
	}
	if o.attempt == 0 {
		return from, to, nil
	}
	no := &Exit{Code: ExitNo, Err: fmt.Errorf("attempt %d of rollout %s is not known any more, or not yet", o.attempt, ro.Name), Next: "sluice describe " + ro.Name}
	if ro.Status == nil || o.attempt > ro.Status.Attempt {
		return from, to, no
	}
	if p := ro.Status.Progress; o.attempt == ro.Status.Attempt && p != nil && p.StartedAt != nil {
		return later(from, p.StartedAt.Time), to, nil
	}
	i := slices.IndexFunc(ro.Status.History, func(h v1alpha1.HistoryEntry) bool { return h.Attempt == o.attempt })
	if i < 0 {
		return from, to, no
	}
	if i > 0 {
		to = ro.Status.History[i-1].StartedAt.Time
	}
	return later(from, ro.Status.History[i].StartedAt.Time), to, nil
}

func later(a, b time.Time) time.Time {
	b = b.Add(-time.Second) // events carry whole seconds where the status has microseconds
	if a.After(b) {
		return a
	}
	return b
}

// events gives the events of a rollout and of its Source, oldest first.
func (c *cluster) events(ctx context.Context, ro *v1alpha1.Rollout) ([]eventsv1.Event, error) {
	client, err := eventsclient.NewForConfig(c.config)
	if err != nil {
		return nil, &Exit{Code: ExitUsage, Err: fmt.Errorf("reading the kubeconfig: %w", err)}
	}
	type regarded struct{ namespace, kind, name string }
	of := []regarded{{ro.Namespace, v1alpha1.KindRollout, ro.Name}}
	if name := ro.Labels[v1alpha1.LabelSourceName]; name != "" {
		of = append(of, regarded{cmp.Or(ro.Labels[v1alpha1.LabelSourceNamespace], ro.Namespace), v1alpha1.KindSource, name})
	}
	var out []eventsv1.Event
	for _, r := range of {
		only := fields.Set{"regarding.kind": r.kind, "regarding.name": r.name}.AsSelector().String()
		list, err := client.Events(r.namespace).List(ctx, metav1.ListOptions{FieldSelector: only})
		if err != nil {
			return nil, failed("getting events", err)
		}
		out = append(out, list.Items...)
	}
	slices.SortStableFunc(out, func(a, b eventsv1.Event) int {
		return cmp.Or(lastSeen(&a).Compare(lastSeen(&b)), cmp.Compare(a.Name, b.Name))
	})
	return out, nil
}

// lastSeen is when an event happened last.
func lastSeen(e *eventsv1.Event) time.Time {
	switch {
	case e.Series != nil && !e.Series.LastObservedTime.IsZero():
		return e.Series.LastObservedTime.Time
	case !e.EventTime.IsZero():
		return e.EventTime.Time
	case !e.DeprecatedLastTimestamp.IsZero():
		return e.DeprecatedLastTimestamp.Time
	}
	return e.CreationTimestamp.Time
}

// count is how often it happened.
func count(e *eventsv1.Event) int32 {
	if e.Series != nil {
		return e.Series.Count
	}
	return max(1, e.DeprecatedCount)
}

// printEvents writes a line for each event, behind an indent.
func printEvents(out io.Writer, indent string, list []eventsv1.Event, now time.Time) error {
	w := printers.GetNewTabWriter(out)
	for i := range list {
		e := &list[i]
		often := ""
		if n := count(e); n > 1 {
			often = fmt.Sprintf(" (%d times)", n)
		}
		if _, err := fmt.Fprintf(w, "%s%s\t%s\t%s\t%s%s\n", indent, duration.HumanDuration(now.Sub(lastSeen(e)))+" ago",
			regarding(e), problem.Clean(e.Reason, maxWords), problem.Clean(e.Note, 512), often); err != nil {
			return err
		}
	}
	return w.Flush()
}
