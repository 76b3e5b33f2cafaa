package report

import (
	"fmt"

	"github.com/sluice-dev/sluice/analysis"
)

// gate is the row of a condition: it compares nothing, so it has no rates.
func gate(m analysis.MetricReport) string {
	text := fmt.Sprintf("gate %s: %s", standing(m.Gate.Standing), m.Gate.Words())
	if m.Gap != "" {
		text += "  no data: " + string(m.Gap)
	}
	if m.DryRun {
		text += "  dry run"
	}
	return text
}

func standing(s analysis.Standing) string {
	switch s {
	case analysis.StandingPassed:
		return "passed"
	case analysis.StandingFailed:
		return "failed"
	case analysis.StandingUnsure:
		return "ended without a pass"
	case analysis.StandingOpen:
	}
	return "open"
}

// slower says what is bad in the rates of a histogram.
func slower(b analysis.Bounds) string {
	if b.Promotion == 0 {
		return fmt.Sprintf("bounds not chosen, %d requests known", b.Known)
	}
	return "slower than " + analysis.Millis(b.Promotion)
}

// loudest names the bound that speaks most, and what it says alone.
func loudest(b analysis.Bound) string {
	where := "beyond"
	if b.Fast {
		where = "within"
	}
	return fmt.Sprintf("most %s %s: %s", where, analysis.Millis(b.Le), amount(b.LogE))
}
