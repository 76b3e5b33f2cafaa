package controller

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// What a look found; one that failed counts under its reason.
const (
	pollUnchanged = "Unchanged"
	pollNew       = "New"
)

// States of an object of the inventory.
const (
	stateApplied = "applied"
	statePending = "pending"
)

// Buckets of everything that a person waits for: from a tenth of a second to half an hour.
func buckets() []float64 { return []float64{0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800} }

// The phases of a pass that take time.
const (
	phaseFetch  = "fetch"
	phaseRender = "render"
	phaseApply  = "apply"
)

// meters are what is measured of Sources. A gauge of a Source that is gone goes with it.
type meters struct {
	polls       *prometheus.CounterVec   // by result
	applied     prometheus.Histogram     // from a push as we heard of it to its commit applied
	hooks       *prometheus.CounterVec   // by provider and result
	repairs     prometheus.Counter       // objects put back as Git has them
	preemptions prometheus.Counter       // runs that a newer commit cut short
	phases      *prometheus.HistogramVec // by phase
	success     *prometheus.GaugeVec
	suspended   *prometheus.GaugeVec
	objects     *prometheus.GaugeVec
	problems    *prometheus.GaugeVec // by code too
	pruneHeld   *prometheus.GaugeVec
	heldUnits   *prometheus.GaugeVec
}

func newMeters() meters {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sluice_source_" + name, Help: help}, labels)
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "sluice_source_" + name, Help: help}, append([]string{"namespace", "source"}, labels...))
	}
	return meters{
		polls: counter("polls_total", "Looks at a remote, by result: New, Unchanged or the reason of a failure.", "result"),
		applied: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "sluice_source_push_to_applied_seconds", Help: "From hearing of a push to its commit applied.", Buckets: prometheus.ExponentialBuckets(0.025, 2, 14),
		}),
		hooks:       counter("hooks_total", "Webhooks, by provider and the code that they were answered with.", "provider", "result"),
		repairs:     prometheus.NewCounter(prometheus.CounterOpts{Name: "sluice_source_repairs_total", Help: "Objects that others had changed and that were put back as Git has them."}),
		preemptions: prometheus.NewCounter(prometheus.CounterOpts{Name: "sluice_source_preemptions_total", Help: "Runs that were cut short because there was a newer commit to apply."}),
		phases: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sluice_source_phase_seconds", Help: "Time in a phase of a pass: fetch, render, apply.", Buckets: buckets(),
		}, []string{"phase"}),
		success:   gauge("last_success_timestamp_seconds", "When the remote was last reached and nothing was left to do."),
		suspended: gauge("suspended", "1 while the Source is suspended."),
		objects:   gauge("objects", "Objects in the inventory, by state: applied, or pending where they are about to be.", "state"),
		problems:  gauge("problems", "Problems in the content, by code, of those that the status lists.", "code"),
		pruneHeld: gauge("prune_held", "Objects that Git no longer has and that are kept for now."),
		heldUnits: gauge("held_units", "Units that are kept as they were because of a problem."),
	}
}

// Collectors are what the Controller measures, to be registered by whoever made it.
func (c *Controller) Collectors() []prometheus.Collector { return c.meters.collectors() }

// Measured are collectors like those of a Controller of which nothing is counted: for a list of what there is.
func Measured() []prometheus.Collector { return newMeters().collectors() }

func (m meters) collectors() []prometheus.Collector {
	return append([]prometheus.Collector{m.polls, m.applied, m.hooks, m.repairs, m.preemptions, m.phases}, m.gauges()...)
}

func (m meters) gauges() []prometheus.Collector {
	return []prometheus.Collector{m.success, m.suspended, m.objects, m.problems, m.pruneHeld, m.heldUnits}
}

// measure takes over what the status says.
func (p *pass) measure() {
	p.memory.success = lastSuccess(p.src, p.memory.success, p.started)
	p.controller.meters.stand(p.src, p.memory.success)
}

// lastSuccess is when the remote was last reached and nothing was left to do; known is what this process knew of it, zero:
// nothing. A process that has just begun takes what the status tells: one that was ready was so until now, one that is not
// any more was so until then, and for one that never was the time counts from its creation.
func lastSuccess(src *v1alpha1.Source, known, now time.Time) time.Time {
	s := &src.Status
	ready := v1alpha1.Condition(s.Conditions, v1alpha1.ConditionReady)
	switch {
	case ready != nil && ready.Reason == v1alpha1.ReasonApplied && s.Failures == 0:
		return now
	case !known.IsZero():
		return known
	case ready == nil || s.LastAppliedRevision == "":
		return src.CreationTimestamp.Time
	case ready.Status == metav1.ConditionTrue:
		return now
	default:
		return ready.LastTransitionTime.Time
	}
}

// stand takes over what a status says.
func (m meters) stand(src *v1alpha1.Source, success time.Time) {
	at := []string{src.Namespace, src.Name}
	s := &src.Status
	suspended := 0.0
	if src.Spec.Suspend {
		suspended = 1
	}
	m.suspended.WithLabelValues(at...).Set(suspended)
	pending := pendingObjects(s.Inventory)
	m.objects.WithLabelValues(src.Namespace, src.Name, stateApplied).Set(float64(len(s.Inventory) - pending))
	m.objects.WithLabelValues(src.Namespace, src.Name, statePending).Set(float64(pending))
	m.heldUnits.WithLabelValues(at...).Set(float64(refusedUnits(s)))
	held := 0.0
	if s.PruneHeld != nil {
		held = float64(s.PruneHeld.Count)
	}
	m.pruneHeld.WithLabelValues(at...).Set(held)
	m.problems.DeletePartialMatch(of(src.Namespace, src.Name))
	for _, p := range s.Problems {
		m.problems.WithLabelValues(src.Namespace, src.Name, p.Code).Inc()
	}
	m.success.WithLabelValues(at...).Set(float64(success.UnixMilli()) / 1e3)
}

func of(namespace, name string) prometheus.Labels {
	return prometheus.Labels{"namespace": namespace, "source": name}
}

// forget drops the gauges of a Source.
func (m meters) forget(source types.NamespacedName) {
	for _, g := range []*prometheus.GaugeVec{m.success, m.suspended, m.objects, m.problems, m.pruneHeld, m.heldUnits} {
		g.DeletePartialMatch(of(source.Namespace, source.Name))
	}
}

// took notes how long a phase of a pass was.
func (p *pass) took(phase string, since time.Time) {
	c := p.controller
	c.meters.phases.WithLabelValues(phase).Observe(c.config.Now().Sub(since).Seconds())
}

// tookApply notes how long applying was, of the commit too.
func (p *pass) tookApply(since time.Time) {
	p.took(phaseApply, since)
	if rev := p.memory.revision; rev != nil {
		p.noteRun(rev.commit.ID, func(r *Run) {
			if r.Apply.From.IsZero() {
				r.Apply.From = since
			}
			r.Apply.To = p.controller.config.Now()
		})
	}
}

// pendingObjects counts the entries of an inventory that are about to be applied: nothing is known of them yet.
func pendingObjects(inventory []string) int {
	n := 0
	for _, entry := range inventory {
		if strings.HasSuffix(entry, " -") {
			n++
		}
	}
	return n
}

// arrived notes how long the push took whose commit is applied now, if this is one.
func (p *pass) arrived() {
	m, c := p.memory, p.controller
	if !m.pushed.IsZero() && m.settled {
		c.meters.applied.Observe(c.config.Now().Sub(m.pushed).Seconds())
	}
	m.pushed = time.Time{}
}

// count counts a webhook by its answer. Nobody's Sources count as unknown: their names are not ours to keep.
func (r *receiver) count(req *http.Request, code int) {
	provider := "unknown"
	r.mu.Lock()
	if known := r.sources[types.NamespacedName{Namespace: req.PathValue("namespace"), Name: req.PathValue("name")}]; known != nil && known.url != "" {
		provider = string(known.provider)
	}
	r.mu.Unlock()
	r.controller.meters.hooks.WithLabelValues(provider, strconv.Itoa(code)).Inc()
}
