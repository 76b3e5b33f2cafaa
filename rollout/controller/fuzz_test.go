package controller

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/cel-go/cel"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/api/crd"
	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/rollout"
	"github.com/sluice-dev/sluice/rollout/scenario"
)

// FuzzRollout reads whatever can be read as a Rollout: nothing panics, defaults are filled in once and for all, and a spec in
// which no mistake is found has a plan that the engine can take.
func FuzzRollout(f *testing.F) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(pages) == 0 {
		f.Fatalf("%d pages, %v", len(pages), err)
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			f.Fatal(err)
		}
		for i, block := range strings.Split(string(text), "```") {
			if doc, is := strings.CutPrefix(block, "yaml\n"); is && i%2 == 1 && strings.Contains(doc, "kind: Rollout\n") {
				f.Add([]byte(doc))
			}
		}
	}
	for _, spec := range []string{`{"host":"a","subset":"b","steps":[{"weight":99999999999}]}`, `{"host":"a","subset":"b","warmDown":"99999999999h"}`,
		`{"host":"a","subset":"b","steps":[{"weight":15,"name":"step-2"},{"weight":50}]}`, `{"host":"a","subset":"b","steps":[{"weight":0,"bake":{"min":"0s","max":"1ns"}}]}`} {
		f.Add([]byte(`{"metadata":{"name":"x"},"spec":` + spec + `}`))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		ro := &v1alpha1.Rollout{}
		if len(text) > 1<<14 || yaml.Unmarshal(text, ro) != nil {
			return
		}
		before := ro.DeepCopy()
		found := ro.Validate()
		if !reflect.DeepEqual(before, ro) {
			t.Fatal("Validate changed the object")
		}
		once := ro.DeepCopy()
		once.Spec.Default()
		twice := once.DeepCopy()
		if twice.Spec.Default(); !reflect.DeepEqual(once, twice) {
			t.Fatal("defaults are not final")
		}
		spec, err := specOf(ro)
		wrong := slices.ContainsFunc(found, func(p problem.Problem) bool { return p.Severity == problem.Error })
		if wrong != (err != nil) && len(spec.Plan) <= rollout.MaxSteps {
			t.Fatalf("the linter finds %v, the controller %v", found, err)
		}
		if err == nil {
			soundPlan(t, spec.Plan)
		}
	})
}

// soundPlan checks what Spec asks for.
func soundPlan(t *testing.T, plan []rollout.Stage) {
	t.Helper()
	if len(plan) == 0 || len(plan) > rollout.MaxSteps || plan[len(plan)-1].Weight != 100 {
		t.Fatalf("the plan %+v does not end at 100", plan)
	}
	names := map[string]bool{}
	for i, s := range plan {
		if s.Weight < 0 || i > 0 && s.Weight < plan[i-1].Weight || s.Min < 0 || s.Max < s.Min || s.Max <= 0 || names[s.Name] || s.Name == "" {
			t.Fatalf("step %d of %+v", i+1, plan)
		}
		names[s.Name] = true
	}
}

// guards are the rules at the root of the schema, by name.
func guards(f *testing.F) map[string]cel.Program {
	f.Helper()
	own, err := crd.Own()
	if err != nil {
		f.Fatal(err)
	}
	env, err := cel.NewEnv(cel.Variable("self", cel.DynType), cel.Variable("oldSelf", cel.DynType))
	if err != nil {
		f.Fatal(err)
	}
	out := map[string]cel.Program{}
	for _, def := range own {
		for _, rule := range def.Spec.Versions[0].Schema.OpenAPIV3Schema.XValidations {
			name, _, _ := strings.Cut(rule.Message, " ")
			if !strings.HasPrefix(name, "G") {
				continue
			}
			ast, issues := env.Compile(rule.Rule)
			if issues.Err() != nil {
				f.Fatal(issues.Err())
			}
			if out[name], err = env.Program(ast); err != nil {
				f.Fatal(err)
			}
		}
	}
	if len(out) < 10 {
		f.Fatalf("%d guards", len(out))
	}
	return out
}

// refusedBy are the guards that refuse a write.
func refusedBy(t *testing.T, rules map[string]cel.Program, before, after *v1alpha1.RolloutStatus) []string {
	t.Helper()
	var out []string
	given := map[string]any{"self": map[string]any{"status": asObject(t, after)}, "oldSelf": map[string]any{"status": asObject(t, before)}}
	for name, rule := range rules {
		got, _, err := rule.Eval(given)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got.Value() != true {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// asObject is a status as a rule sees it.
func asObject(t *testing.T, s *v1alpha1.RolloutStatus) any {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.UseNumber()
	var out any
	if err := decoder.Decode(&out); err != nil {
		t.Fatal(err)
	}
	return whole(out)
}

// whole has integers for numbers: a status has no others.
func whole(v any) any {
	switch v := v.(type) {
	case json.Number:
		n, _ := v.Int64()
		return n
	case []any:
		for i := range v {
			v[i] = whole(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = whole(v[key])
		}
	}
	return v
}

// FuzzGuards walks at random. The rules at the API server take each write of the engine, and the smallest rollback from
// each open state. A write that nobody makes they take if, and only if, what was written anew here does.
func FuzzGuards(f *testing.F) {
	rules := guards(f)
	for n := range 8 {
		f.Add([]byte(strings.Repeat(fmt.Sprintf("%d a walk %d ", n*37, n), 12)), byte(n), byte(n*31))
	}
	f.Fuzz(func(t *testing.T, choices []byte, what, how byte) {
		if len(choices) > 400 {
			return
		}
		at := 0
		pick := func(n int) int {
			if at++; at > len(choices) {
				return at % n
			}
			return int(choices[at-1]) % n
		}
		_, w, err := scenario.Walk(pick, len(choices)/3)
		if err != nil {
			return // what a walk finds is the business of its own test
		}
		all := w.Stored()
		for i := 1; i < len(all); i++ {
			before, after := storedAs(all[i-1]), storedAs(all[i])
			if broken := refusedBy(t, rules, before, after); i > 1 && len(broken) > 0 {
				t.Fatalf("%v refuse %s > %s %s", broken, all[i-1].Phase, all[i].Phase, all[i].Reason)
			}
			if all[i].Phase.Open() {
				if broken := refusedBy(t, rules, after, smallest(after)); len(broken) > 0 {
					t.Fatalf("%v refuse a rollback from %+v", broken, all[i].Mark)
				}
			}
			odd := bent(after, what, int32(how))
			if broken := refusedBy(t, rules, before, odd); (len(broken) == 0) != sane(before, odd) && i > 1 {
				t.Fatalf("refused by %v, sane %v:\n%+v\n%+v", broken, sane(before, odd), before, odd)
			}
		}
	})
}

func storedAs(st rollout.State) *v1alpha1.RolloutStatus {
	out := &v1alpha1.RolloutStatus{}
	store(st, out)
	return out
}

// smallest is the least that rolls back.
func smallest(s *v1alpha1.RolloutStatus) *v1alpha1.RolloutStatus {
	out := s.DeepCopy()
	out.Seq++
	out.Phase, out.Outcome, out.Weight = v1alpha1.PhaseRollingBack, v1alpha1.OutcomeRolledBack, 0
	return out
}

// bent is a status with one thing changed.
func bent(s *v1alpha1.RolloutStatus, what byte, to int32) *v1alpha1.RolloutStatus {
	out := s.DeepCopy()
	phases := rollout.Phases()
	switch what % 9 {
	case 0:
		out.Seq += int64(to%5) - 2
	case 1:
		out.Attempt += int64(to%5) - 2
	case 2:
		out.Phase = v1alpha1.Phase(phases[int(to)%len(phases)].String())
	case 3:
		out.Weight = to % 101
	case 4:
		out.Step = to % 5
	case 5:
		out.Outcome = []v1alpha1.Outcome{v1alpha1.OutcomeOpen, v1alpha1.OutcomeCompleted, v1alpha1.OutcomeRolledBack, v1alpha1.OutcomeAborted, ""}[to%5]
	case 6:
		out.Stable.Name = fmt.Sprintf("v%d", to%4)
	case 7:
		out.Gates = nil
	case 8:
		out.Epoch -= int64(to % 2)
	}
	return out
}

// sane is what the guards are to say, in other words.
func sane(o, s *v1alpha1.RolloutStatus) bool {
	seq, attempt := s.Seq-o.Seq, s.Attempt-o.Attempt
	if s.Epoch < o.Epoch || seq < 0 || seq > 1 || attempt < 0 || attempt > 1 {
		return false
	}
	canary := func(s *v1alpha1.RolloutStatus) string {
		if s.Canary == nil {
			return ""
		}
		return s.Canary.Name
	}
	rests := s.Phase == v1alpha1.PhaseIdle || s.Phase == v1alpha1.PhaseRolledBack
	if rests && (s.Weight != 0 || s.Canary != nil) {
		return false
	}
	if seq == 0 && (s.Phase != o.Phase || s.Step != o.Step || s.Weight != o.Weight || attempt != 0 || s.Outcome != o.Outcome || s.Stable.Name != o.Stable.Name || canary(s) != canary(o)) {
		return false
	}
	along := s.Phase == o.Phase || slices.ContainsFunc(rollout.Edges(), func(e rollout.Edge) bool {
		return e.From.String() == string(o.Phase) && e.To.String() == string(s.Phase)
	})
	promoted := s.Phase == v1alpha1.PhaseIdle && o.Canary != nil && s.Stable.Name == o.Canary.Name && s.Outcome == v1alpha1.OutcomeCompleted && (o.Weight == 100 || o.Observe)
	if !along || s.Stable.Name != o.Stable.Name && o.Stable.Name != "" && !promoted {
		return false
	}
	if attempt == 1 {
		return begun(o, s)
	}
	if o.Outcome != "" && o.Outcome != v1alpha1.OutcomeOpen && s.Outcome != o.Outcome {
		return false
	}
	return s.Weight <= o.Weight || raised(o, s)
}

// begun is the start of an attempt: from rest, with nothing, and not of what was rejected unless somebody retries.
func begun(o, s *v1alpha1.RolloutStatus) bool {
	rested := o.Phase == v1alpha1.PhaseIdle || o.Phase == v1alpha1.PhaseRolledBack
	if !rested || s.Phase != v1alpha1.PhasePreparing || s.Weight != 0 || s.Outcome != v1alpha1.OutcomeOpen || s.Gates != nil {
		return false
	}
	rejected := s.Canary != nil && s.Canary.Digest != "" && slices.ContainsFunc(o.Rejected, func(r v1alpha1.RejectedVersion) bool { return r.Digest == s.Canary.Digest })
	return !rejected || slices.ContainsFunc(s.Consumed, func(a v1alpha1.ConsumedAction) bool {
		return a.Verb == v1alpha1.ActionRetry && a.Result == v1alpha1.ActionAccepted &&
			!slices.ContainsFunc(o.Consumed, func(b v1alpha1.ConsumedAction) bool { return b.UID == a.UID })
	})
}

// raised is more weight: that of a later step of the plan, with a gate for each step that is left.
func raised(o, s *v1alpha1.RolloutStatus) bool {
	from := o.Phase == v1alpha1.PhasePreparing || o.Phase == v1alpha1.PhaseBaking || o.Phase == v1alpha1.PhaseHolding
	if s.Phase != v1alpha1.PhaseShifting || !from || s.Step <= o.Step || int(s.Step) > len(s.Plan) || s.Weight != s.Plan[s.Step-1].Weight {
		return false
	}
	if o.Outcome != "" && o.Outcome != v1alpha1.OutcomeOpen {
		return false
	}
	gates := int32(0)
	for _, g := range s.Gates {
		if g.Step >= o.Step && g.Step < s.Step {
			gates++
		}
	}
	return gates == s.Step-max(o.Step, 1)
}
