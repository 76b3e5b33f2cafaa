package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sluice-dev/sluice/analysis/report"
	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
	"github.com/sluice-dev/sluice/internal/app"
	"github.com/sluice-dev/sluice/internal/cli/story"
)

// tell prints the report on an attempt.
func (o *reportOptions) tell(ctx context.Context, s Streams, arg string) error {
	name, err := rolloutName(arg)
	if err != nil {
		return err
	}
	if err := o.cluster.connect(); err != nil {
		return err
	}
	ro := &v1alpha1.Rollout{}
	if err := o.cluster.client.Get().Namespace(o.cluster.namespace).Resource("rollouts").Name(name).Do(ctx).Into(ro); err != nil {
		return failed("getting rollout "+name, err)
	}
	known, missing := o.known(ctx, ro)
	r, err := view.AttemptReport(ro, o.attempt, known)
	if err != nil {
		return &Exit{Code: ExitNo, Err: err, Next: "sluice describe " + name + " -n " + ro.Namespace}
	}
	r.Story.Missing = append(r.Story.Missing, missing...)
	curves, err := o.curves(ctx, ro, &r)
	if err != nil {
		var exit *Exit
		if errors.As(err, &exit) && (exit.Code == ExitUsage || exit.Code == ExitInterrupted) {
			return err
		}
		if o.output == "svg" || o.output == "png" {
			return err
		}
		r.Story.Missing = append(r.Story.Missing, "evidence over time: "+problem.Clean(err.Error(), 512))
	}
	text, err := o.render(r, curves)
	if err != nil {
		return err
	}
	_, err = s.Out.Write(text)
	return err
}

// render is the report in the form that is asked for; nil curves are not drawn.
func (o *reportOptions) render(r view.EvidenceReport, curves *report.Curves) ([]byte, error) {
	if o.output == "png" {
		return report.PNG(*curves)
	}
	doc := story.Document{Report: r, At: app.Now()}
	if curves != nil {
		var err error
		if doc.Plot, err = report.SVG(*curves); err != nil {
			return nil, err
		}
	}
	switch o.output {
	case "svg":
		return doc.Plot, nil
	case "html":
		return story.HTML(doc)
	case "json":
		text, err := json.MarshalIndent(r, "", "  ")
		return append(text, '\n'), err
	}
	return []byte(story.Markdown(doc)), nil
}

// known is what the API server holds about a rollout besides itself, and what it does not give.
func (o *reportOptions) known(ctx context.Context, ro *v1alpha1.Rollout) (view.Known, []string) {
	var out view.Known
	var missing []string
	happened, lacks, err := o.cluster.happened(ctx, ro)
	if err != nil {
		missing = append(missing, "events: "+problem.Clean(err.Error(), 256))
	}
	missing = append(missing, lacks...)
	for _, e := range happened {
		out.Events = append(out.Events, view.StoryEvent{At: e.At, About: e.Object, Reason: e.Reason, Note: e.Note})
	}
	list := &v1alpha1.RolloutActionList{}
	if err := o.cluster.client.Get().Namespace(ro.Namespace).Resource("rolloutactions").Do(ctx).Into(list); err != nil {
		missing = append(missing, "who acted: "+problem.Clean(fmt.Sprint(failed("listing actions", err)), 256))
	}
	out.Actions = list.Items
	return out, missing
}
