package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/analysis/prom"
	"github.com/sluice-dev/sluice/analysis/replay"
	"github.com/sluice-dev/sluice/analysis/report"
	"github.com/sluice-dev/sluice/analysis/spec"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
	"github.com/sluice-dev/sluice/internal/app"
	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/istio"
)

// past is an attempt that is judged anew.
type past struct {
	o         *reportOptions
	ro        *v1alpha1.Rollout
	report    *view.EvidenceReport
	attempt   replay.Attempt
	refs      map[string]*v1alpha1.PrometheusReference // by metric, of those whose template names one
	servers   map[string]*prom.Server                  // by URL
	templates map[string]spec.Template
}

// curves judges the attempt anew, and notes the curves and the queries in the report. The error says why there are none.
func (o *reportOptions) curves(ctx context.Context, ro *v1alpha1.Rollout, r *view.EvidenceReport) (*report.Curves, error) {
	p := &past{o: o, ro: ro, report: r, refs: map[string]*v1alpha1.PrometheusReference{}, servers: map[string]*prom.Server{}, templates: map[string]spec.Template{}}
	defer p.close()
	ctx, cancel := context.WithTimeoutCause(ctx, o.timeout, errTimeout)
	defer cancel()
	if err := p.prepare(ctx); err != nil {
		return nil, err
	}
	found, err := replay.Judge(ctx, p.attempt, func(metric string) (analysis.Querier, error) { return p.server(metric) })
	switch {
	case errors.Is(err, replay.ErrGone):
		return nil, p.gone()
	case errors.Is(err, errTimeout):
		return nil, &Exit{Code: ExitTimeout, Err: err, Next: "a longer --timeout"}
	case err != nil:
		return nil, &Exit{Code: ExitUnreachable, Err: err}
	}
	metric := cmp.Or(o.metric, found.Metric(), v1alpha1.MetricErrors)
	c := found.Curves(metric)
	if len(c.Points) == 0 {
		if o.metric != "" {
			return nil, &Exit{Code: ExitNo, Err: fmt.Errorf("nothing is known of metric %s in that time", metric), Next: "leave --metric out"}
		}
		return nil, p.gone()
	}
	p.caption(&c)
	r.Story.Curves = p.noted(c)
	return &c, nil
}

func (p *past) gone() error {
	s := p.attempt.Stages
	return &Exit{Code: ExitNo, Err: fmt.Errorf("the server holds no samples of both versions from %s to %s any more, or never did",
		s[0].From.Format(time.RFC3339), s[len(s)-1].To.Format(time.RFC3339)), Next: "a Prometheus that keeps them for longer, by --prometheus"}
}

// prepare finds out what was judged, when, and where it is read.
func (p *past) prepare(ctx context.Context) error {
	now := app.Now()
	for _, s := range p.report.Story.Steps {
		if s.From == nil {
			continue
		}
		stage := replay.Stage{Step: int(s.Step), Weight: int(s.Weight), From: *s.From, To: now, Required: s.Metrics}
		if s.To != nil {
			stage.To = *s.To
		}
		if s.Acked != nil {
			stage.Settled = *s.Acked
		}
		if stage.To.After(stage.From) {
			p.attempt.Stages = append(p.attempt.Stages, stage)
		}
	}
	if len(p.attempt.Stages) == 0 {
		return &Exit{Code: ExitNo, Err: errors.New("it is not known when which weight began: the API server keeps events for an hour or so")}
	}
	if p.report.Version == nil || p.report.Stable == nil {
		return &Exit{Code: ExitNo, Err: errors.New("it is not known which versions were compared")}
	}
	p.readTemplates(ctx)
	var err error
	if p.attempt.Config, err = spec.Config(p.ro.Spec.Analysis, 0, p.templates); err != nil {
		return &Exit{Code: ExitNo, Err: fmt.Errorf("the analysis of the Rollout cannot be used: %w", err)}
	}
	if errs := p.attempt.Config.Validate(); len(errs) > 0 {
		return &Exit{Code: ExitNo, Err: fmt.Errorf("the analysis of the Rollout cannot be used: %w", errors.Join(errs...))}
	}
	return p.findArms(ctx)
}

// readTemplates gets the MetricTemplates that metrics name, as far as they can be read.
func (p *past) readTemplates(ctx context.Context) {
	for _, m := range p.ro.Spec.Analysis.Metrics {
		if m.Disabled || m.Template == "" {
			continue
		}
		t := &v1alpha1.MetricTemplate{}
		err := p.o.cluster.client.Get().Namespace(p.ro.Namespace).Resource("metrictemplates").Name(m.Template).Do(ctx).Into(t)
		var own spec.Template
		if err == nil {
			own, err = spec.Read(t.Spec, m.Args)
		}
		if err != nil {
			p.report.Story.Missing = append(p.report.Story.Missing, fmt.Sprintf("metric %s over time: MetricTemplate %s: %v", m.Name, m.Template, err))
			continue
		}
		p.templates[m.Name] = own
		if t.Spec.Prometheus != nil {
			p.refs[m.Name] = t.Spec.Prometheus
		}
	}
}

// server is where a metric is read.
func (p *past) server(metric string) (*prom.Server, error) {
	ref := p.ro.Spec.Analysis.Prometheus
	if own := p.refs[metric]; own != nil {
		ref = own
	}
	key := p.address(metric)
	if known := p.servers[key]; known != nil {
		return known, nil
	}
	server, err := p.o.servers.Open(ref)
	if err != nil {
		return nil, err
	}
	p.servers[key] = server
	return server, nil
}

// address is the server of a metric in words.
func (p *past) address(metric string) string {
	ref := p.ro.Spec.Analysis.Prometheus
	if own := p.refs[metric]; own != nil {
		ref = own
	}
	switch {
	case ref == nil:
		return cmp.Or(p.o.servers.URL, "Prometheus "+prom.Default)
	case ref.URL != "":
		return ref.URL
	}
	return "Prometheus " + cmp.Or(ref.Name, prom.Default)
}

func (p *past) close() {
	for _, s := range p.servers {
		s.Close()
	}
}

// findArms learns from the samples themselves by which clusters the versions were told apart, and notes what is asked.
func (p *past) findArms(ctx context.Context) error {
	server, err := p.server("")
	if err != nil {
		return &Exit{Code: ExitNo, Err: err, Next: "name it by --prometheus URL, or give the controller's --prometheus-config FILE"}
	}
	canary, stable := p.report.Version.Name, p.report.Stable.Name
	host := istio.ResolveHost(p.ro.Spec.Host, p.ro.Namespace, p.o.suffix)
	stages := p.attempt.Stages
	clusters, err := server.Clusters(ctx, host, []string{canary, stable}, stages[0].From, stages[len(stages)-1].To)
	if err != nil {
		return &Exit{Code: ExitUnreachable, Err: fmt.Errorf("asking %s: %w", p.address(""), err)}
	}
	arms := &p.attempt.Arms
	for _, name := range clusters {
		port, subset, _, ok := ir.ParseClusterName(name)
		if !ok {
			continue
		}
		vars := map[string]string{"namespace": p.ro.Namespace, "rollout": p.ro.Name, "subset": subset, "cluster": name, "host": host, "port": strconv.Itoa(port)}
		if subset == canary {
			arms.Canary, arms.CanaryVars = append(arms.Canary, name), append(arms.CanaryVars, vars)
		} else {
			arms.Stable, arms.StableVars = append(arms.Stable, name), append(arms.StableVars, vars)
		}
	}
	if len(arms.Canary) == 0 || len(arms.Stable) == 0 {
		return p.gone()
	}
	p.ask()
	return nil
}

// ask notes in the report what is asked for each metric.
func (p *past) ask() {
	last := p.attempt.Stages[len(p.attempt.Stages)-1]
	for _, c := range p.attempt.Config.WithDefaults().Criteria {
		server, err := p.server(c.Name)
		if err != nil {
			p.report.Story.Missing = append(p.report.Story.Missing, fmt.Sprintf("metric %s over time: %v", c.Name, err))
			continue
		}
		q := analysis.Query{Metric: c.Name, Ratio: c.Ratio, Histogram: c.Histogram, Condition: c.Condition, Arms: p.attempt.Arms, From: last.From, Until: last.To}
		text, err := server.Expression(q)
		if err != nil {
			continue // load reports are asked of nobody
		}
		p.report.Story.Queries = append(p.report.Story.Queries, view.StoryQuery{Metric: c.Name, Server: p.address(c.Name), Query: text})
	}
}

// caption says what the curves are about, and marks where it was decided.
func (p *past) caption(c *report.Curves) {
	r := p.report
	c.Sentence, c.Canary, c.Stable = r.Sentence, r.Version.Name, r.Stable.Name
	if r.Story.EndedAt == nil {
		return
	}
	verdict, words := analysis.Unknown, string(r.Story.Outcome)
	switch r.Story.Outcome {
	case v1alpha1.OutcomeCompleted:
		verdict = analysis.Promote
	case v1alpha1.OutcomeRolledBack:
		verdict, words = analysis.Rollback, "rolled back"
	case v1alpha1.OutcomeOpen, v1alpha1.OutcomeAborted, v1alpha1.OutcomeSuperseded, v1alpha1.OutcomeReverted, v1alpha1.OutcomeRestarted, v1alpha1.OutcomeDeleted:
	}
	c.Marks = append(c.Marks, report.Mark{Kind: report.Decision, At: *r.Story.EndedAt, Verdict: verdict, Text: words})
}

// noted are the curves as numbers.
func (p *past) noted(c report.Curves) *view.StoryCurves {
	out := &view.StoryCurves{Metric: c.Metric, Server: p.address(c.Metric), Alpha: c.Alpha, Beta: c.Beta, Margin: c.Margin, Points: make([]view.StoryPoint, 0, len(c.Points))}
	for _, one := range c.Points {
		point := view.StoryPoint{At: one.At.UTC(), Step: one.Step, Ratio: one.Ratio, Harm: one.Harm, Safe: one.Safe, Blind: one.Blind}
		if one.AtLeast > 0 {
			point.AtLeast = &one.AtLeast
		}
		out.Points = append(out.Points, point)
	}
	return out
}
