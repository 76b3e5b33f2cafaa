package crd_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/crd"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/rollout"
)

var at = metav1.NewMicroTime(time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC))

// baking is an attempt at 15 %, seq 8.
func baking(change ...func(*v1alpha1.RolloutStatus)) *v1alpha1.RolloutStatus {
	st := &v1alpha1.RolloutStatus{
		Epoch: 6, Seq: 8, Attempt: 2, Phase: v1alpha1.PhaseBaking, Outcome: v1alpha1.OutcomeOpen, Since: at,
		Step: 1, Steps: 3, Weight: 15,
		Stable: v1alpha1.VersionStatus{Name: "v1", Digest: "d1"},
		Canary: &v1alpha1.VersionStatus{Name: "v2", Digest: "d2"},
	}
	for i, w := range []int32{15, 50, 100} {
		st.Plan = append(st.Plan, v1alpha1.PlanStep{
			Name: fmt.Sprintf("step-%d", i+1), Weight: w, Promotion: v1alpha1.PromotionEvidence,
			Bake: v1alpha1.Bake{Min: v1alpha1.DurationOf(8 * time.Second), Max: v1alpha1.DurationOf(90 * time.Second)},
		})
	}
	return with(st, change...)
}

func with(st *v1alpha1.RolloutStatus, change ...func(*v1alpha1.RolloutStatus)) *v1alpha1.RolloutStatus {
	st = st.DeepCopy()
	for _, c := range change {
		c(st)
	}
	return st
}

func seq(n int64) func(*v1alpha1.RolloutStatus) { return func(s *v1alpha1.RolloutStatus) { s.Seq = n } }

func weight(step, w int32) func(*v1alpha1.RolloutStatus) {
	return func(s *v1alpha1.RolloutStatus) { s.Step, s.Weight = step, w }
}

func phase(p v1alpha1.Phase) func(*v1alpha1.RolloutStatus) {
	return func(s *v1alpha1.RolloutStatus) { s.Phase = p }
}

func passed(steps ...int32) func(*v1alpha1.RolloutStatus) {
	return func(s *v1alpha1.RolloutStatus) {
		for _, n := range steps {
			s.Gates = append(s.Gates, v1alpha1.Gate{Step: n, Result: v1alpha1.GatePass, Seq: s.Seq, At: at})
		}
	}
}

// failed is the smallest write that rolls back.
func failed(s *v1alpha1.RolloutStatus) {
	s.Seq++
	s.Phase, s.Outcome, s.Weight = v1alpha1.PhaseRollingBack, v1alpha1.OutcomeRolledBack, 0
	if s.Canary != nil {
		s.Rejected = slices.Insert(s.Rejected, 0, v1alpha1.RejectedVersion{Digest: s.Canary.Digest, At: at})
	}
}

// rest ends an attempt.
func rest(p v1alpha1.Phase) func(*v1alpha1.RolloutStatus) {
	return func(s *v1alpha1.RolloutStatus) {
		s.Phase, s.Step, s.Weight, s.Canary, s.Plan, s.Gates = p, 0, 0, nil, nil, nil
	}
}

// attempt starts another one with that digest.
func attempt(n int64, digest string) func(*v1alpha1.RolloutStatus) {
	return func(s *v1alpha1.RolloutStatus) {
		s.Seq++
		s.Attempt, s.Phase, s.Outcome = n, v1alpha1.PhasePreparing, v1alpha1.OutcomeOpen
		s.Canary = &v1alpha1.VersionStatus{Name: "v3", Digest: digest}
	}
}

func observed(s *v1alpha1.RolloutStatus) { s.Observe = true }

// consumed lists an action as decided on.
func consumed(verb v1alpha1.ActionVerb, how v1alpha1.ActionResult) func(*v1alpha1.RolloutStatus) {
	return func(s *v1alpha1.RolloutStatus) {
		s.Consumed = []v1alpha1.ConsumedAction{{UID: "u1", Verb: verb, Result: how, Attempt: 2, Seq: s.Seq, At: at}}
	}
}

type vector struct {
	name  string
	old   *v1alpha1.RolloutStatus
	next  *v1alpha1.RolloutStatus
	guard string // "" is accepted
}

func vectors() []vector {
	shift := func(step, w int32, n int64) func(*v1alpha1.RolloutStatus) {
		return func(s *v1alpha1.RolloutStatus) { s.Phase, s.Step, s.Weight, s.Seq = v1alpha1.PhaseShifting, step, w, n }
	}
	back := baking(failed)
	resting := with(back, seq(10), rest(v1alpha1.PhaseRolledBack))
	last := baking(passed(1, 2, 3), weight(3, 100))
	promote := func(s *v1alpha1.RolloutStatus) {
		s.Seq, s.Outcome, s.Stable = 9, v1alpha1.OutcomeCompleted, *s.Canary
		rest(v1alpha1.PhaseIdle)(s)
	}
	return []vector{
		{"next step with its gate in the same write", baking(), baking(passed(1), shift(2, 50, 9)), ""},
		{"next step with its gate stored before", baking(passed(1)), baking(passed(1), shift(2, 50, 9)), ""},
		{"next step without a gate", baking(), baking(shift(2, 50, 9)), "G4"},
		{"a step too far", baking(), baking(passed(1), shift(3, 100, 9)), "G4"},
		{"a weight that the plan does not have", baking(), baking(passed(1), shift(2, 60, 9)), "G4"},
		{"the next weight in the wrong phase", baking(), baking(passed(1), weight(2, 50), seq(9)), "G4"},
		{"seq skips one", baking(), baking(passed(1), shift(2, 50, 10)), "G2"},
		{"seq falls", baking(), baking(seq(7)), "G2"},
		{"epoch falls", baking(), baking(func(s *v1alpha1.RolloutStatus) { s.Epoch = 5 }), "G2"},
		{"epoch rises", baking(), baking(func(s *v1alpha1.RolloutStatus) { s.Epoch = 9 }), ""},
		{"only evidence", baking(), baking(func(s *v1alpha1.RolloutStatus) { s.Analysis = &v1alpha1.AnalysisStatus{Evidence: "{}"} }), ""},
		{"weight falls without a transition", baking(), baking(weight(1, 0)), "G3"},
		{"another canary without a transition", baking(), baking(func(s *v1alpha1.RolloutStatus) { s.Canary.Name = "v9" }), "G3"},
		{"the outcome vanishes without a transition", baking(), baking(func(s *v1alpha1.RolloutStatus) { s.Outcome = "" }), "G3"},
		{"from Baking to Holding with the same weight", baking(), baking(phase(v1alpha1.PhaseHolding), seq(9)), ""},
		{"from Baking to Preparing", baking(), baking(phase(v1alpha1.PhasePreparing), seq(9)), "G3a"},
		{"from Shifting to Idle", baking(phase(v1alpha1.PhaseShifting)), baking(seq(9), rest(v1alpha1.PhaseIdle)), "G3a"},
		{"rolled back", baking(), baking(failed), ""},
		{"up again after a failure", back, with(back, seq(10), phase(v1alpha1.PhaseRollingBack), weight(2, 50)), "G5"},
		{"a failure becomes a success", back, with(back, seq(10), func(s *v1alpha1.RolloutStatus) { s.Outcome = v1alpha1.OutcomeCompleted }), "G5"},
		{"at rest after a failure", back, resting, ""},
		{"at rest with a canary", back, with(resting, func(s *v1alpha1.RolloutStatus) { s.Canary = back.Canary.DeepCopy() }), "G7"},
		{"at rest with a weight", back, with(resting, func(s *v1alpha1.RolloutStatus) { s.Weight = 1 }), "G7"},
		{"the rejected version again", resting, with(resting, attempt(3, "d2")), "G6"},
		{"the rejected version again, by a retry", resting, with(resting, attempt(3, "d2"), consumed("retry", v1alpha1.ActionAccepted)), ""},
		{"the rejected version again, by a refused retry", resting, with(resting, attempt(3, "d2"), consumed("retry", v1alpha1.ActionRefused)), "G6"},
		{"the rejected version again, by a promote", resting, with(resting, attempt(3, "d2"), consumed("promote", v1alpha1.ActionAccepted)), "G6"},
		{"the rejected version again, by a retry of the past", with(resting, consumed("retry", v1alpha1.ActionAccepted)),
			with(resting, attempt(3, "d2"), consumed("retry", v1alpha1.ActionAccepted)), "G6"},
		{"straight to the last step with every gate skipped", baking(), baking(passed(1, 2), shift(3, 100, 9)), ""},
		{"straight to the last step from the start", baking(phase(v1alpha1.PhasePreparing), weight(0, 0)), baking(passed(1, 2), shift(3, 100, 9)), ""},
		{"straight to the last step with a gate missing", baking(phase(v1alpha1.PhasePreparing), weight(0, 0)), baking(passed(2), shift(3, 100, 9)), "G4"},
		{"a dry run is judged at once", baking(phase(v1alpha1.PhasePreparing), weight(0, 0), observed), baking(observed, weight(1, 0), seq(9)), ""},
		{"a dry run's version becomes stable", baking(observed, weight(1, 0)), baking(observed, promote), ""},
		{"a person's hold", baking(), baking(phase(v1alpha1.PhaseBaking), seq(9), func(s *v1alpha1.RolloutStatus) { s.Reason = "ManualPause" }), ""},
		{"another version", resting, with(resting, attempt(3, "d3")), ""},
		{"two attempts at once", resting, with(resting, attempt(4, "d3")), "G2"},
		{"an attempt that starts with weight", resting, with(resting, attempt(3, "d3"), weight(1, 15)), "G3b"},
		{"an attempt while one is open", baking(), baking(attempt(3, "d3")), "G3b"},
		{"promoted", last, with(last, promote), ""},
		{"promoted from 15", baking(), baking(promote), "G8"},
		{"another stable", baking(), baking(func(s *v1alpha1.RolloutStatus) { s.Seq, s.Stable.Name = 9, "v9" }), "G8"},
		{"another stable without a transition", baking(), baking(func(s *v1alpha1.RolloutStatus) { s.Stable.Name = "v9" }), "G3"},
		{"the status vanishes", baking(), nil, "G1"},
	}
}

// writers are the ways in which a status can be written.
func writers() map[string]func(*testing.T, client.Client, *v1alpha1.Rollout, *v1alpha1.RolloutStatus) error {
	return map[string]func(*testing.T, client.Client, *v1alpha1.Rollout, *v1alpha1.RolloutStatus) error{
		"update": func(t *testing.T, c client.Client, ro *v1alpha1.Rollout, st *v1alpha1.RolloutStatus) error {
			ro.Status = st
			return c.Status().Update(t.Context(), ro)
		},
		"merge patch": func(t *testing.T, c client.Client, ro *v1alpha1.Rollout, st *v1alpha1.RolloutStatus) error {
			before := ro.DeepCopy()
			ro.Status = st
			return c.Status().Patch(t.Context(), ro, client.MergeFrom(before))
		},
		"apply": func(t *testing.T, c client.Client, ro *v1alpha1.Rollout, st *v1alpha1.RolloutStatus) error {
			whole := reviews(ro.Namespace, ro.Name)
			whole.APIVersion, whole.Kind, whole.Status = v1alpha1.GroupVersion().String(), v1alpha1.KindRollout, st
			return c.Status().Patch(t.Context(), whole, client.Apply, client.FieldOwner("guard-test"), client.ForceOwnership) //nolint:staticcheck // typed apply configurations are not generated
		},
	}
}

// stored makes a Rollout with that status.
func stored(t *testing.T, c client.Client, ns string, st *v1alpha1.RolloutStatus, by string) *v1alpha1.Rollout {
	t.Helper()
	ro := reviews(ns, "")
	ro.GenerateName = "guard-"
	if err := c.Create(t.Context(), ro); err != nil {
		t.Fatal(err)
	}
	if err := writers()[by](t, c, ro, st.DeepCopy()); err != nil {
		t.Fatalf("the first status: %v", err)
	}
	return get(t.Context(), t, c, ro)
}

func TestGuards_refuseWhatTheEngineNeverDoes(t *testing.T) {
	c, ns := server(t)
	for by, write := range writers() {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			for _, v := range vectors() {
				if v.next == nil && by == "apply" {
					continue // an apply without status withdraws its fields: it writes none
				}
				err := write(t, c, stored(t, c, ns, v.old, by), v.next.DeepCopy())
				if v.guard != "" {
					refused(t, v.name, err, v.guard+" ")
				} else if err != nil {
					t.Errorf("%s: refused: %v", v.name, err)
				}
			}
		})
	}
}

func TestGuards_knowTheEdgesOfTheEngine(t *testing.T) {
	t.Parallel()
	to := map[rollout.Phase][]string{}
	for _, e := range rollout.Edges() {
		if e.From != e.To && !slices.Contains(to[e.From], "'"+e.To.String()+"'") {
			to[e.From] = append(to[e.From], "'"+e.To.String()+"'")
		}
	}
	rule := guard(t, "G3a")
	for _, from := range rollout.Phases() {
		_, rest, found := strings.Cut(rule, "'"+from.String()+"': [")
		list, _, closed := strings.Cut(rest, "]")
		have := strings.Split(list, ", ")
		slices.Sort(have)
		slices.Sort(to[from])
		if !found || !closed || !slices.Equal(have, to[from]) {
			t.Errorf("from %s the rule allows %v, the engine %v", from, have, to[from])
		}
	}
}

func guard(t *testing.T, name string) string {
	t.Helper()
	own, err := crd.Own()
	if err != nil {
		t.Fatal(err)
	}
	for _, def := range own {
		for _, r := range def.Spec.Versions[0].Schema.OpenAPIV3Schema.XValidations {
			if strings.HasPrefix(r.Message, name+" ") {
				return r.Rule
			}
		}
	}
	t.Fatalf("there is no rule %s", name)
	return ""
}

// TestGuards_neverStopARollback writes the smallest rollback onto any valid open state.
func TestGuards_neverStopARollback(t *testing.T) {
	c, ns := server(t)
	seed := uint64(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Unix())
	rnd := rand.New(rand.NewPCG(seed, 1))
	for range 40 {
		st := baking(seq(rnd.Int64N(100)), phase([]v1alpha1.Phase{v1alpha1.PhasePreparing, v1alpha1.PhaseShifting, v1alpha1.PhaseBaking, v1alpha1.PhaseHolding}[rnd.IntN(4)]))
		st.Step = rnd.Int32N(4)
		st.Weight = []int32{0, 15, 50, 100}[st.Step]
		st.Attempt, st.Epoch = rnd.Int64N(9), rnd.Int64N(9)
		for n := range rnd.Int32N(4) {
			passed(n + 1)(st)
		}
		for n := range rnd.IntN(7) {
			st.Rejected = append(st.Rejected, v1alpha1.RejectedVersion{Digest: fmt.Sprint("r", n), At: at})
		}
		if rnd.IntN(2) == 0 {
			st.Outcome, st.Plan = "", nil
		}
		ro := stored(t, c, ns, st, "update")
		next := with(st, failed)
		if err := writers()["merge patch"](t, c, ro, next); err != nil {
			t.Errorf("seed %d: %+v: %v", seed, st, err)
		}
	}
}
