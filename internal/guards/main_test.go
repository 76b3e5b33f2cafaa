package main

import (
	"os"
	"strings"
	"testing"
)

// TestGuarded_isWhatTheTypeHas says that nobody changed the table or the type alone.
func TestGuarded_isWhatTheTypeHas(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("../../api/v1alpha1/rollout_types.go")
	if err != nil {
		t.Fatal(err)
	}
	want, err := guarded(string(source))
	if err != nil {
		t.Fatal(err)
	}
	if want != string(source) {
		t.Error("api/v1alpha1/rollout_types.go has other guard rules than the engine's table gives: run make generate")
	}
}

func TestGuarded_replacesRulesWhereTheyStand(t *testing.T) {
	t.Parallel()
	rule := `// +kubebuilder:validation:XValidation:rule="true",message="G1 old"` + "\n"
	got, err := guarded("// A.\n" + rule + rule + "type T struct{}\n")
	if err != nil || !strings.HasPrefix(got, "// A.\n// +kubebuilder") || !strings.HasSuffix(got, "\ntype T struct{}\n") ||
		strings.Count(got, "message=") != len(rules()) || strings.Contains(got, "G1 old") {
		t.Errorf("got %v\n%s", err, got)
	}
	if _, err := guarded("type T struct{}\n"); err == nil {
		t.Error("a source without rules is guarded")
	}
}
