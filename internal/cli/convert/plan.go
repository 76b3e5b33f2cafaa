package convert

import (
	"cmp"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// plan is a Rollout that is being made.
type plan struct {
	from      field // the object that it is made of
	name      string
	namespace string
	host      string
	subset    string
	preview   string
	paused    bool
	skip      bool // steps count time only
	steps     []*step
	metrics   []*metric
	extra     []extra // further fields of the spec
	analysis  []extra // and of its analysis
}

type extra struct {
	name  string
	value any
	from  field
}

// step is one of its steps.
type step struct {
	weight    int
	bake      time.Duration
	approval  bool
	pause     time.Duration
	promotion string
	match     []*yaml.Node
	mirror    *yaml.Node
	gates     []field // analyses that the other tool runs before it goes on
	judged    bool    // its metrics are looked at before it goes on
	from      []field
}

// selects reports that requests go to the new version whatever the weight.
func (s *step) selects() bool { return s.weight < 100 && (len(s.match) > 0 || s.mirror != nil) }

// metric is one of its metrics.
type metric struct {
	name     string
	template *template // nil: a built-in one
	fromStep int
	dryRun   bool
	args     []argument
	todo     string // what people have to do
	from     field
}

type argument struct{ name, value string }

// Bounds of a Rollout.
const (
	maxSteps   = 16
	maxMetrics = 12
)

// last is the step that things belong to; one of weight 0 is made where there is none.
func (p *plan) last(from field) *step {
	if len(p.steps) == 0 {
		p.steps = append(p.steps, &step{from: []field{from}})
	}
	return p.steps[len(p.steps)-1]
}

// own names the routes that are the Rollout's, of all VirtualServices.
func (p *plan) own(routes field) {
	if len(routes.items()) == 0 {
		return
	}
	routes.keep("spec.routes")
	for _, e := range p.extra {
		if names, ok := e.value.(*yaml.Node); ok && e.name == "routes" {
			names.Content = append(names.Content, copied(routes.value).Content...)
			return
		}
	}
	p.extra = append(p.extra, extra{"routes", copied(routes.value), routes})
}

// finish adds what every Rollout needs, and leaves out what one cannot hold.
func (p *plan) finish() {
	if n := len(p.steps); n == 0 || p.steps[n-1].weight < 100 {
		words := "a last step of 100 is added: it is judged too, before the new version is stable"
		if p.skip {
			words = "a last step of 100 is added: it counts time, as the others"
		}
		p.from.doc.note(p.from, words)
		p.steps = append(p.steps, &step{weight: 100})
	}
	for _, s := range p.steps {
		s.gate(p.skip)
	}
	p.shorten()
	builtin := len(v1alpha1.DefaultMetrics())
	for _, m := range p.metrics {
		if m.template == nil {
			builtin--
		}
	}
	if most := maxMetrics - builtin; len(p.metrics) > most {
		for _, m := range p.metrics[most:] {
			m.from.doc.undo(m.from)
			m.from.drop("a Rollout has at most %d metrics, with those that are on by themselves", maxMetrics)
		}
		p.metrics = p.metrics[:most]
	}
}

// node is the Rollout.
func (p *plan) node() *yaml.Node {
	out := object(v1alpha1.GroupVersion().String(), v1alpha1.KindRollout, p.name, p.namespace)
	spec := mapping()
	put(spec, "host", p.host)
	put(spec, "subset", p.subset)
	if p.preview != "" {
		put(spec, "previewHost", p.preview)
	}
	if p.paused {
		put(spec, "paused", true)
	}
	steps := list()
	for _, s := range p.steps {
		steps.Content = append(steps.Content, s.node())
	}
	put(spec, "steps", steps)
	for _, e := range p.extra {
		put(spec, e.name, e.value, e.from)
	}
	if len(p.metrics)+len(p.analysis) > 0 {
		analysis := mapping()
		for _, e := range p.analysis {
			put(analysis, e.name, e.value, e.from)
		}
		metrics := list()
		for _, m := range p.metrics {
			metrics.Content = append(metrics.Content, m.node())
		}
		if len(metrics.Content) > 0 {
			put(analysis, "metrics", metrics)
		}
		put(spec, "analysis", analysis)
	}
	put(out, "spec", spec)
	return above(out, p.from.get("apiVersion"))
}

func (s *step) node() *yaml.Node {
	out := mapping()
	put(out, "weight", s.weight)
	if s.bake > 0 {
		bake := mapping()
		put(bake, "min", s.bake)
		put(out, "bake", flow(bake))
	}
	if s.promotion != "" {
		put(out, "promotion", s.promotion)
	}
	if s.pause > 0 {
		pause := mapping()
		put(pause, "for", s.pause)
		put(out, "pause", flow(pause))
	}
	if s.approval {
		approval := mapping()
		put(approval, "count", 1)
		put(out, "approval", flow(approval))
	}
	if len(s.match) > 0 && s.selects() {
		match := list()
		for _, m := range s.match {
			match.Content = append(match.Content, copied(m))
		}
		put(out, "match", match)
	}
	if s.mirror != nil && s.selects() {
		put(out, "mirror", copied(s.mirror))
	}
	return above(out, s.from...)
}

func (m *metric) node() *yaml.Node {
	out := mapping()
	put(out, "name", m.name)
	if m.template != nil {
		put(out, "template", m.template.name)
	}
	if m.fromStep > 1 {
		put(out, "fromStep", m.fromStep)
	}
	if m.dryRun {
		put(out, "dryRun", true)
	}
	if len(m.args) > 0 {
		args := list()
		for _, a := range m.args {
			arg := mapping()
			put(arg, "name", a.name)
			put(arg, "value", a.value)
			args.Content = append(args.Content, flow(arg))
		}
		put(out, "args", args)
	}
	above(out, m.from)
	if m.todo != "" {
		out.HeadComment = join(out.HeadComment, "# S903 TODO: "+m.todo)
	}
	return out
}

// template is a MetricTemplate that is being made: a condition.
type template struct {
	name, namespace string
	url             string
	query           string
	pass, fail      string
	interval        time.Duration
	delay           time.Duration
	numbers         []extra // limits, by the names of Sluice
	args            []argument
	todo            string // what people have to do
	from            field
}

func (t *template) node() *yaml.Node {
	out := object(v1alpha1.GroupVersion().String(), v1alpha1.KindMetricTemplate, t.name, t.namespace)
	spec, condition := mapping(), mapping()
	if t.url != "" {
		server := mapping()
		put(server, "url", t.url)
		put(spec, "prometheus", flow(server))
	}
	if len(t.args) > 0 {
		args := list()
		for _, a := range t.args {
			arg := mapping()
			put(arg, "name", a.name)
			put(arg, "value", cmp.Or(a.value, unset))
			args.Content = append(args.Content, flow(arg))
		}
		put(spec, "args", args)
	}
	put(condition, "query", t.query)
	if t.pass != "" {
		put(condition, "pass", t.pass)
	}
	if t.fail != "" {
		put(condition, "fail", t.fail)
	}
	if t.interval > 0 {
		put(condition, "interval", t.interval)
	}
	if t.delay > 0 {
		put(condition, "initialDelay", t.delay)
	}
	for _, n := range t.numbers {
		put(condition, n.name, n.value, n.from)
	}
	put(spec, "condition", condition)
	put(out, "spec", spec)
	if t.todo != "" {
		out.HeadComment = "# S903 TODO: " + t.todo
	}
	return out
}
