package controller

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// What a weight is seen as.
const (
	viewWanted = "wanted" // stored
	viewAcked  = "acked"  // run by every proxy
	viewSeen   = "seen"   // the canary's part of the requests that proxies report
)

// seenFor is how far back reports of requests count for the weight that is seen.
const seenFor = 15 * time.Second

// standing is what is known of every Rollout when somebody asks, read from the objects as this process has them: what is
// gone is not shown. A process that does not lead shows nothing.
type standing struct {
	controller *Controller // nil: nothing is known
	descs
}

// descs are the series of Rollouts.
type descs struct {
	info, ready            *prometheus.Desc
	weight, step, deadline *prometheus.Desc
	rejected, brake        *prometheus.Desc
	evidence, blind        *prometheus.Desc
	totals
}

// totals are those of what is counted.
type totals struct {
	transitions, attempts, verdicts, requests *prometheus.Desc
}

func newStanding(c *Controller) *standing {
	of := []string{"namespace", "rollout"}
	if c != nil && c.meters.tallies.together {
		of = nil
	}
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("sluice_"+name, help, append(of[:len(of):len(of)], labels...), nil)
	}
	return &standing{controller: c, descs: descs{
		info:     desc("rollout_info", "1, with what the labels say of a Rollout: the subsets and the commit that Git wants.", "host", "stable", "canary", "commit"),
		ready:    desc("rollout_ready", "1 for the present status and reason of a Rollout's condition Ready.", "status", "reason"),
		weight:   desc("rollout_weight_percent", "The canary's weight: as wanted, as every proxy has acknowledged it, and as its part of the requests that proxies report.", "view"),
		step:     desc("rollout_step", "Step of the open attempt, from 1; 0 at rest."),
		deadline: desc("rollout_deadline_timestamp_seconds", "When the present wait ends if nothing happens; absent at rest."),
		rejected: desc("rollout_rejected", "1 while Git wants a version that was rejected."),
		brake:    desc("rollout_brake", "1 while a canary gets no traffic from the proxies of this process although that is not stored yet."),
		evidence: desc("analysis_evidence", "Evidence of an open attempt, by metric: of harm, and of no harm.", "metric", "kind"),
		blind:    desc("analysis_blind", "1 while the analysis of an open attempt has no usable data."),
		totals: totals{
			transitions: desc("rollout_transitions_total", "Stored transitions, by reason.", "reason"),
			attempts:    desc("rollout_attempts_total", "Attempts whose outcome was decided, by outcome: completed, rolledback, aborted, superseded, and reverted, restarted, deleted.", "outcome"),
			verdicts:    desc("analysis_verdicts_total", "Verdicts that an analysis came to, each time it is another one.", "verdict"),
			requests:    desc("analysis_requests_total", "Requests that were judged, by arm: canary or stable.", "arm"),
		}}}
}

// Describe implements prometheus.Collector.
func (s *standing) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{s.info, s.ready, s.weight, s.step, s.deadline, s.rejected, s.brake, s.evidence, s.blind, s.transitions, s.attempts, s.verdicts, s.requests} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (s *standing) Collect(to chan<- prometheus.Metric) {
	if s.controller == nil {
		return
	}
	ctx := s.controller.queries.context()
	if ctx == nil {
		return
	}
	list := &v1alpha1.RolloutList{}
	if err := s.controller.config.Client.List(ctx, list, onlyLooked); err != nil { // the cache is there, or the process ends
		to <- prometheus.NewInvalidMetric(s.info, err)
		return
	}
	if s.controller.meters.tallies.together {
		s.whole(to, list.Items)
	} else {
		memories := s.controller.memories.copied()
		for i := range list.Items {
			s.one(to, &list.Items[i], memories[client.ObjectKeyFromObject(&list.Items[i])])
		}
	}
	for key, t := range s.controller.meters.tallies.copied() {
		s.counts(to, key, t)
	}
}

func gauge(d *prometheus.Desc, v float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

// one shows a Rollout.
func (s *standing) one(to chan<- prometheus.Metric, ro *v1alpha1.Rollout, m *memory) {
	ns, name, st := ro.Namespace, ro.Name, statusOf(ro)
	canary := ""
	if st.Canary != nil {
		canary = st.Canary.Name
	}
	to <- gauge(s.info, 1, ns, name, ro.Spec.Host, st.Stable.Name, canary, ro.Annotations[v1alpha1.AnnotationCommit])
	status, reason := readiness(st)
	to <- gauge(s.ready, 1, ns, name, status, reason)
	to <- gauge(s.weight, float64(st.Weight), ns, name, viewWanted)
	to <- gauge(s.weight, float64(ackedWeight(st)), ns, name, viewAcked)
	if share, known := s.seen(ro, m); known {
		to <- gauge(s.weight, share, ns, name, viewSeen)
	}
	to <- gauge(s.step, float64(st.Step), ns, name)
	if st.Deadline != nil && !st.Phase.AtRest() {
		to <- gauge(s.deadline, unix(st.Deadline.Time), ns, name)
	}
	to <- gauge(s.rejected, truth(drifts(st)), ns, name)
	_, on := s.controller.brakes.of(ro.UID)
	to <- gauge(s.brake, truth(on), ns, name)
	if !st.Phase.Open() || st.Analysis == nil {
		return
	}
	to <- gauge(s.blind, truth(blinded(st)), ns, name)
	for _, metric := range st.Analysis.Metrics {
		for kind, text := range map[string]string{"harm": metric.Harm, "safe": metric.Safe} {
			if v, err := strconv.ParseFloat(text, 64); err == nil { // none is shown where it is not known, or over 1e300
				to <- gauge(s.evidence, v, ns, name, metric.Name, kind)
			}
		}
	}
}

// whole shows all Rollouts together: how many are ready and why not, and whether any is late, braked, rejected or blind.
func (s *standing) whole(to chan<- prometheus.Metric, all []v1alpha1.Rollout) {
	ready := map[[2]string]float64{}
	var earliest time.Time
	var rejected, blind, open bool
	for i := range all {
		st := statusOf(&all[i])
		status, reason := readiness(st)
		ready[[2]string{status, reason}]++
		if d := st.Deadline; d != nil && !st.Phase.AtRest() && (earliest.IsZero() || d.Time.Before(earliest)) {
			earliest = d.Time
		}
		rejected = rejected || drifts(st)
		open = open || st.Phase.Open()
		blind = blind || st.Phase.Open() && blinded(st)
	}
	for of, n := range ready {
		to <- gauge(s.ready, n, of[0], of[1])
	}
	if !earliest.IsZero() {
		to <- gauge(s.deadline, unix(earliest))
	}
	to <- gauge(s.rejected, truth(rejected))
	to <- gauge(s.brake, truth(len(s.controller.brakes.list()) > 0))
	if open {
		to <- gauge(s.blind, truth(blind))
	}
}

// counts shows a tally.
func (s *standing) counts(to chan<- prometheus.Metric, key types.NamespacedName, t tally) {
	for _, c := range []struct {
		desc *prometheus.Desc
		of   map[string]float64
	}{{s.transitions, t.transitions}, {s.attempts, t.attempts}, {s.verdicts, t.verdicts}, {s.requests, t.requests}} {
		for label, n := range c.of {
			labels := []string{key.Namespace, key.Name, label}
			if s.controller.meters.tallies.together {
				labels = labels[2:]
			}
			to <- prometheus.MustNewConstMetric(c.desc, prometheus.CounterValue, n, labels...)
		}
	}
}

func statusOf(ro *v1alpha1.Rollout) *v1alpha1.RolloutStatus {
	if ro.Status == nil {
		return &v1alpha1.RolloutStatus{}
	}
	return ro.Status
}

// readiness is what the condition Ready says.
func readiness(st *v1alpha1.RolloutStatus) (status, reason string) {
	if c := v1alpha1.Condition(st.Conditions, v1alpha1.ConditionReady); c != nil {
		return string(c.Status), c.Reason
	}
	return "Unknown", v1alpha1.ReasonPending
}

// drifts reports that Git wants a version that was rejected.
func drifts(st *v1alpha1.RolloutStatus) bool { return st.Phase == v1alpha1.PhaseRolledBack }

func blinded(st *v1alpha1.RolloutStatus) bool {
	return st.Analysis != nil && st.Analysis.Verdict == string(analysis.Blind)
}

// ackedWeight is the weight that every proxy runs: what is stored once they have acknowledged it, else that of the step
// before.
func ackedWeight(st *v1alpha1.RolloutStatus) int32 {
	before := st.Step - 1
	if st.Phase == v1alpha1.PhaseRollingBack {
		before = st.Step
	}
	switch {
	case st.Observe: // nothing is sent to it
		return 0
	case st.SettledSeq >= st.Traffic.Seq || st.Phase != v1alpha1.PhaseShifting && st.Phase != v1alpha1.PhaseRollingBack:
		return st.Weight
	case before < 1 || int(before) > len(st.Plan):
		return 0
	}
	return st.Plan[before-1].Weight
}

// seen is the canary's part of the requests that proxies have reported lately.
func (s *standing) seen(ro *v1alpha1.Rollout, m *memory) (percent float64, known bool) {
	if m == nil || !fed(ro) {
		return 0, false
	}
	c := m.seen()
	if c == nil || len(c.facts.CanaryClusters) == 0 {
		return 0, false
	}
	since := s.controller.config.Now().Add(-seenFor)
	requests := func(clusters []string) (n uint64) {
		for _, l := range s.controller.config.Fleet.LoadsOf(clusters, since) {
			n += l.Issued
		}
		return n
	}
	canary, stable := requests(c.facts.CanaryClusters), requests(c.facts.StableClusters)
	if canary+stable == 0 {
		return 0, false
	}
	return 100 * float64(canary) / float64(canary+stable), true
}

func truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func unix(t time.Time) float64 { return float64(t.UnixMilli()) / 1e3 }
