package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
	"github.com/sluice-dev/sluice/internal/app"
	"github.com/sluice-dev/sluice/internal/cli/paper"
)

// sourceName reads `source/NAME` or `source NAME`.
func sourceName(args []string) (string, bool) {
	word, name, _ := strings.Cut(strings.Join(args, "/"), "/")
	kind, known := resourceOf(word)
	return name, known && kind.kind == v1alpha1.KindSource && name != "" && !strings.Contains(name, "/")
}

// source tells all about a Source.
func (o *describeOptions) source(ctx context.Context, s Streams, name string) error {
	if err := o.output.ready(); err != nil {
		return err
	}
	if err := o.cluster.connect(); err != nil {
		return err
	}
	if !o.output.people() {
		return (&getOptions{cluster: o.cluster, output: o.output}).objects(ctx, s, resources()[1], name)
	}
	src := &v1alpha1.Source{}
	if err := o.cluster.client.Get().Namespace(o.cluster.namespace).Resource("sources").Name(name).Do(ctx).Into(src); err != nil {
		return failed("getting source "+name, err)
	}
	d := &sourceDescription{paper: newPaper(s), src: src, now: app.Now()}
	d.head()
	d.problems()
	d.held()
	conditionsOn(d.paper, src.Status.Conditions)
	d.past()
	known, missing, trouble := o.cluster.happenedTo(ctx, src)
	if trouble != nil {
		missing = append(missing, "events: "+problem.Clean(trouble.Error(), maxTrouble))
	}
	d.paper.Titled("Events", eventColumns(), eventRows(views(known[max(0, len(known)-describedEvents):]), d.now))
	for _, m := range missing {
		fmt.Fprintf(s.Err, "not shown: %s\n", m)
	}
	return printed(s, d.paper)
}

// sourceDescription writes a Source for people.
type sourceDescription struct {
	paper *paper.Paper
	src   *v1alpha1.Source
	now   time.Time
}

func (d *sourceDescription) head() {
	p, src, st := d.paper, d.src, d.src.Status
	p.Field("Source", src.Namespace+"/"+src.Name)
	p.Field("URL", problem.Clean(src.Spec.URL, 2048))
	p.Field("Path", problem.Clean(src.Spec.Path, 512))
	standing, says := v1alpha1.ReasonPending, "Sluice has not looked at it yet"
	if c := v1alpha1.Condition(st.Conditions, v1alpha1.ConditionReady); c != nil {
		standing, says = c.Reason, c.Message
	}
	p.Field("Standing", standing)
	p.Field("Says", problem.Clean(says, 512))
	if c := st.Commit; c != nil {
		p.Field("Applied", described(&view.Version{Name: shortRevision(st.LastAppliedRevision), Subject: c.Subject, Author: c.Author}))
		p.Field("Signed by", problem.Clean(c.Signer, 128))
	}
	if st.LastAttemptedRevision != st.LastAppliedRevision {
		p.Field("Looked at", shortRevision(st.LastAttemptedRevision))
	}
	p.Field("Last good", view.Short(st.LastGood))
	if n := len(st.Inventory); n > 0 {
		p.Field("Objects", fmt.Sprintf("%d applied", n))
	}
	if st.Failures > 0 {
		p.Field("Failures", fmt.Sprintf("%d to fetch in a row", st.Failures))
	}
	if src.Spec.Suspend {
		p.Field("Suspended", "until: sluice resume source "+src.Name+" -n "+src.Namespace)
	}
}

// problems are those of the revision last looked at, with what to do.
func (d *sourceDescription) problems() {
	var rows [][]string
	for _, p := range d.src.Status.Problems {
		where := problem.Clean(p.Path, 512)
		if p.Line > 0 {
			where += fmt.Sprintf(":%d:%d", p.Line, p.Column)
		}
		words := p.Message
		if p.Hint != "" {
			words += " (" + p.Hint + ")"
		}
		rows = append(rows, []string{p.Code, p.Severity, where, problem.Clean(words, 2*problem.MaxMessage)})
	}
	d.paper.Titled("Problems", []string{"CODE", "SEVERITY", "WHERE", "MESSAGE"}, rows)
	if more := int(d.src.Status.ProblemCount) - len(rows); more > 0 {
		d.paper.Line("  ", fmt.Sprintf("and %d more: sluice lint says them all", more))
	}
}

// held is what was not applied, not pruned, or done in the repository.
func (d *sourceDescription) held() {
	st := d.src.Status
	var rows [][]string
	for _, h := range st.Held {
		of := strings.Join(h.Rollouts, ", ")
		if of == "" {
			of = "objects of no rollout"
		}
		rows = append(rows, []string{shortRevision(h.Revision), strings.Join(h.Codes, ", "), problem.Clean(of, problem.MaxMessage)})
	}
	d.paper.Titled("Held back", []string{"STILL RUNS", "CODES", "ROLLOUTS"}, rows)
	if h := st.PruneHeld; h != nil {
		d.paper.Section("Not pruned", problem.Clean(fmt.Sprintf("%d objects (%s): %s", h.Count, h.Reason, strings.Join(h.Names, ", ")), 2*problem.MaxMessage))
	}
	rows = nil
	for _, w := range st.WriteBack {
		rows = append(rows, []string{w.Kind, w.Rollout, view.Short(w.Commit), w.Result, duration.HumanDuration(d.now.Sub(w.Time.Time)) + " ago",
			problem.Clean(strings.TrimSpace(w.URL+" "+w.Message), problem.MaxMessage)})
	}
	d.paper.Titled("Written back", []string{"KIND", "ROLLOUT", "COMMIT", "RESULT", "SEEN", "MESSAGE"}, rows)
}

func (d *sourceDescription) past() {
	var rows [][]string
	for _, h := range d.src.Status.History {
		rows = append(rows, []string{shortRevision(h.Revision), fmt.Sprint(h.Changed), fmt.Sprint(h.Pruned),
			duration.HumanDuration(d.now.Sub(h.Time.Time)) + " ago", fmt.Sprintf("%dms", h.Milliseconds)})
	}
	d.paper.Titled("History", []string{"REVISION", "CHANGED", "PRUNED", "APPLIED", "TOOK"}, rows)
}
