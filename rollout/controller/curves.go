package controller

import (
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/analysis/report"
	"github.com/sluice-dev/sluice/rollout"
)

// The bounds of what is kept for pictures.
const (
	maxDrawn  = 256 // Rollouts; beyond, the one that was looked at longest ago goes
	maxPoints = 256 // of a metric; beyond, every other one goes
	maxMarks  = 96
)

// curves are what newest attempts knew at each look, for pictures of them. Only this process knows them: of what was before
// a restart the picture says that it is not drawn, and `sluice report` draws it from samples.
type curves struct {
	mu  sync.Mutex
	all map[types.NamespacedName]*drawn // guarded by mu
}

type drawn struct {
	uid     types.UID
	attempt int64
	seq     uint64    // of the newest mark
	looked  time.Time // the time of the newest point
	touched time.Time
	started time.Time // the attempt
	watched time.Time // by this process; later than started where it took the attempt over
	metrics map[string]*report.Curves
	marks   []report.Mark
}

// see takes in what a pass has found and decided. It comes before the write, so that a note finds it.
func (c *curves) see(p *pass, d decision) {
	if d.withheld || d.next.Attempt == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	one := c.all[p.key]
	if one == nil || one.uid != p.object.UID || one.attempt != d.next.Attempt {
		if !d.next.Phase.Open() {
			return
		}
		one = c.begin(p.key, p.object.UID, d.next.Attempt)
		one.started, one.watched = d.next.Progress.StartedAt, d.next.Progress.StartedAt
		if p.state.Attempt == d.next.Attempt {
			one.watched = p.now
		}
	}
	one.touched = p.now
	if r := d.observation.Report; r.At.After(one.looked) && r.Verdict != analysis.Unknown {
		one.look(r, p.analysis.WithDefaults(), p.state.Traffic.Step)
	}
	if m := d.actions.Transition; m != nil && m.Seq > one.seq {
		one.mark(*m, d)
	}
}

// drop lets go of an object that is gone.
func (c *curves) drop(uid types.UID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.all, func(_ types.NamespacedName, one *drawn) bool { return one.uid == uid })
}

func (c *curves) begin(key types.NamespacedName, uid types.UID, attempt int64) *drawn {
	if c.all == nil {
		c.all = map[types.NamespacedName]*drawn{}
	}
	one := &drawn{uid: uid, attempt: attempt, metrics: map[string]*report.Curves{}}
	c.all[key] = one
	for len(c.all) > maxDrawn {
		var oldest types.NamespacedName
		for k, o := range c.all {
			if k != key && (oldest.Name == "" || o.touched.Before(c.all[oldest].touched)) {
				oldest = k
			}
		}
		delete(c.all, oldest)
	}
	return one
}

func (o *drawn) look(r analysis.Report, cfg analysis.Config, step int) {
	o.looked = r.At
	for _, m := range r.Metrics {
		if m.Gate != nil || m.DryRun {
			continue
		}
		of := o.metrics[m.Name]
		if of == nil {
			of = &report.Curves{Metric: m.Name, Alpha: cfg.Alpha, Beta: cfg.Beta}
			o.metrics[m.Name] = of
		}
		if of.Add(r, step); len(of.Points) > maxPoints {
			kept := of.Points[:0]
			for i, p := range of.Points {
				if i%2 == 0 || i == len(of.Points)-1 {
					kept = append(kept, p)
				}
			}
			of.Points = kept
		}
	}
}

func (o *drawn) mark(m rollout.Transition, d decision) {
	o.seq = m.Seq
	mark := report.Mark{At: d.next.Since}
	switch {
	case !m.To.Open() && m.From.Open():
		mark.Kind, mark.Verdict, mark.Text = report.Decision, d.observation.Report.Verdict, string(m.Reason)
	case m.Reason == rollout.WeightProgrammed:
		mark.Kind = report.Acked
	case m.To == rollout.Shifting:
		mark.Kind, mark.Weight = report.WeightChange, m.Weight
	default:
		return
	}
	if o.marks = append(o.marks, mark); len(o.marks) > maxMarks {
		o.marks = o.marks[1:]
	}
}

// Curves gives what this process knows of an attempt over time: of the metric that looks worst now. ok is false where it
// has not watched the attempt. Sentence and names are the caller's to add.
func (c *Controller) Curves(key types.NamespacedName, attempt int64) (out report.Curves, ok bool) {
	c.curves.mu.Lock()
	defer c.curves.mu.Unlock()
	one := c.curves.all[key]
	if one == nil || one.attempt != attempt {
		return out, false
	}
	for _, m := range one.metrics {
		last, best := m.Points[len(m.Points)-1].AtLeast, -1.0
		if len(out.Points) > 0 {
			best = out.Points[len(out.Points)-1].AtLeast
		}
		if last > best || last == best && m.Metric < out.Metric {
			out = *m
		}
	}
	out.Points, out.Marks = slices.Clone(out.Points), slices.Clone(one.marks)
	out.Start, out.Watched = one.started, one.watched
	return out, len(out.Points) > 0
}
