package cli

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/view"
)

// explainWidth is where the text of a code breaks its lines.
const explainWidth = 100

func newExplain(s Streams) *cobra.Command {
	output := "text"
	cmd := &cobra.Command{
		Use:   "explain [CODE...]",
		Short: "Say what a code means, why it matters and how to mend it",
		Long: "Say what a code of a finding means, why it matters and how to mend it, with manifests before and after.\n" +
			"Without a code, list all of them. No network is needed.\n\n" +
			"Exit code: 0 printed, 2 wrong usage, 5 there is no such code.",
		Example: "  sluice explain S010\n" +
			"  sluice explain s010 s018 -o json\n" +
			"  sluice explain | grep -i gateway",
		RunE: func(_ *cobra.Command, args []string) error { return explain(s, args, output) },
		ValidArgsFunction: func(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
			var out []string
			for _, e := range problem.Catalogue() {
				if strings.HasPrefix(e.Code, strings.ToUpper(typed)) {
					out = append(out, e.Code+"\t"+e.Short)
				}
			}
			return out, cobra.ShellCompDirectiveNoFileComp
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text, json or markdown")
	return cmd
}

func explain(s Streams, args []string, output string) error {
	entries := problem.Catalogue()
	if len(args) > 0 {
		entries = nil
	}
	for _, code := range args {
		e, ok := problem.Explain(code)
		if !ok {
			near := problem.NearestCode(code)
			return &Exit{Code: ExitNotFound, Err: fmt.Errorf("there is no code %q; the nearest is %s", code, near), Next: "sluice explain " + near}
		}
		entries = append(entries, e)
	}
	switch output {
	case "json":
		enc := json.NewEncoder(s.Out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(view.Codes(entries))
	case "markdown":
		_, err := fmt.Fprint(s.Out, problem.Page(entries))
		return err
	case "text":
		return explainText(s, entries, len(args) > 0)
	default:
		return &Exit{Code: ExitUsage, Err: fmt.Errorf("output %q is none of text, json and markdown", output), Next: "sluice explain --help"}
	}
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
