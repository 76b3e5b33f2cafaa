package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/view"
)

// explainWidth is where the text of a code breaks its lines.
const explainWidth = 100

func newExplain(s Streams) *cobra.Command {
	var output *output
	cmd := &cobra.Command{
		Use:   "explain [CODE|REASON|FIELD...]",
		Short: "Say what a code, a reason or a field means and what to do",
		Long: "Say what a code of a finding means, why it matters and how to mend it, with manifests before and after; what a reason of\n" +
			"a condition means and what to do; or what a field of our kinds is, as rollout.spec.steps.\n" +
			"Without anything, list all codes. No network is needed.\n\n" +
			"Exit code: 0 printed, 2 wrong usage, 5 there is nothing of that name.",
		Example: "  sluice explain S010\n" +
			"  sluice explain InsufficientCapacity\n" +
			"  sluice explain rollout.spec.steps\n" +
			"  sluice explain s010 s018 -o json\n" +
			"  sluice explain | grep -i gateway",
		RunE: func(_ *cobra.Command, args []string) error {
			if err := output.ready(); err != nil {
				return err
			}
			return explain(s, args, output)
		},
		ValidArgsFunction: func(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
			return explainable(typed), cobra.ShellCompDirectiveNoFileComp
		},
	}
	output = addOutput(cmd, "text", "markdown")
	return cmd
}

// explainable are the words that there is an explanation of and that begin as typed.
func explainable(typed string) []string {
	var out []string
	for _, e := range problem.Catalogue() {
		if strings.HasPrefix(e.Code, strings.ToUpper(typed)) {
			out = append(out, e.Code+"\t"+e.Short)
		}
	}
	for name, r := range reasons() {
		if typed != "" && strings.HasPrefix(strings.ToLower(name), strings.ToLower(typed)) {
			out = append(out, name+"\t"+r.Means)
		}
	}
	at := max(0, strings.LastIndexByte(typed, '.'))
	if f, known, err := findField(typed[:at]); known && err == nil && at > 0 {
		for name := range inside(f.schema).Properties {
			if strings.HasPrefix(name, typed[at+1:]) {
				out = append(out, typed[:at+1]+name)
			}
		}
	}
	slices.Sort(out)
	return out
}

// explain prints codes, or else one reason or field.
func explain(s Streams, args []string, output *output) error {
	entries := problem.Catalogue()
	if len(args) > 0 {
		entries = nil
	}
	for _, word := range args {
		if e, ok := problem.Explain(word); ok {
			entries = append(entries, e)
			continue
		}
		if len(args) == 1 && (output.format == "" || output.format == "text") {
			return explainOther(s, word)
		}
		return unexplained(word)
	}
	if !output.people() {
		return output.document(s.Out, view.Codes(entries))
	}
	if output.format == "markdown" {
		_, err := fmt.Fprint(s.Out, problem.Page(entries))
		return err
	}
	return explainText(s, entries, len(args) > 0)
}

// explainOther prints what a reason or a field is.
func explainOther(s Streams, word string) error {
	if r, ok := findReason(word); ok {
		_, err := fmt.Fprint(s.Out, r.text())
		return err
	}
	f, known, err := findField(word)
	if err != nil {
		return err
	}
	if !known {
		return unexplained(word)
	}
	_, err = fmt.Fprint(s.Out, f.text())
	return err
}

// unexplained names what is nearest to a word that there is nothing of.
func unexplained(word string) error {
	near := problem.NearestCode(word)
	if !looksLikeCode(word) {
		near = problem.Nearest(word, slices.Sorted(maps.Keys(reasons())))
	}
	if near == "" {
		return &Exit{Code: ExitNotFound, Err: fmt.Errorf("there is no code or reason %q, and none is near", word), Next: "sluice explain"}
	}
	return &Exit{Code: ExitNotFound, Err: fmt.Errorf("there is no code %q; the nearest is %s", word, near), Next: "sluice explain " + near}
}

// looksLikeCode reports whether a word has the form of a code: a letter, and mostly digits.
func looksLikeCode(word string) bool {
	return len(word) <= 6 && strings.ContainsAny(word, "0123456789")
}

// explainText prints entries in full, or a line for each.
func explainText(s Streams, entries []problem.Entry, full bool) error {
	for i, e := range entries {
		text := fmt.Sprintf("%s  %-7s  %s\n", e.Code, e.Severity(), e.Short)
		if full {
			text = e.Text(explainWidth)
		}
		if full && i > 0 {
			text = "\n" + text
		}
		if _, err := fmt.Fprint(s.Out, text); err != nil {
			return err
		}
	}
	return nil
}
