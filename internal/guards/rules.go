package main

import (
	"slices"
	"strings"

	"github.com/sluice-dev/sluice/rollout"
)

// rule is one guard in CEL. S and O stand for the status after and before the write.
type rule struct {
	name string
	text string // holds of every write that the engine makes
	says string // what it refuses
	bare bool   // looks at objects without a status too
}

// marker is the rule as a line above the Go type.
func (r rule) marker() string {
	text := strings.NewReplacer("O.", "oldSelf.status.", "S.", "self.status.").Replace(strings.Join(strings.Fields(r.text), " "))
	if !r.bare {
		text = "!has(self.status) || !has(oldSelf.status) || " + text
	}
	return `// +kubebuilder:validation:XValidation:rule="` + text + `",message="` + r.name + " " + r.says + `"`
}

// rules are the guards of a Rollout's status: what no writer may do, whatever it thinks it knows. What they say of phases
// is read from the engine's table.
func rules() []rule {
	raising := quoted(before(rollout.Shifting))
	resting := quoted(slices.DeleteFunc(rollout.Phases(), func(p rollout.Phase) bool { return !p.Rest() }))
	return []rule{
		{"G1", "!has(oldSelf.status) || has(self.status)", "the status never vanishes", true},
		{"G2", "S.epoch >= O.epoch && (S.seq - O.seq) in [0, 1] && (S.attempt - O.attempt) in [0, 1]",
			"epoch, seq and attempt never fall, and seq and attempt rise by one at most", false},
		{"G3", `S.seq > O.seq || (S.phase == O.phase && S.step == O.step && S.weight == O.weight && S.attempt == O.attempt &&
			has(S.outcome) == has(O.outcome) && (!has(S.outcome) || S.outcome == O.outcome) && S.stable.name == O.stable.name &&
			has(S.canary) == has(O.canary) && (!has(S.canary) || S.canary.name == O.canary.name))`,
			"a change of phase, step, weight, attempt, outcome or version needs the next seq", false},
		{"G3a", "S.phase == O.phase || S.phase in {" + follows() + "}[O.phase]", "no such transition", false},
		{"G3b", `S.attempt == O.attempt || (O.phase in [` + quoted(before(rollout.Preparing)) + `] && S.phase == 'Preparing' && S.weight == 0 &&
			has(S.outcome) && S.outcome == 'open' && !has(S.gates))`, "an attempt starts at rest, with weight 0 and without gates", false},
		{"G4", `S.weight <= O.weight || (S.attempt == O.attempt && S.phase == 'Shifting' && O.phase in [` + raising + `] && S.step > O.step &&
			has(S.plan) && S.step <= size(S.plan) && S.weight == S.plan[S.step - 1].weight &&
			(has(S.gates) ? S.gates.filter(g, g.step >= O.step && g.step < S.step).size() : 0) == S.step - (O.step == 0 ? 1 : O.step))`,
			"the weight rises only to that of a later step of the plan, with a gate for each step left behind", false},
		{"G5", `S.attempt != O.attempt || !has(O.outcome) || O.outcome == 'open' || (has(S.outcome) && S.outcome == O.outcome && S.weight <= O.weight)`,
			"an attempt that has ended keeps its outcome and never gets more weight", false},
		{"G6", `S.attempt == O.attempt || !has(S.canary) || !has(S.canary.digest) || !has(O.rejected) || !O.rejected.exists(r, r.digest == S.canary.digest) ||
			(has(S.consumed) && S.consumed.exists(a, a.verb == 'retry' && a.result == 'accepted' && (!has(O.consumed) || !O.consumed.exists(b, b.uid == a.uid))))`,
			"a rejected version is not started again, but by the action retry", false},
		{"G7", "!has(self.status) || !(S.phase in [" + resting + "]) || (S.weight == 0 && !has(S.canary))", "at rest there is no canary and no weight", true},
		{"G8", `S.stable.name == O.stable.name || O.stable.name.size() == 0 || (S.phase == 'Idle' && has(O.canary) && S.stable.name == O.canary.name &&
			has(S.outcome) && S.outcome == 'completed' && (O.weight == 100 || (has(O.observe) && O.observe)))`,
			"stable changes only by adoption or by a completed promotion", false},
	}
}

// follows is, for each phase, the other phases that may come next.
func follows() string {
	var out []string
	for _, from := range rollout.Phases() {
		var to []rollout.Phase
		for _, e := range rollout.Edges() {
			if e.From == from && e.To != from && !slices.Contains(to, e.To) {
				to = append(to, e.To)
			}
		}
		slices.Sort(to)
		out = append(out, "'"+from.String()+"': ["+quoted(to)+"]")
	}
	return strings.Join(out, ", ")
}

// before are the other phases from which a phase is entered.
func before(to rollout.Phase) []rollout.Phase {
	var out []rollout.Phase
	for _, e := range rollout.Edges() {
		if e.To == to && e.From != to && !slices.Contains(out, e.From) {
			out = append(out, e.From)
		}
	}
	slices.Sort(out)
	return out
}

func quoted(phases []rollout.Phase) string {
	var words []string
	for _, p := range phases {
		words = append(words, "'"+p.String()+"'")
	}
	return strings.Join(words, ", ")
}
