package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/analysis/prom"
	"github.com/sluice-dev/sluice/internal/cli/convert"
)

// exitLost is the exit code of `sluice convert --strict` where something is lost: as of an attempt that went back.
const exitLost = ExitRolledBack

// maxConverted is the longest file that is converted, in bytes.
const maxConverted = 8 << 20

// convertOptions are the flags of `sluice convert`.
type convertOptions struct {
	from   string
	strict bool
	report string
}

func newConvert(s Streams) *cobra.Command {
	o := &convertOptions{}
	cmd := &cobra.Command{
		Use:   "convert FILE...",
		Short: "Write objects of Argo Rollouts or Flagger as Sluice's",
		Long: "Write Rollouts and AnalysisTemplates of Argo Rollouts, and Canaries and MetricTemplates of Flagger, as objects of Sluice. Name all\n" +
			"files that belong together: templates, Deployments, VirtualServices, DestinationRules. What is of neither tool is taken over.\n" +
			"- is the standard input.\n\n" +
			"Every line of the source is kept, changed in a way that is said, or dropped with the reason: in comments above the result\n" +
			"(S901 dropped, S902 changed, S903 left to do) and in the report.\n\n" +
			"Exit code: 0 written, 2 wrong usage or nothing to convert, 3 with --strict where something is dropped or left to do.",
		Example: "  sluice convert rollout.yaml analysis.yaml >sluice.yaml\n" +
			"  sluice convert canary.yaml --from flagger --strict --report lost.json",
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return o.run(s, args) },
	}
	f := cmd.Flags()
	f.StringVar(&o.from, "from", "", "argo or flagger (default: both)")
	f.BoolVar(&o.strict, "strict", false, "exit 3 where something is dropped or left to do")
	f.StringVar(&o.report, "report", "", "file to write what became of every line to, as JSON (ConversionReport)")
	return cmd
}

func (o *convertOptions) run(s Streams, args []string) error {
	switch convert.From(o.from) {
	case "", convert.Argo, convert.Flagger:
	default:
		return &Exit{Code: ExitUsage, Err: fmt.Errorf("--from %q: want argo or flagger", o.from), Next: "sluice convert --help"}
	}
	files := make([]convert.File, 0, len(args))
	for _, name := range args {
		content, err := readConverted(s, name)
		if err != nil {
			return &Exit{Code: ExitUsage, Err: err, Next: "name files that can be read"}
		}
		files = append(files, convert.File{Name: name, Content: content})
	}
	result, err := convert.Run(files, convert.Options{From: convert.From(o.from), Check: refusedCondition})
	if err != nil {
		return &Exit{Code: ExitUsage, Err: err, Next: "sluice convert --help"}
	}
	if o.report != "" {
		text, err := json.MarshalIndent(result.Report, "", "  ")
		if err == nil {
			err = os.WriteFile(o.report, append(text, '\n'), 0o644) //nolint:gosec // it holds no more than the source did
		}
		if err != nil {
			return &Exit{Code: ExitUsage, Err: fmt.Errorf("writing the report: %w", err)}
		}
	}
	if _, err := s.Out.Write(result.YAML); err != nil {
		return err
	}
	t := result.Report.Total
	fmt.Fprintf(s.Err, "of %d lines %d are kept, %d changed, %d dropped, %d blank; %d to do\n", t.Lines, t.Kept, t.Changed, t.Dropped, t.Blank, result.Report.Todo)
	if o.strict && result.Report.Lost() {
		return &Exit{Code: exitLost, Err: errors.New("something is dropped or left to do: see S901 and S903 above the result")}
	}
	return nil
}

func readConverted(s Streams, name string) ([]byte, error) {
	from := s.In
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("reading what to convert: %w", err)
		}
		defer f.Close() //nolint:errcheck // it was read
		from = f
	}
	content, err := io.ReadAll(io.LimitReader(from, maxConverted+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if len(content) > maxConverted {
		return nil, fmt.Errorf("%s is longer than %d bytes", name, maxConverted)
	}
	return content, nil
}

// refusedCondition says why a condition would not be asked.
func refusedCondition(query, pass, fail string, args map[string]string) error {
	return prom.CheckCondition(analysis.Condition{Query: query, Pass: pass, Fail: fail, Args: args})
}
