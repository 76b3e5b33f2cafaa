package scenario

import (
	"fmt"
	"slices"

	"github.com/sluice-dev/sluice/rollout"
)

// audit watches what is stored, with a memory of its own and without using rollout.Check: it judges the history, however
// it came about.
type audit struct {
	decided  map[int64]int   // ended attempt -> weight it had left
	rejected []string        // digests in order of rejection
	seen     map[string]bool // edges taken
}

func newAudit() audit { return audit{decided: map[int64]int{}, seen: map[string]bool{}} }

func (a *audit) stored(prev, next rollout.State) error {
	edge := rollout.Edge{From: prev.Phase, To: next.Phase, Reason: next.Reason}
	if next.Seq != prev.Seq {
		if next.Seq != prev.Seq+1 {
			return fmt.Errorf("stored seq %d after %d", next.Seq, prev.Seq)
		}
		if !slices.Contains(rollout.Edges(), edge) {
			return fmt.Errorf("stored %s > %s %s, which is no edge", edge.From, edge.To, edge.Reason)
		}
		a.seen[fmt.Sprintf("%s > %s %s", edge.From, edge.To, edge.Reason)] = true
	}
	if weight, ended := a.decided[next.Attempt]; ended && next.Traffic.Weight > weight {
		return fmt.Errorf("attempt %d was decided at %d%% and has %d%%", next.Attempt, weight, next.Traffic.Weight)
	}
	if next.Outcome != rollout.OutcomeOpen && next.Attempt > 0 {
		a.decided[next.Attempt] = next.Traffic.Weight
	}
	if next.Attempt > prev.Attempt {
		recent := a.rejected[max(0, len(a.rejected)-rollout.MaxRejected):]
		retried := slices.ContainsFunc(next.Consumed, func(c rollout.Consumed) bool {
			return c.Verb == rollout.VerbRetry && c.Answer == rollout.Accepted && c.Seq == next.Seq
		})
		if retried {
			a.rejected = slices.DeleteFunc(a.rejected, func(d string) bool { return d == next.Canary.Digest })
		} else if slices.Contains(recent, next.Canary.Digest) {
			return fmt.Errorf("attempt %d tries rejected %s again", next.Attempt, next.Canary.Digest)
		}
	}
	if next.Outcome.Failed() && prev.Outcome == rollout.OutcomeOpen {
		a.reject(prev.Canary.Digest)
	}
	if next.Kind.Undo && next.Attempt > prev.Attempt {
		a.reject(prev.Stable.Digest)
	}
	if next.Traffic.Weight > prev.Traffic.Weight && prev.Traffic.Step > 0 && !slices.ContainsFunc(next.Gates,
		func(g rollout.Gate) bool { return g.Step == prev.Traffic.Step }) {
		return fmt.Errorf("seq %d raises past step %d without its gate", next.Seq, prev.Traffic.Step)
	}
	return nil
}

func (a *audit) reject(digest string) {
	a.rejected = append(slices.DeleteFunc(a.rejected, func(d string) bool { return d == digest }), digest)
}
