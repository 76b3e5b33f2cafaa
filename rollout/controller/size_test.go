package controller

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/api/crd"
	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// maxStatus is the largest status that may be stored, in bytes.
const maxStatus = 64 << 10

// maxPlan is the largest plan and maxTraffic the largest entry of one that Validate lets pass, in bytes.
const (
	maxPlan    = 4096
	maxTraffic = 2048
)

// fullest is a status whose every field is as long as the schema lets it be. The schema bounds the parts of a plan, and
// Validate bounds the whole: lists of matches are as long as that allows.
func fullest(t *testing.T) *v1alpha1.RolloutStatus {
	t.Helper()
	defs, err := crd.Own()
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(defs, func(d *apiextensionsv1.CustomResourceDefinition) bool { return d.Spec.Names.Kind == "Rollout" })
	schema := defs[at].Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["status"]
	text, err := json.Marshal(full(t, "status", &schema))
	if err != nil {
		t.Fatal(err)
	}
	s := &v1alpha1.RolloutStatus{}
	if err := json.Unmarshal(text, s); err != nil {
		t.Fatal(err)
	}
	one := s.Plan[0].Match[:1:1]
	one[0].Cookies, one[0].Headers = nil, one[0].Headers[:1]
	for i := range s.Plan {
		s.Plan[i].Match, s.Plan[i].Mirror, s.Plan[i].Metrics = nil, nil, nil
	}
	for i := range s.Plan {
		if s.Plan[i].Match = one; sizeOf(t, s.Plan) > maxPlan {
			s.Plan[i].Match = nil
		}
	}
	s.Traffic.Match = nil
	for sizeOf(t, append(s.Traffic.Match, one...)) < maxTraffic-sizeOf(t, s.Traffic) {
		s.Traffic.Match = append(s.Traffic.Match, one...)
	}
	s.Analysis.Evidence = strings.Repeat(`"errors":1234567,`, analysis.MaxEvidence/17)
	for i := range s.Analysis.Metrics {
		s.Analysis.Metrics[i].Name = fmt.Sprintf("%02d%s", i, s.Analysis.Metrics[i].Name[2:])
	}
	return s
}

func sizeOf(t *testing.T, v any) int {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return len(text)
}

// full is a value as large as a schema lets it be. A field without a bound fails the test.
func full(t *testing.T, path string, s *apiextensionsv1.JSONSchemaProps) any {
	t.Helper()
	switch {
	case len(s.Enum) > 0:
		longest := slices.MaxFunc(s.Enum, func(a, b apiextensionsv1.JSON) int { return len(a.Raw) - len(b.Raw) })
		return json.RawMessage(longest.Raw)
	case s.Type == "object":
		out := map[string]any{}
		for name, p := range s.Properties {
			out[name] = full(t, path+"."+name, &p)
		}
		return out
	case s.Type == "array":
		if s.MaxItems == nil {
			t.Fatalf("%s has no maxItems", path)
		}
		out := make([]any, *s.MaxItems)
		for i := range out {
			out[i] = full(t, path+"[]", s.Items.Schema)
		}
		return out
	case s.Format == "date-time":
		return "2026-07-01T12:00:00.123456Z"
	case s.Type == "boolean":
		return true
	case s.Type == "integer":
		if s.Maximum != nil {
			return int64(*s.Maximum)
		}
		if s.Format == "int32" {
			return int32(1<<31 - 1)
		}
		return int64(1<<63 - 1)
	case strings.HasSuffix(path, ".bake.min"), strings.HasSuffix(path, ".bake.max"), strings.HasSuffix(path, ".maxAge"), strings.HasSuffix(path, ".pause.for"):
		return "719h59m59s999ms"
	case s.MaxLength == nil:
		t.Fatalf("%s has no maxLength", path)
	}
	return strings.Repeat("x", int(min(*s.MaxLength, largest(path))))
}

// largest is what the controller cuts a text to where the schema lets it be longer.
func largest(path string) int64 {
	switch path {
	case "status.notes[].commit":
		return 0 // only notes of Sources have it
	case "status.conditions[].message":
		return 512 // of Ready; 256 elsewhere
	case "status.conditions[].type", "status.conditions[].reason":
		return 28 // the longest there is
	}
	return 1 << 20
}

func TestFit_everyFieldAtItsBound(t *testing.T) {
	s := fullest(t)
	before := sizeOf(t, s)
	if err := fit(s, nil); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes became %d", before, sizeOf(t, s))
	if after := sizeOf(t, s); before <= maxStatus || after > maxStatus {
		t.Errorf("%d bytes became %d, at most %d fit", before, after, maxStatus)
	}
	if len(s.Notes) < leanNotes || len(s.History) < leanHistory || len(s.Consumed) != 16 || len(s.Approvals) != 16 || len(s.Gates) != 16 || len(s.Rejected) != 8 {
		t.Errorf("left: %d notes, %d past, %d consumed, %d approvals, %d gates, %d rejected", len(s.Notes), len(s.History), len(s.Consumed),
			len(s.Approvals), len(s.Gates), len(s.Rejected))
	}
}

// What can be left out without a look at the size is surely small.
func TestFit_looksWhereItMayBeTooLarge(t *testing.T) {
	s := fullest(t)
	s.Analysis.Evidence = ""
	all := s.Notes
	for n := range len(all) {
		s.Notes = all[:n]
		if size := sizeOf(t, s); surelyAmple(s) && size > ampleStatus {
			t.Errorf("%d notes: %d bytes are called small", n, size)
		}
	}
}

func TestFit_leavesOutInOrder(t *testing.T) {
	criteria := []analysis.Criterion{{Name: "errors"}, {Name: "tried", DryRun: true}}
	made := func(evidence int) *v1alpha1.RolloutStatus {
		s := &v1alpha1.RolloutStatus{Analysis: &v1alpha1.AnalysisStatus{Evidence: strings.Repeat("x", evidence),
			Metrics: []v1alpha1.MetricStatus{{Name: "errors"}, {Name: "tried", Ratio: strings.Repeat("1", 16), Harm: strings.Repeat("1", 16)}}}}
		for i := range 64 {
			kind := v1alpha1.NoteStepPassed
			if i%8 == 0 {
				kind = v1alpha1.NoteBlocked
			}
			s.Notes = append(s.Notes, v1alpha1.PendingNote{Notifier: "team", Kind: kind, Seq: int64(i), Text: strings.Repeat("t", 100), LastError: strings.Repeat("e", 64)})
		}
		for range 8 {
			s.Receipts = append(s.Receipts, v1alpha1.Receipt{Notifier: "team", Attempt: 1, Ref: strings.Repeat("r", 128)})
		}
		for range 10 {
			s.History = append(s.History, v1alpha1.HistoryEntry{Name: strings.Repeat("n", 200), Text: "why"})
		}
		return s
	}
	bare := sizeOf(t, made(0))
	var told []string
	for over := -100; over < 28000; over += 80 {
		s := made(ampleStatus - bare + over)
		if err := fit(s, criteria); err != nil {
			t.Fatal(err)
		}
		now := fmt.Sprintf("errors=%v history=%d rows=%d notes=%d receipts=%d texts=%v evidence=%v", s.Notes[0].LastError != "", len(s.History), len(s.Analysis.Metrics),
			len(s.Notes), len(s.Receipts), s.Notes[0].Text != "", s.Analysis.Evidence != "")
		if len(told) == 0 || told[len(told)-1] != now {
			told = append(told, now)
		}
	}
	want := []string{
		"errors=true history=10 rows=2 notes=64 receipts=8 texts=true evidence=true",
		"errors=false history=10 rows=2 notes=64 receipts=8 texts=true evidence=true",
		"errors=false history=3 rows=2 notes=64 receipts=8 texts=true evidence=true",
		"errors=false history=3 rows=1 notes=64 receipts=8 texts=true evidence=true",
		"errors=false history=3 rows=1 notes=32 receipts=8 texts=true evidence=true",
		"errors=false history=3 rows=1 notes=32 receipts=0 texts=true evidence=true",
		"errors=false history=3 rows=1 notes=32 receipts=0 texts=false evidence=true",
		"errors=false history=3 rows=1 notes=32 receipts=0 texts=false evidence=false",
	}
	if !slices.Equal(told, want) {
		t.Errorf("left out in this order:\n%s\nwant\n%s", strings.Join(told, "\n"), strings.Join(want, "\n"))
	}
}

// What is left out of a status takes nothing from the engine's state but old history.
func TestFit_leavesTheStateAlone(t *testing.T) {
	s := fullest(t)
	s.Phase = v1alpha1.PhaseBaking
	before, err := stateOf(s)
	if err != nil {
		t.Fatal(err)
	}
	if err := fit(s, nil); err != nil {
		t.Fatal(err)
	}
	after, err := stateOf(s)
	if err != nil {
		t.Fatal(err)
	}
	before.History, after.History = nil, nil
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the state changed (-was +is):\n%s", diff)
	}
}
