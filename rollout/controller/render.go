package controller

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/rollout"
)

// maxLaggards is how many proxies that have not answered are named.
const maxLaggards = 5

// status is the status that a decision leads to, but that finish adds what is costly to write out. The object is left alone.
func (p *pass) status(ctx context.Context, d decision) (*v1alpha1.RolloutStatus, error) {
	s := p.object.Status.DeepCopy()
	if s == nil {
		s = &v1alpha1.RolloutStatus{}
	}
	store(d.next, s)
	s.ObservedGeneration = p.object.Generation
	s.Deadline = nil
	if at := d.actions.Deadline; !at.IsZero() && !d.next.Phase.Rest() {
		s.Deadline = moment(at.Truncate(time.Second))
	}
	s.Analysis = p.analysisStatus(s.Analysis, d)
	if err := p.storeNotes(ctx, s, d); err != nil {
		return nil, err
	}
	s.Proxies = p.proxies()
	s.Display = p.display(d, s)
	s.Conditions = p.conditions(d, s)
	return s, nil
}

// finish makes a status the one to be stored: with the evidence, and small enough.
func (p *pass) finish(s *v1alpha1.RolloutStatus) error {
	if j := &p.memory.judged; s.Analysis != nil && p.state.Phase.Open() && j.evidence.Begun() {
		text, err := j.evidence.MarshalText()
		if err != nil { // it cannot be kept: the next look starts afresh, which never promotes too early
			text = nil
		}
		s.Analysis.Evidence = string(text)
	}
	return fit(s, p.analysis.Criteria)
}

// analysisStatus shows the newest report of the attempt and keeps the evidence. It survives the attempt, until the next
// one or until Git goes back.
func (p *pass) analysisStatus(was *v1alpha1.AnalysisStatus, d decision) *v1alpha1.AnalysisStatus {
	if d.next.Attempt != p.state.Attempt || d.actions.Transition != nil && d.next.Reason == rollout.Reverted {
		return nil
	}
	j := &p.memory.judged
	if !p.state.Phase.Open() || !j.evidence.Begun() {
		return was
	}
	out := &v1alpha1.AnalysisStatus{}
	if was != nil {
		out.Verdict, out.Reason, out.Message, out.Metrics = was.Verdict, was.Reason, was.Message, was.Metrics
	}
	if r := d.observation.Report; !r.At.IsZero() {
		out.Verdict, out.Reason, out.Message = r.Verdict.String(), string(r.Reason), problem.Clean(r.Message, v1alpha1.MaxMessage)
		out.Metrics = metricsOf(r)
	}
	return out
}

func (p *pass) proxies() *v1alpha1.ProxiesStatus {
	out := &v1alpha1.ProxiesStatus{Connected: int32(p.fleet.Connected), Acked: int32(p.fleet.Acked), Nacked: int32(p.fleet.Nacked)}
	for _, name := range p.fleet.Laggards[:min(maxLaggards, len(p.fleet.Laggards))] {
		out.Laggards = append(out.Laggards, problem.Clean(name, 128))
	}
	return out
}

// display is what tables show.
func (p *pass) display(d decision, s *v1alpha1.RolloutStatus) *v1alpha1.DisplayStatus {
	st := d.next
	out := &v1alpha1.DisplayStatus{Weight: shareOf(st.Traffic), Commit: st.Stable.Commit,
		Proxies: fmt.Sprintf("%d/%d", p.fleet.Acked, p.fleet.Connected)}
	if len(st.Plan) > 0 {
		out.Step = fmt.Sprintf("%d/%d", st.Traffic.Step, len(st.Plan))
	}
	if st.Canary.Name != "" {
		out.Commit = st.Canary.Commit
	}
	out.Commit = out.Commit[:min(7, len(out.Commit))]
	if from := acknowledged(st); from != out.Weight {
		out.Weight = strings.TrimSuffix(from, "%") + ">" + out.Weight
	}
	if a := s.Analysis; a != nil {
		out.Verdict = a.Verdict
		if a.Verdict == string(analysis.Inconclusive) {
			out.Verdict = a.Reason
		}
	}
	return out
}

// shareOf is what the canary is sent: "15%", "0%+match", "15%+mirror10%".
func shareOf(t rollout.Traffic) string {
	out := fmt.Sprintf("%d%%", t.Weight)
	if len(t.Match) > 0 {
		out += "+match"
	}
	if t.Mirror.Percent > 0 {
		out += fmt.Sprintf("+mirror%d%%", t.Mirror.Percent)
	}
	return out
}

// acknowledged is what the proxies sent the canary before what they are moving to.
func acknowledged(st rollout.State) string {
	step := st.Traffic.Step
	switch {
	case st.Phase == rollout.Shifting && step > 1:
		return shareOf(partsOf(st.Plan[step-2]))
	case st.Phase == rollout.Shifting:
		return shareOf(rollout.Traffic{})
	case st.Phase == rollout.RollingBack && st.Traffic.Settled < st.Traffic.Seq && !st.Kind.Observe:
		return shareOf(partsOf(st.Stage()))
	}
	return shareOf(st.Traffic)
}

// partsOf is what a step sends the canary.
func partsOf(s rollout.Stage) rollout.Traffic {
	return rollout.Traffic{Weight: s.Weight, Extra: rollout.Extra{Match: s.Match, Mirror: s.Mirror}}
}
