package problem

import (
	"fmt"
	"strings"
)

// family is a range of codes that belong together.
type family struct{ from, title string }

func families() []family {
	return []family{
		{"S001", "Objects"}, {"S010", "References"}, {"S020", "Routes"}, {"S030", "Gateways"}, {"S041", "Policies, services and endpoints"},
		{"S060", "Rollouts in the mesh"}, {"S080", "What is not supported"}, {"S090", "Resources and proxies"},
		{"S205", "Sources"}, {"S301", "Files of a commit"}, {"S401", "Applying"}, {"S501", "Files"},
		{"S601", "Rollouts"}, {"S701", "Statistics"}, {"S711", "Metrics"}, {"S801", "Operation"},
	}
}

// Page writes entries as the Markdown page of the documentation.
func Page(entries []Entry) string {
	var b strings.Builder
	b.WriteString(`# Codes

<!-- Written by "make generate" from api/problem/codes. Do not edit. -->

Every finding of Sluice has a code, whoever shows it: a command, the page, a status or a log. Codes are never given another
meaning. ` + "`sluice explain CODE`" + ` prints the same texts without a network.

The examples stand in a mesh with a Gateway ` + "`front`" + ` and a service ` + "`reviews`" + ` on port 80 with the subsets ` + "`v1`" + ` and ` + "`v2`" + `, all in
namespace ` + "`shop`" + `. Each is tested: ` + "`sluice lint`" + ` finds the code in the first, and not in the second.
`)
	next := families()
	for _, e := range entries {
		for len(next) > 0 && next[0].from <= e.Code {
			if len(next) == 1 || next[1].from > e.Code {
				fmt.Fprintf(&b, "\n## %s\n", next[0].title)
			}
			next = next[1:]
		}
		b.WriteString("\n" + e.markdown())
	}
	return b.String()
}

func (e Entry) markdown() string {
	var b strings.Builder
	grades := make([]string, len(e.Severities))
	for i, s := range e.Severities {
		grades[i] = string(s)
	}
	fmt.Fprintf(&b, "### %s: %s\n\n*Severity: %s.* %s\n\n%s\n\n**What to do.** %s\n", e.Code, e.Short, strings.Join(grades, " or "), e.Problem, e.Why, e.Fix)
	if e.Before != "" {
		fmt.Fprintf(&b, "\n```yaml\n%s```\n\nMended:\n\n```yaml\n%s```\n", e.Before, e.After)
	}
	return b.String()
}
