package render

import (
	"strings"
	"testing"
)

// TestRunKustomize_containsAPanic: what a repository makes the library do ends one build, not the process.
func TestRunKustomize_containsAPanic(t *testing.T) {
	t.Parallel()
	_, err := runKustomize(nil) // there is nothing to read from
	if err == nil || !strings.Contains(err.Error(), "kustomize panicked") {
		t.Errorf("got %v, want a panic in words", err)
	}
}
