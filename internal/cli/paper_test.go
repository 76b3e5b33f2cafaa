package cli

import (
	"bytes"
	"strings"
	"testing"

	"charm.land/lipgloss/v2"
	"github.com/google/go-cmp/cmp"
)

// columns of terminals that people have.
func terminals() []int { return []int{40, 60, 80, 120, 200} }

func sheet(width int) (*paper, *bytes.Buffer) {
	var out bytes.Buffer
	s := Streams{Out: &out}
	if width > 0 {
		s.Width = func() int { return width }
	}
	return newPaper(s), &out
}

func happenings() ([]string, [][]string) {
	return []string{"SEEN", "OBJECT", "REASON", "MESSAGE"}, [][]string{
		{"25m ago", "rollout/reviews", "WeightProgrammed", "step 1/3 (15%): acknowledged by 1/1 proxies; baking for at least 8s"},
		{"6s ago", "source/reviews", "Applied", "main@57798a1: 修复超时修复超时修复超时修复超时修复超时修复超时修复超时 and more of it"},
		{"5s ago", "rollout/reviews", "Reverted", "short"},
	}
}

func TestPaper_neverWritesBeyondTheTerminal(t *testing.T) {
	for _, width := range terminals() {
		p, out := sheet(width)
		header, rows := happenings()
		p.field("Git wants", `v3 from 57798a1 "a rather long subject that tells everything about the change" by 李雷`)
		p.titled("Events", header, rows)
		p.section("Evidence", strings.Repeat("x", 150))
		for _, line := range strings.Split(out.String(), "\n") {
			if lipgloss.Width(line) > width && width > 40 { // the columns before the message need 50
				t.Errorf("at %d columns %d are written: %q", width, lipgloss.Width(line), line)
			}
		}
	}
}

func TestPaper_isOneLineEachWhereNobodyLooks(t *testing.T) {
	p, out := sheet(0)
	header, rows := happenings()
	p.table("", header, rows)
	want := "" +
		"SEEN      OBJECT            REASON             MESSAGE\n" +
		"25m ago   rollout/reviews   WeightProgrammed   step 1/3 (15%): acknowledged by 1/1 proxies; baking for at least 8s\n" +
		"6s ago    source/reviews    Applied            main@57798a1: 修复超时修复超时修复超时修复超时修复超时修复超时修复超时 and more of it\n" +
		"5s ago    rollout/reviews   Reverted           short\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestPaper_movesColumnsTogetherThenFolds(t *testing.T) {
	p, out := sheet(60)
	header, rows := happenings()
	p.titled("Events", header, rows)
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
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestPaper_writesASCIIWhereTheLocaleTakesNoMore(t *testing.T) {
	var out bytes.Buffer
	p := newPaper(Streams{Out: &out, ASCII: true})
	p.field("Git wants", "v3 by 李雷")
	p.table("  ", nil, [][]string{{"é", "ü"}})
	if diff := cmp.Diff("Git wants:  v3 by ??\n  ?   ?\n", out.String()); diff != "" {
		t.Error(diff)
	}
}
