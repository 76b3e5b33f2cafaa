package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/duration"

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

	noHeader bool // asked for, or printed already
}

func newEvents(s Streams) *cobra.Command {
	o := &eventsOptions{}
	cmd := &cobra.Command{
		Use:   "events NAME",
		Short: "Tell what happened to a rollout, its Source, its notes and its proxies",
		Long: "List the events of a rollout and of the Source that it comes from, oldest first, and among them what became of its notes\n" +
			"(waiting, given up, dropped by a receiver) and which proxies do not run it: refused, or not answered. The API server keeps\n" +
			"events for an hour or so. With --watch, go on until the rollout rests. What may not be read is said on standard error.\n\n" +
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
	f.BoolVar(&o.noHeader, "no-headers", false, "no line with the names of the columns")
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
	seen, shown := map[string]bool{}, 0 // what was printed, and how many events of it
	show := func(ro *v1alpha1.Rollout) error {
		from, to, err := o.span(ro)
		if err != nil {
			return err
		}
		found, missing, err := o.cluster.happened(ctx, ro)
		if err != nil {
			return err
		}
		fresh := slices.DeleteFunc(found, func(h happening) bool {
			return h.At.Before(from) || (!to.IsZero() && h.At.After(to)) || seen[h.id]
		})
		for _, h := range fresh {
			seen[h.id] = true
		}
		for _, m := range missing {
			if !seen[m] {
				fmt.Fprintf(s.Err, "not shown: %s\n", m)
			}
			seen[m] = true
		}
		shown += len(fresh)
		return o.print(s, ro, views(fresh))
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
	if shown == 0 && o.output.people() {
		fmt.Fprintf(s.Err, "no events of rollout %s\n", name)
	}
	return nil
}

// print prints events: those of a watch one document a line, without one all as one document.
func (o *eventsOptions) print(s Streams, ro *v1alpha1.Rollout, fresh []view.Event) error {
	switch {
	case o.output.people():
		return o.lines(s, fresh)
	case !o.watch:
		return o.output.document(s.Out, view.Events(ro, fresh))
	}
	for _, e := range fresh {
		if err := o.output.document(s.Out, view.Events(ro, []view.Event{e})); err != nil {
			return err
		}
	}
	return nil
}

// span gives the times between which events count; a zero end is none.
func (o *eventsOptions) span(ro *v1alpha1.Rollout) (from, to time.Time, err error) {
	if o.since > 0 {
		from = app.Now().Add(-o.since)
	}
	if o.attempt == 0 {
		return from, to, nil
	}
	no := &Exit{Code: ExitNo, Err: fmt.Errorf("attempt %d of rollout %s is not known any more, or not yet", o.attempt, ro.Name), Next: "sluice describe " + ro.Name + " -n " + ro.Namespace}
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

// lines prints events for people, below the names of the columns the first time.
func (o *eventsOptions) lines(s Streams, list []view.Event) error {
	header := eventColumns()
	if o.noHeader || len(list) == 0 {
		header = nil
	}
	o.noHeader = o.noHeader || len(list) > 0
	p := newPaper(s)
	p.Table("", header, eventRows(list, app.Now()))
	return printed(s, p)
}

func eventColumns() []string { return []string{"SEEN", "OBJECT", "REASON", "MESSAGE"} }

// eventRows gives a row for each event.
func eventRows(list []view.Event, now time.Time) [][]string {
	var rows [][]string
	for _, e := range list {
		often := ""
		if e.Count > 1 {
			often = fmt.Sprintf(" (%d times)", e.Count)
		}
		rows = append(rows, []string{duration.HumanDuration(now.Sub(e.At)) + " ago", e.Object, e.Reason, problem.Clean(e.Note, 512) + often})
	}
	return rows
}
