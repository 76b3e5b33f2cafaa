package rollout

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/analysis"
)

// Check holds the step from prev to next, made on obs at now, against what must always be true. It knows nothing of how
// Step decides. The error names each rule that is broken, as "C4: ...".
func Check(spec Spec, prev, next State, obs Observation, now time.Time) error {
	c := &checker{spec: spec, p: prev, n: next, obs: obs, now: now}
	c.shape()
	c.sequence()
	c.attempt()
	c.raise()
	c.failure()
	c.stable()
	c.gates()
	c.actions()
	c.bounds()
	return errors.Join(c.errs...)
}

type checker struct {
	spec Spec
	p, n State
	obs  Observation
	now  time.Time
	errs []error
}

// must records that a rule is broken unless it holds.
func (c *checker) must(holds bool, rule string, format string, args ...any) {
	if !holds {
		c.errs = append(c.errs, fmt.Errorf(rule+": "+format, args...))
	}
}

// shape is C1: what a state looks like by itself.
func (c *checker) shape() {
	n := c.n
	c.must(n.Traffic.Weight >= 0 && n.Traffic.Weight <= 100, "C1", "weight is %d", n.Traffic.Weight)
	c.must(n.Canary.Name == "" || n.Canary.Name != n.Stable.Name, "C1", "%s is canary and stable", n.Canary.Name)
	if n.Phase.Rest() {
		c.must(n.Traffic.Weight == 0 && n.Canary == (Version{}), "C1", "%s with canary %q at %d%%", n.Phase, n.Canary.Name, n.Traffic.Weight)
		c.must(n.Traffic.equal(Extra{}), "C1", "%s with %+v", n.Phase, n.Traffic.Extra)
	} else {
		c.must(n.Canary.Name != "", "C1", "%s without a canary", n.Phase)
	}
	c.must(n.Phase.Open() == (n.Outcome == OutcomeOpen), "C1", "%s with outcome %q", n.Phase, n.Outcome)
	c.must(n.Phase != Preparing && !n.Kind.Observe || !n.Traffic.Sends(), "C1", "%s at %d%%", n.Phase, n.Traffic.Weight)
}

// sequence is C2 and the first half of C9.
func (c *checker) sequence() {
	p, n := c.p, c.n
	if c.obs.Seq != p.Seq {
		c.must(reflect.DeepEqual(p, n), "C9", "an observation of seq %d changed the state of seq %d", c.obs.Seq, p.Seq)
	}
	switch n.Seq {
	case p.Seq:
		same := p
		same.Progress.Clocks, same.Traffic.Settled, same.Consumed = n.Progress.Clocks, n.Traffic.Settled, n.Consumed
		c.must(reflect.DeepEqual(same, n), "C2", "more than clocks changed without a transition")
	case p.Seq + 1:
		c.must(!n.Since.Before(p.Since), "C2", "since went back from %s to %s", p.Since, n.Since)
		edge := Edge{From: p.Phase, To: n.Phase, Reason: n.Reason}
		c.must(slices.Contains(Edges(), edge), "C2", "%s > %s %s is no edge", edge.From, edge.To, edge.Reason)
		c.must(p.sameTraffic(n) == (n.Traffic.Seq == p.Traffic.Seq), "C2", "traffic seq %d after %d", n.Traffic.Seq, p.Traffic.Seq)
	default:
		c.must(false, "C2", "seq went from %d to %d", p.Seq, n.Seq)
	}
	c.must(n.Traffic.Seq <= n.Seq && n.Traffic.Settled <= n.Traffic.Seq && n.Traffic.Settled >= p.Traffic.Settled, "C2",
		"seq %d, traffic %d, settled %d", n.Seq, n.Traffic.Seq, n.Traffic.Settled)
}

// attempt is C3, C8 and C13.
func (c *checker) attempt() {
	p, n := c.p, c.n
	retried := c.accepted(VerbRetry)
	switch n.Attempt {
	case p.Attempt:
		c.must(n.Phase.Rest() || reflect.DeepEqual(p.Plan, n.Plan) && p.Kind == n.Kind, "C13", "the plan changed within attempt %d", n.Attempt)
		c.must(p.Phase.Rest() || n.Phase.Rest() || p.Canary == n.Canary, "C13", "the canary changed within attempt %d", n.Attempt)
	case p.Attempt + 1:
		fresh := p.Phase.Rest() && n.Phase == Preparing && n.Traffic.Weight == 0 && len(n.Gates) == 0 && len(n.Approved) == 0 && len(n.Plan) > 0 &&
			n.Progress.Wishes == (Wishes{})
		c.must(fresh, "C3", "attempt %d starts in %s from %s", n.Attempt, n.Phase, p.Phase)
		_, rejected := p.Rejection(n.Canary.Digest)
		c.must(!rejected || retried, "C8", "attempt %d starts for rejected digest %s", n.Attempt, n.Canary.Digest)
		c.must(!n.Kind.Undo || c.accepted(VerbRollback) && n.Canary == p.Previous.Version, "C8", "attempt %d goes back to %s unasked", n.Attempt, n.Canary.Name)
	default:
		c.must(false, "C3", "attempt went from %d to %d", p.Attempt, n.Attempt)
	}
	for _, r := range firsts(p.Rejected, MaxRejected-1) {
		_, kept := n.Rejection(r.Digest)
		c.must(kept || retried && r.Digest == n.Canary.Digest, "C13", "rejected digest %s was forgotten", r.Digest)
	}
}

// raise is C4: of the weight, of who is sent to the canary, and of the step.
func (c *checker) raise() {
	p, n := c.p, c.n
	up := n.Attempt == p.Attempt && n.Traffic.Step > p.Traffic.Step && n.Phase != Baking
	if !p.Traffic.Raises(n.Traffic) && !up {
		return
	}
	from := p.Phase == Preparing || p.Phase == Baking || p.Phase == Holding
	c.must(n.Phase == Shifting && from && n.Attempt == p.Attempt && n.Canary == p.Canary, "C4",
		"weight rises from %d to %d in %s > %s", p.Traffic.Weight, n.Traffic.Weight, p.Phase, n.Phase)
	stage := n.Stage()
	asked := n.Traffic.Weight == stage.Weight && (Extra{Match: stage.Match, Mirror: stage.Mirror}).equal(Extra{Match: n.Traffic.Match, Mirror: n.Traffic.Mirror})
	c.must(asked && n.Traffic.Step > p.Traffic.Step, "C4", "weight %d at step %d after step %d", n.Traffic.Weight, n.Traffic.Step, p.Traffic.Step)
	for k := max(1, p.Traffic.Step); k < n.Traffic.Step; k++ {
		_, gated := n.gateOf(k)
		c.must(gated, "C4", "step %d has no gate", k)
	}
	seen := p
	seen.Gates, seen.Progress.Wishes = n.Gates, n.Progress.Wishes
	block := Blocker(c.spec, seen, c.obs, c.now, n.Traffic.Step)
	c.must(block == "", "C4", "raised although %s", block)
}

// failure is C5 and C6.
func (c *checker) failure() {
	p, n, b := c.p, c.n, c.obs.Brake
	a := c.obs.Action
	asked := a != nil && (a.Verb == VerbAbort || a.Verb == VerbRollback) && c.holds(*a) && !p.consumed(a.UID) && len(p.Consumed) < MaxConsumed
	braked := b != nil && b.Reason != "" && b.Attempt == p.Attempt && !p.Kind.Observe
	failed := c.obs.Fleet.Nacked > 0 || c.obs.Report.Verdict == analysis.Rollback || asked || braked
	if p.Phase.Open() && failed && c.obs.Seq == p.Seq {
		_, rejected := n.Rejection(p.Canary.Digest)
		c.must(n.Phase == RollingBack && n.Outcome.Failed() && rejected, "C5", "a failure led to %s", n.Phase)
		c.must(!n.Traffic.Sends() || StableEmpty(c.obs), "C5", "a failure left %d%%", n.Traffic.Weight)
	}
	if p.Outcome != OutcomeOpen && n.Attempt == p.Attempt && p.Attempt > 0 {
		c.must(n.Outcome == p.Outcome && !p.Traffic.Raises(n.Traffic), "C6", "attempt %d was %s at %d%%, now %s at %d%%",
			p.Attempt, p.Outcome, p.Traffic.Weight, n.Outcome, n.Traffic.Weight)
	}
}

// stable is C7.
func (c *checker) stable() {
	p, n := c.p, c.n
	if n.Stable.Name == p.Stable.Name || p.Stable.Name == "" {
		return
	}
	_, gated := p.gateOf(len(p.Plan))
	due := n.Reason == Completed && p.Traffic.Step == len(p.Plan) && (gated || c.earned() || c.promoted())
	moved := p.Traffic.Weight == 100 && c.obs.Fleet.Settled || p.Kind.Observe
	c.must(n.Stable == p.Canary && moved && due, "C7", "stable went from %s to %s at %d%%", p.Stable.Name, n.Stable.Name, p.Traffic.Weight)
	c.must(n.Previous.Version == p.Stable && slices.Contains(n.Managed, p.Stable.Name), "C7", "former stable %s is not kept", p.Stable.Name)
}

// earned reports that the last step's gate is due right now: a completed attempt no longer lists its gates.
func (c *checker) earned() bool {
	elapsed := max(c.p.Progress.Clocks.Step, c.obs.Clocks.Step)
	stage := c.p.Stage()
	anyway := c.spec.Analysis.OnInconclusive == PolicyPromote && elapsed >= stage.Max
	byTime := stage.Promotion == TimeOnly || c.p.Progress.Wishes.Full
	return elapsed >= stage.Min && (c.obs.Report.Verdict == analysis.Promote || byTime || anyway)
}

// gates is C10 and C11.
func (c *checker) gates() {
	p, n := c.p, c.n
	for _, g := range n.Gates {
		if !slices.Contains(p.Gates, g) {
			c.gate(g)
		}
	}
	if p.Phase == Shifting && n.Phase == Baking {
		c.must(c.obs.Fleet.Settled && c.obs.Fleet.Connected >= c.spec.Convergence.MinProxies, "C11", "baking before settled")
	}
}

// gate is C10 for one that is new.
func (c *checker) gate(g Gate) {
	p, n := c.p, c.n
	c.must(g.Seq == n.Seq, "C10", "gate %s of step %d says seq %d", g.Result, g.Step, g.Seq)
	if g.Result == PassOverride || g.Result == PassSkipped {
		c.must(c.promoted() && g.Step >= p.Traffic.Step && c.obs.Action.Actor == g.Actor, "C10", "gate %s of step %d that nobody asked for", g.Result, g.Step)
		return
	}
	elapsed := max(p.Progress.Clocks.Step, c.obs.Clocks.Step)
	c.must(g.Step == p.Traffic.Step && elapsed >= p.Stage().Min, "C10", "gate %s of step %d after %s", g.Result, g.Step, elapsed)
	c.must(g.Result != Pass || c.obs.Report.Verdict == analysis.Promote, "C10", "Pass on verdict %s", c.obs.Report.Verdict)
	c.must((g.Result == PassProven) == (p.Kind.Proven || p.Kind.Undo), "C10", "gate %s in attempt %+v", g.Result, p.Kind)
	c.must(p.Phase == Baking || p.Phase == Holding, "C10", "a gate in %s", p.Phase)
}

// actions is C12.
func (c *checker) actions() {
	p, n := c.p, c.n
	seen := map[string]bool{}
	for _, entry := range n.Consumed {
		c.must(!seen[entry.UID], "C12", "action %s is listed twice", entry.UID)
		seen[entry.UID] = true
		if p.consumed(entry.UID) {
			continue
		}
		a := c.obs.Action
		c.must(a != nil && a.UID == entry.UID && a.Verb == entry.Verb, "C12", "action %s was consumed but not offered", entry.UID)
		c.must(entry.Answer == Accepted || entry.Answer == Refused, "C12", "action %s was %s", entry.UID, entry.Answer)
		c.must((entry.Answer == Accepted) == (n.Seq == p.Seq+1), "C12", "action %s was %s with seq %d after %d", entry.UID, entry.Answer, n.Seq, p.Seq)
		c.must(entry.Answer != Accepted || a != nil && c.holds(*a), "C12", "action %s was accepted against its guards", entry.UID)
	}
	for _, entry := range p.Consumed {
		c.must(seen[entry.UID] || slices.Contains(c.obs.Written, entry.UID), "C12", "action %s was forgotten", entry.UID)
	}
}

// holds reports that all guards of an action hold on the state before.
func (c *checker) holds(a Action) bool {
	p := c.p
	digest := p.Canary.Digest
	if p.Phase.Rest() && a.Verb == VerbRollback {
		digest = p.Stable.Digest
	}
	if p.Phase.Rest() && a.Verb == VerbRetry {
		digest = c.obs.Want.Digest
	}
	return (a.IfSeq == 0 || a.IfSeq == p.Seq) && (a.IfAttempt == 0 || a.IfAttempt == p.Attempt) && strings.HasPrefix(digest, a.IfRevision)
}

// accepted reports that an action of that verb was accepted in this step.
func (c *checker) accepted(verbs ...Verb) bool {
	return slices.ContainsFunc(c.n.Consumed, func(e Consumed) bool {
		return e.Answer == Accepted && slices.Contains(verbs, e.Verb) && !c.p.consumed(e.UID)
	})
}

func (c *checker) promoted() bool { return c.accepted(VerbPromote, VerbPromoteFull, VerbSkip) }

// bounds is the part of C14 that concerns State.
func (c *checker) bounds() {
	n := c.n
	c.must(len(n.Rejected) <= MaxRejected && len(n.Managed) <= MaxManaged && len(n.Plan) <= MaxSteps && len(n.Gates) <= len(n.Plan), "C14",
		"%d rejected, %d managed, %d steps, %d gates", len(n.Rejected), len(n.Managed), len(n.Plan), len(n.Gates))
	c.must(len(n.Consumed) <= MaxConsumed && len(n.Approved) <= MaxApproved, "C14", "%d consumed, %d approvals", len(n.Consumed), len(n.Approved))
	c.must(len(n.History) <= max(c.spec.HistoryLimit, len(c.p.History)), "C14", "%d history entries", len(n.History))
}
