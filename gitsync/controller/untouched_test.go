package controller

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/kube"
)

// A commit that changes nothing which the Source reads is applied by saying so: nothing is planned, looked at or written but
// the status. The next one that changes something is applied as any.
func TestSource_untouchedCommitIsOnlyNoted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.push("first", map[string]string{"app/a.yaml": configMap("a", "one"), "README": "1\n"})
	w.source(nil)
	before := w.ready(v1alpha1.ReasonApplied, first)
	applies := func() float64 { return measured(t, w.controller)["phase_seconds apply"] }
	kube.Eventually(t, soon, func() error {
		if n := applies(); n != 1 {
			return fmt.Errorf("%v runs, want one", n)
		}
		return nil
	})
	second := w.push("second: elsewhere", map[string]string{"README": "2\n", "other/b.yaml": configMap("b", "one")})
	w.hint(second)
	s := w.ready(v1alpha1.ReasonApplied, second)
	if n := applies(); n != 1 {
		t.Errorf("%v runs, want none for a commit that changes nothing here", n)
	}
	c := v1alpha1.Condition(s.Conditions, v1alpha1.ConditionReady)
	if !strings.HasSuffix(s.LastAppliedRevision, second) || s.Commit.ID != second || s.Commit.Subject != "second: elsewhere" || len(s.History) != len(before.History) ||
		!strings.Contains(c.Message, second[:7]) {
		t.Errorf("status %+v, want the second commit applied with no history of its own", s)
	}
	third := w.push("third", map[string]string{"app/a.yaml": configMap("a", "two")})
	w.hint(third)
	if w.ready(v1alpha1.ReasonApplied, third); w.data("a")["k"] != "two" {
		t.Errorf("a = %v, want the third commit applied", w.data("a"))
	}
}
