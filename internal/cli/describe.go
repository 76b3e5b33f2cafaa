package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
	"github.com/sluice-dev/sluice/internal/app"
	"github.com/sluice-dev/sluice/internal/cli/paper"
)

// describedEvents is how many events a description ends with.
const describedEvents = 10

func newDescribe(s Streams) *cobra.Command {
	o := &describeOptions{}
	cmd := &cobra.Command{
		Use:   "describe NAME",
		Short: "Tell all about a rollout or a source: from Git to the proxies",
		Long: "Tell all about a rollout: where it comes from, what serves, the steps, the evidence, the proxies, what happened. Of a\n" +
			"source (source/NAME): what is applied, what is held back and why, what became of its notes; -o gives the Source itself.\n\n" +
			"Exit code: 0 printed, 5 not found, 6 no answer, 7 not authorised.",
		Example: "  sluice describe reviews -n bookinfo\n  sluice describe source/shop -n bookinfo\n  sluice describe reviews -o yaml",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if name, ok := sourceName(args); ok {
				return o.source(cmd.Context(), s, name)
			}
			return o.describe(cmd.Context(), s, strings.Join(args, "/"))
		},
	}
	o.cluster, o.output = addCluster(cmd), addOutput(cmd)
	cmd.ValidArgsFunction = o.complete
	return cmd
}

// complete completes the name of a rollout, or behind `source` that of a Source.
func (o *describeOptions) complete(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if word, _, slashed := strings.Cut(append(slices.Clone(args), typed)[0], "/"); slashed || len(args) > 0 {
		if kind, known := resourceOf(word); known && kind.kind == v1alpha1.KindSource {
			return o.cluster.kindAndName(kind.plural)(cmd, args, typed)
		}
	}
	return o.cluster.nameOf("rollouts", 0)(cmd, args, typed)
}

// describeOptions are the flags of `sluice describe`.
type describeOptions struct {
	cluster *cluster
	output  *output
}

func (o *describeOptions) describe(ctx context.Context, s Streams, arg string) error {
	name, err := rolloutName(arg)
	if err != nil {
		return err
	}
	if err := o.output.ready(); err != nil {
		return err
	}
	c := o.cluster
	if err := c.connect(); err != nil {
		return err
	}
	ro := &v1alpha1.Rollout{}
	if err := c.client.Get().Namespace(c.namespace).Resource("rollouts").Name(name).Do(ctx).Into(ro); err != nil {
		return failed("getting rollout "+name, err)
	}
	known, missing, trouble := c.happened(ctx, ro)
	happened := views(known[max(0, len(known)-describedEvents):])
	if !o.output.people() {
		if trouble != nil {
			return trouble
		}
		return o.output.document(s.Out, view.Describe(ro, happened))
	}
	d := &description{paper: newPaper(s), ro: ro, view: view.Status(ro), now: app.Now()}
	d.head()
	d.steps()
	d.evidence()
	d.conditions()
	d.past()
	if trouble != nil {
		d.section("Events", problem.Clean(fmt.Sprintf("(%v)", trouble), problem.MaxMessage))
		return printed(s, d.paper)
	}
	d.table("Events", eventColumns(), eventRows(happened, d.now))
	for _, m := range missing {
		fmt.Fprintf(s.Err, "not shown: %s\n", m)
	}
	return printed(s, d.paper)
}

// description writes a rollout for people.
type description struct {
	paper *paper.Paper
	ro    *v1alpha1.Rollout
	view  view.StatusView
	now   time.Time
}

// field writes a line of the head; empty values have none.
func (d *description) field(name, value string) { d.paper.Field(name, value) }

func (d *description) section(name string, lines ...string) { d.paper.Section(name, lines...) }

// table writes rows below a title, unless there are none.
func (d *description) table(title string, header []string, rows [][]string) {
	d.paper.Titled(title, header, rows)
}

func (d *description) head() {
	v, ro := d.view, d.ro
	d.field("Rollout", ro.Namespace+"/"+ro.Name)
	d.field("Host", ro.Spec.Host)
	d.field("Standing", fmt.Sprintf("%s (%s)", v.Standing, v.Reason))
	d.field("Says", problem.Clean(v.Message, 512))
	if source := ro.Labels[v1alpha1.LabelSourceName]; source != "" {
		d.field("Source", fmt.Sprintf("%s/%s  %s", cmp.Or(ro.Labels[v1alpha1.LabelSourceNamespace], ro.Namespace), source, ro.Annotations[v1alpha1.AnnotationPath]))
	}
	d.field("Git wants", d.wanted())
	d.field("Stable", described(v.Stable))
	d.field("Canary", described(v.Canary))
	d.field("Rejected", described(v.Rejected))
	if v.Attempt > 0 {
		d.field("Attempt", fmt.Sprint(v.Attempt))
	}
	if v.Place != nil {
		d.field("Place", fmt.Sprintf("step %d of %d, %d%% wanted", v.Place.Step, v.Place.Steps, v.Place.Weight))
	}
	if p := v.Proxies; p != nil {
		said := fmt.Sprintf("%d of %d run it, %d refuse it", p.Acked, p.Connected, p.Nacked)
		if len(p.Laggards) > 0 {
			said += "; not " + strings.Join(p.Laggards, ", ")
		}
		d.field("Proxies", said)
	}
	if v.Deadline != nil {
		d.field("Gives up", fmt.Sprintf("%s, in %s", v.Deadline.Format(time.RFC3339), duration.HumanDuration(v.Deadline.Sub(d.now))))
	}
}

// wanted is what Git wants, and whose commit it was.
func (d *description) wanted() string {
	v := &view.Version{Name: d.ro.Spec.Subset, Commit: d.ro.Annotations[v1alpha1.AnnotationCommit], Author: d.ro.Annotations[v1alpha1.AnnotationCommitAuthor],
		Subject: d.ro.Annotations[v1alpha1.AnnotationCommitSubject]}
	return described(v)
}

// described is a version in a line.
func described(v *view.Version) string {
	if v == nil {
		return ""
	}
	words := []string{v.Name}
	if v.Commit != "" {
		words = append(words, "from "+view.Short(v.Commit))
	}
	if v.Subject != "" {
		words = append(words, fmt.Sprintf("%q", problem.Clean(v.Subject, 120)))
	}
	if v.Author != "" {
		words = append(words, "by "+problem.Clean(v.Author, 128))
	}
	return strings.Join(words, " ")
}

func (d *description) steps() {
	st := d.ro.Status
	if st == nil || !st.Phase.Open() {
		return
	}
	passed := map[int32]v1alpha1.Gate{}
	for _, g := range st.Gates {
		passed[g.Step] = g
	}
	var rows [][]string
	for i, step := range st.Plan {
		n := int32(i + 1)
		says := ""
		switch g, ok := passed[n]; {
		case ok && g.Actor != "":
			says = fmt.Sprintf("%s, by %s", g.Result.Words(), problem.Clean(g.Actor, 253))
		case ok:
			says = g.Result.Words()
		case n == st.Step:
			says = "now: " + string(st.Phase)
		}
		rows = append(rows, []string{fmt.Sprint(n), step.Name, fmt.Sprintf("%d%%", step.Weight), waits(step), says})
	}
	d.table("Steps", []string{"STEP", "NAME", "WEIGHT", "WAITS FOR", ""}, rows)
}

func approvals(n int32) string {
	if n == 1 {
		return "1 approval"
	}
	return fmt.Sprintf("%d approvals", n)
}

// waits is what ends a step.
func waits(step v1alpha1.PlanStep) string {
	words := []string{"bake " + bounds(step.Bake)}
	if step.Approvals > 0 {
		words = append(words, approvals(step.Approvals))
	}
	if step.Pause != nil {
		words = append(words, "pause")
	}
	return strings.Join(words, ", ")
}

// bounds is the time that a step is observed for.
func bounds(b v1alpha1.Bake) string {
	least, most := b.Min.Or(0), b.Max.Or(0)
	if most <= least {
		return duration.HumanDuration(least)
	}
	return duration.HumanDuration(least) + " to " + duration.HumanDuration(most)
}

func (d *description) evidence() {
	if len(d.view.Metrics) > 0 {
		d.section("Evidence", d.view.Rows()...)
	}
}

func (d *description) conditions() {
	if d.ro.Status != nil {
		conditionsOn(d.paper, d.ro.Status.Conditions)
	}
}

func conditionsOn(p *paper.Paper, list []metav1.Condition) {
	var rows [][]string
	for _, c := range list {
		rows = append(rows, []string{c.Type, string(c.Status), c.Reason, problem.Clean(c.Message, 512)})
	}
	p.Titled("Conditions", []string{"TYPE", "STATUS", "REASON", "MESSAGE"}, rows)
}

func (d *description) past() {
	if d.ro.Status == nil {
		return
	}
	var rows [][]string
	for _, h := range d.ro.Status.History {
		rows = append(rows, []string{fmt.Sprint(h.Attempt), h.Name, view.Short(h.Commit), string(h.Outcome), h.Reason,
			duration.HumanDuration(d.now.Sub(h.EndedAt.Time)) + " ago", duration.HumanDuration(h.EndedAt.Sub(h.StartedAt.Time))})
	}
	d.table("History", []string{"ATTEMPT", "VERSION", "COMMIT", "OUTCOME", "REASON", "ENDED", "TOOK"}, rows)
}
