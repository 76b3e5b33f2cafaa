package paper_test

import (
	"strings"
	"testing"

	"charm.land/lipgloss/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/internal/cli/paper"
)

// columns of terminals that people have.
func terminals() []int { return []int{40, 60, 80, 120, 200} }

func happenings() ([]string, [][]string) {
	return []string{"SEEN", "OBJECT", "REASON", "MESSAGE"}, [][]string{
		{"25m ago", "rollout/reviews", "WeightProgrammed", "step 1/3 (15%): acknowledged by 1/1 proxies; baking for at least 8s"},
		{"6s ago", "source/reviews", "Applied", "main@57798a1: 修复超时修复超时修复超时修复超时修复超时修复超时修复超时 and more of it"},
		{"5s ago", "rollout/reviews", "Reverted", "short"},
	}
}

func TestPaper_neverWritesBeyondTheTerminal(t *testing.T) {
	for _, width := range terminals() {
		p := paper.New(width, false)
		header, rows := happenings()
		p.Field("Git wants", `v3 from 57798a1 "a rather long subject that tells everything about the change" by 李雷`)
		p.Titled("Events", header, rows)
		p.Section("Evidence", strings.Repeat("x", 150))
		for _, line := range strings.Split(p.String(), "\n") {
			if lipgloss.Width(line) > width && width > 40 { // the columns before the message need 50
				t.Errorf("at %d columns %d are written: %q", width, lipgloss.Width(line), line)
			}
		}
	}
}

func TestPaper_isOneLineEachWhereNobodyLooks(t *testing.T) {
	p := paper.New(0, false)
	header, rows := happenings()
	p.Table("", header, rows)
	want := "" +
		"SEEN      OBJECT            REASON             MESSAGE\n" +
		"25m ago   rollout/reviews   WeightProgrammed   step 1/3 (15%): acknowledged by 1/1 proxies; baking for at least 8s\n" +
		"6s ago    source/reviews    Applied            main@57798a1: 修复超时修复超时修复超时修复超时修复超时修复超时修复超时 and more of it\n" +
		"5s ago    rollout/reviews   Reverted           short\n"
	if diff := cmp.Diff(want, p.String()); diff != "" {
		t.Error(diff)
	}
}

func TestPaper_movesColumnsTogetherThenFolds(t *testing.T) {
	p := paper.New(60, false)
	header, rows := happenings()
	p.Titled("Events", header, rows)
	want := `Events:
  SEEN    OBJECT          REASON           MESSAGE
  25m ago rollout/reviews WeightProgrammed
      step 1/3 (15%): acknowledged by 1/1 proxies; baking
      for at least 8s
  6s ago  source/reviews  Applied
      main@57798a1:
      修复超时修复超时修复超时修复超时修复超时修复超时修复超
      时 and more of it
  5s ago  rollout/reviews Reverted         short
`
	if diff := cmp.Diff(want, p.String()); diff != "" {
		t.Error(diff)
	}
}

func TestPaper_writesASCIIWhereTheLocaleTakesNoMore(t *testing.T) {
	p := paper.New(0, true)
	p.Field("Git wants", "v3 by 李雷")
	p.Table("  ", nil, [][]string{{"é", "ü"}})
	if diff := cmp.Diff("Git wants:  v3 by ??\n  ?   ?\n", p.String()); diff != "" {
		t.Error(diff)
	}
}
