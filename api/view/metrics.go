package view

import (
	"fmt"
	"strings"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// Rows are the metrics of a view as lines of a table, without a header: of a comparison how many requests of both versions
// were bad, of a histogram also by which bounds, of a condition what its gate has come to.
func (v StatusView) Rows() []string {
	width := 0
	for _, m := range v.Metrics {
		width = max(width, len(m.Name))
	}
	lines := make([]string, 0, len(v.Metrics))
	for _, m := range v.Metrics {
		said := comparison(m)
		switch {
		case m.Gate != nil:
			said = gate(*m.Gate)
		case m.NotJudged != "":
			said = []string{"not judged: " + m.NotJudged}
		}
		lines = append(lines, fmt.Sprintf("%-*s  %s", width, m.Name, strings.Join(said, "  ")))
	}
	return lines
}

func comparison(m v1alpha1.MetricStatus) []string {
	said := []string{"canary " + arm(m.Canary), "stable " + arm(m.Stable)}
	if b := m.Bounds; b != nil && b.Slow == "" {
		return append(said, fmt.Sprintf("bounds not chosen, %d requests known", b.Known))
	} else if b != nil {
		said = append(said, "slower than "+b.Slow)
	}
	if m.AtLeast != "" {
		said = append(said, "at least "+m.AtLeast+"x")
	}
	said = append(said, "harm "+m.Harm)
	if b := m.Bounds; b != nil {
		where := "beyond "
		if b.Within {
			where = "within "
		}
		said = append(said, "most "+where+b.Most+" (harm "+b.Harm+")")
	}
	switch {
	case m.Cleared:
		said = append(said, "cleared")
	case m.Needed != nil && *m.Needed > 0:
		said = append(said, fmt.Sprintf("needs about %d more canary requests", *m.Needed))
	}
	return said
}

// arm is what was bad of all: 14/1350; n/a without requests.
func arm(a v1alpha1.ArmStatus) string {
	if a.Requests == 0 {
		return "n/a"
	}
	return fmt.Sprintf("%d/%d", a.Bad, a.Requests)
}

func gate(g v1alpha1.GateStatus) []string {
	taken := g.Passed + g.Failed + g.Inconclusive
	counts := fmt.Sprintf("%d of %d passed", g.Passed, max(taken, g.Wanted))
	for _, part := range []struct {
		n    int32
		what string
	}{{g.Failed, "failed"}, {g.Inconclusive, "inconclusive"}, {g.Errors, "without an answer since"}} {
		if part.n > 0 {
			counts += fmt.Sprintf(", %d %s", part.n, part.what)
		}
	}
	said := []string{"gate " + strings.ToLower(string(g.State)), counts}
	if g.Value != "" {
		said = append(said, fmt.Sprintf("last %s (%s)", g.Value, g.Outcome))
	}
	return said
}
