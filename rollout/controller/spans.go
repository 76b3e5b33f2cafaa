package controller

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/rollout"
	"github.com/sluice-dev/sluice/trace"
)

// maxAcks is how many acknowledgements of a push are told one by one.
const maxAcks = 100

// Arrival is how a commit came in: when it was first heard of, and what was done with it before an attempt could begin.
// What is not known is zero.
type Arrival struct {
	Heard  time.Time
	Phases []Phase
}

// Phase is a part of an Arrival, such as fetch.
type Phase struct {
	Name     string
	From, To time.Time
}

// push is what was seen of the way of a weight to the proxies.
type push struct {
	seq    uint64
	from   time.Time
	acked  int
	nacked int
	events []trace.Event
}

// tracing reports that somebody wants spans of the attempt of a state.
func (c *Controller) tracing(st rollout.State) bool { return c.telling.Span != nil && st.Attempt > 0 }

// arrival is how the commit of the open attempt came in.
func (c *Controller) arrival(p *pass, commit string) Arrival {
	if c.telling.Arrival == nil {
		return Arrival{}
	}
	return c.telling.Arrival(sourceOf(p.object), commit)
}

// traced tells spans that end with a stored transition.
func (c *Controller) traced(p *pass, d decision) {
	was, is, m := p.state, d.next, d.actions.Transition
	if !c.tracing(is) {
		return
	}
	of := trace.Attempt{UID: string(p.object.UID), Number: is.Attempt}
	tell := func(s trace.Span) {
		s.Attempt = of
		c.telling.Span(s)
	}
	step := 0
	if was.Attempt == is.Attempt {
		step = was.Traffic.Step
	}
	above := trace.ID{}
	if step > 0 {
		above = of.Step(step)
	}
	tell(trace.Span{Name: trace.NameDecide, Parent: above, One: fmt.Sprint(m.Seq), From: p.now, To: c.config.Now(), Attributes: []trace.Attribute{
		{Key: trace.KeyFrom, Value: m.From.String()}, {Key: trace.KeyTo, Value: m.To.String()}, {Key: trace.KeyReason, Value: string(m.Reason)}, {Key: trace.KeySeq, Value: int(m.Seq)},
	}})
	if is.Traffic.Seq != was.Traffic.Seq {
		c.pushed(p, "overtaken before every proxy had it")
		p.trail(is).push = push{seq: is.Traffic.Seq, from: is.Since}
	}
	if step == 0 && is.Traffic.Step > 0 {
		for _, phase := range c.arrival(p, is.Canary.Commit).Phases {
			tell(trace.Span{Name: phase.Name, From: phase.From, To: phase.To, Attributes: []trace.Attribute{{Key: trace.KeyRevision, Value: is.Canary.Commit}}})
		}
	}
	if leaves(was, is) {
		tell(trace.Span{Name: trace.StepName(step), Step: step, From: p.entered(), To: is.Since, Failure: failed(is, m), Attributes: []trace.Attribute{
			{Key: trace.KeyStep, Value: step}, {Key: trace.KeyWeight, Value: was.Stage().Weight}, {Key: trace.KeyReason, Value: string(m.Reason)}}})
	}
	if is.Phase.Rest() && !was.Phase.Rest() && was.Attempt == is.Attempt {
		tell(c.root(p, is))
	}
}

// leaves reports that a transition leaves the step that a state was in.
func leaves(was, is rollout.State) bool {
	return was.Phase.Open() && was.Traffic.Step > 0 && (is.Traffic.Step != was.Traffic.Step || !is.Phase.Open())
}

// failed is why a step or an attempt ended badly; empty: it did not.
func failed(is rollout.State, m *rollout.Transition) string {
	if !is.Phase.Open() && is.Outcome.Failed() {
		return m.Text
	}
	return ""
}

// root is the span of an attempt that is at rest again.
func (c *Controller) root(p *pass, is rollout.State) trace.Span {
	out := trace.Span{Name: trace.NameAttempt, From: is.Since, To: is.Since}
	version, reason, text := p.state.Canary, is.Reason, ""
	for _, h := range is.History {
		if h.Attempt == is.Attempt {
			out.From, version, reason, text = h.StartedAt, h.Version, h.Reason, h.Text
			break
		}
	}
	if heard := c.arrival(p, version.Commit).Heard; !heard.IsZero() && heard.Before(out.From) {
		out.From = heard
	}
	result := resultOf(is.Outcome)
	if result == trace.ResultFailure {
		out.Failure = or(text, string(reason))
	}
	of := trace.Attempt{UID: string(p.object.UID), Number: is.Attempt}
	out.Attributes = []trace.Attribute{
		{Key: trace.KeyPipeline, Value: p.key.String()}, {Key: trace.KeyRun, Value: of.String()}, {Key: trace.KeyResult, Value: result},
		{Key: trace.KeyRevision, Value: version.Commit}, {Key: trace.KeyRepository, Value: p.repository()}, {Key: trace.KeyEnvironment, Value: c.telling.Environment},
		{Key: trace.KeyNamespace, Value: p.key.Namespace}, {Key: trace.KeyRollout, Value: p.key.Name}, {Key: trace.KeyHost, Value: p.object.Spec.Host},
		{Key: trace.KeyStable, Value: is.Stable.Name}, {Key: trace.KeyCanary, Value: version.Name},
		{Key: trace.KeyOutcome, Value: string(is.Outcome)}, {Key: trace.KeyReason, Value: string(reason)},
	}
	return out
}

// repository is the URL of the Source, without what is nobody's business.
func (p *pass) repository() string {
	if p.source == nil {
		return ""
	}
	text := p.source.Spec.URL
	if !strings.Contains(text, "://") {
		return text // host:path, which holds no password
	}
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

// notePush notes what proxies have answered to the present weight since the pass before.
func (c *Controller) notePush(p *pass) {
	st := p.state
	if !c.tracing(st) || st.Phase.Rest() || st.Traffic.Seq == 0 {
		return
	}
	at := &p.trail(st).push
	if at.seq != st.Traffic.Seq {
		if st.Traffic.Settled == st.Traffic.Seq {
			return // it was told by a process that saw it
		}
		*at = push{seq: st.Traffic.Seq, from: st.Since}
	}
	if at.from.IsZero() || !p.fleet.Rendered {
		return
	}
	for ; at.acked < p.fleet.Acked && at.acked < maxAcks; at.acked++ {
		at.events = append(at.events, trace.Event{At: p.now, Name: trace.EventAck, Attributes: []trace.Attribute{
			{Key: trace.KeyAcked, Value: at.acked + 1}, {Key: trace.KeyConnected, Value: p.fleet.Connected}}})
	}
	for ; at.nacked < p.fleet.Nacked && at.nacked < maxAcks; at.nacked++ {
		e := trace.Event{At: p.now, Name: trace.EventNack}
		if f := p.fleet.First; f != nil {
			e.Attributes = []trace.Attribute{{Key: trace.KeyProxy, Value: f.Node}, {Key: trace.KeyReason, Value: short(f.Message, maxNote)}}
		}
		at.events = append(at.events, e)
	}
}

// pushed tells of a push that has ended: every proxy has it where failure is empty.
func (c *Controller) pushed(p *pass, failure string) {
	st := p.state
	at := &p.trail(st).push
	if !c.tracing(st) || at.from.IsZero() || at.seq != st.Traffic.Seq {
		return
	}
	of := trace.Attempt{UID: string(p.object.UID), Number: st.Attempt}
	s := trace.Span{Attempt: of, Name: trace.NamePush, One: fmt.Sprint(at.seq), From: at.from, To: p.now, Failure: failure, Events: at.events, Attributes: []trace.Attribute{
		{Key: trace.KeySeq, Value: int(at.seq)}, {Key: trace.KeyWeight, Value: st.Traffic.Weight}, {Key: trace.KeyConnected, Value: p.fleet.Connected}}}
	if st.Phase.Open() && st.Traffic.Step > 0 {
		s.Parent = of.Step(st.Traffic.Step)
	}
	*at = push{seq: at.seq} // told: from is zero
	c.telling.Span(s)
}

// queried tells of a look that changed the verdict. Those that changed nothing are in the metrics: there are thousands.
func (c *Controller) queried(p *pass, from time.Time, before analysis.Verdict) {
	r := p.memory.judged.report
	if !c.tracing(p.state) || r.Verdict == before {
		return
	}
	of := trace.Attempt{UID: string(p.object.UID), Number: p.state.Attempt}
	c.telling.Span(trace.Span{Attempt: of, Parent: of.Step(p.state.Traffic.Step), Name: trace.NameQuery, From: from, To: p.now, Attributes: []trace.Attribute{
		{Key: trace.KeyVerdict, Value: r.Verdict.String()}, {Key: trace.KeyReason, Value: string(r.Reason)}, {Key: trace.KeyMetric, Value: r.Metric}}})
}

// heard is when a Source first heard of a commit; zero: not known.
func (t Telling) heard(source types.NamespacedName, commit string) time.Time {
	if t.Arrival == nil {
		return time.Time{}
	}
	return t.Arrival(source, commit).Heard
}

// resultOf says how an attempt ended in the words of continuous delivery.
func resultOf(o rollout.Outcome) string {
	if o == rollout.OutcomeCompleted {
		return trace.ResultSuccess
	}
	if o == rollout.OutcomeRolledBack {
		return trace.ResultFailure
	}
	return trace.ResultCancellation
}
