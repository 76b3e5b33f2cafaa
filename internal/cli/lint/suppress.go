package lint

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/view"
)

// suppression is a comment `# sluice:ignore CODE reason`.
type suppression struct {
	path         string
	line, column int
	target       int // the line whose findings it suppresses: its own, or the next with text where it stands alone
	code, reason string
	used         bool
}

// suppress parts the findings that a comment suppresses from the others, and adds what is wrong with the comments.
func suppress(files []File, found []problem.Problem) ([]problem.Problem, []view.SuppressedProblem) {
	byPath := map[string][]*suppression{}
	var wrong []problem.Problem
	for _, f := range files {
		for _, s := range suppressions(f) {
			if s.reason == "" {
				wrong = append(wrong, problem.Problem{
					Code: "S506", Severity: problem.Error, Path: s.path, Line: s.line, Column: s.column,
					Message: "a suppression needs the code of a finding and a reason", Hint: "write # sluice:ignore CODE and why it is accepted",
				})
				continue
			}
			byPath[f.Name] = append(byPath[f.Name], s)
		}
	}
	var rest []problem.Problem
	var suppressed []view.SuppressedProblem
	for _, p := range found {
		i := slices.IndexFunc(byPath[p.Path], func(s *suppression) bool { return s.code == p.Code && s.target == p.Line })
		if i < 0 {
			rest = append(rest, p)
			continue
		}
		byPath[p.Path][i].used = true
		suppressed = append(suppressed, view.SuppressedProblem{Problem: p, Reason: byPath[p.Path][i].reason})
	}
	for _, f := range files {
		for _, s := range byPath[f.Name] {
			if !s.used {
				wrong = append(wrong, problem.Problem{
					Code: "S507", Severity: problem.Warning, Path: s.path, Line: s.line, Column: s.column,
					Message: fmt.Sprintf("no finding %s is suppressed here", s.code), Hint: "remove the comment, or move it to the finding",
				})
			}
		}
	}
	slices.SortStableFunc(suppressed, func(a, b view.SuppressedProblem) int { return byPlace(a.Problem, b.Problem) })
	return append(rest, wrong...), suppressed
}

// suppressions reads the comments of a file.
func suppressions(f File) []*suppression {
	if !bytes.Contains(f.Content, []byte("sluice:ignore")) {
		return nil
	}
	comment := regexp.MustCompile(`(?:^|\s)(#\s*sluice:ignore\b)[ \t]*(.*)$`)
	form := regexp.MustCompile(`^(S[0-9]{3})\s+(\S.*)$`)
	lines := strings.Split(string(f.Content), "\n")
	var out []*suppression
	for i, line := range lines {
		at := comment.FindStringSubmatchIndex(line)
		if at == nil {
			continue
		}
		s := &suppression{path: f.Name, line: i + 1, column: at[2] + 1, target: i + 1}
		if m := form.FindStringSubmatch(strings.TrimSpace(line[at[4]:at[5]])); m != nil {
			s.code, s.reason = m[1], problem.Clean(m[2], problem.MaxMessage)
		}
		if strings.TrimSpace(line[:at[2]]) == "" {
			s.target = nextText(lines, i)
		}
		out = append(out, s)
	}
	return out
}

// nextText is the number of the first line behind i that is more than a comment.
func nextText(lines []string, i int) int {
	for n := i + 1; n < len(lines); n++ {
		if text := strings.TrimSpace(lines[n]); text != "" && text != "---" && !strings.HasPrefix(text, "#") {
			return n + 1
		}
	}
	return 0
}
