package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/sluice-dev/sluice/analysis"
)

func newJudge(s Streams) *cobra.Command {
	o := newJudgeOptions()
	cmd := &cobra.Command{
		Use:   "judge [FILE|-]",
		Short: "Judge recorded windows as a rollout would",
		Long: "Run the analysis over recorded windows, one JSON object a line, and print the verdict as one line of JSON:\n" +
			`  {"t":5,"metric":"errors","canary":{"n":75,"bad":1},"stable":{"n":425,"bad":0}}` + "\n" +
			`  {"t":10,"metric":"errors","gap":"Timeout"}` + "\n" +
			`  {"t":5,"metric":"latency","le":[25,50],"canary":{"n":75,"le":[15,38]},"stable":{"n":425,"le":[82,213]}}` + "\n" +
			"t is the end of the line in seconds. A line begins where the last one of its metric ended. Lines are merged until a\n" +
			"window is full and both sides have a request. Optional: \"weight\" (percent; a change begins a step), \"endpoints\",\n" +
			"and in an arm \"started\". Lines of a histogram count what took at most each bound, in ms.\n" +
			"Exit code 0, with --exit-code: Promote 0, Rollback 3, Inconclusive 4, Blind 6. Input that is wrong: 2.",
		Example: "  sluice judge windows.jsonl\n" +
			"  sluice judge --trace --noise independent --bake 5m - < windows.jsonl",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return &Exit{Code: ExitUsage, Err: errors.New("give at most one file"), Next: "sluice judge --help"}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.complete(cmd.Flags().Changed); err != nil {
				return &Exit{Code: ExitUsage, Err: err, Next: "sluice judge --help"}
			}
			in := s.In
			if len(args) == 1 && args[0] != "-" {
				file, err := os.Open(args[0])
				if err != nil {
					return &Exit{Code: ExitUsage, Err: fmt.Errorf("opening the windows: %w", err)}
				}
				defer func() { _ = file.Close() }()
				in = file
			}
			return runJudge(in, s.Out, o)
		},
	}
	o.register(cmd.Flags())
	return cmd
}

// runJudge reads windows, prints the trace if wanted, then the verdict.
func runJudge(in io.Reader, out io.Writer, o *judgeOptions) error {
	w := bufio.NewWriter(out)
	h := newHeld(o)
	var j *judgement
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 0, 64<<10), 1<<20)
	for number := 1; lines.Scan(); number++ {
		if len(lines.Bytes()) == 0 || !h.add(number, lines.Bytes()) {
			continue
		}
		if j == nil {
			j = newJudgement(o, json.NewEncoder(w))
		}
		if ended, err := h.play(j, w); err != nil {
			return errors.Join(err, w.Flush())
		} else if ended {
			return j.end(w)
		}
	}
	if err := lines.Err(); err != nil {
		return errors.Join(&Exit{Code: ExitUsage, Err: fmt.Errorf("reading the windows: %w", err)}, w.Flush())
	}
	h.settle()
	if j == nil {
		j = newJudgement(o, json.NewEncoder(w))
	}
	if _, err := h.play(j, w); err != nil {
		return errors.Join(err, w.Flush())
	}
	return j.end(w)
}

// end prints the verdict.
func (j *judgement) end(w *bufio.Writer) error {
	o, final := j.o, j.conclude()
	if err := errors.Join(j.out.Encode(final), w.Flush()); err != nil {
		return fmt.Errorf("writing the verdict: %w", err)
	}
	if !o.exitCode {
		return nil
	}
	switch final.Verdict {
	case analysis.Rollback:
		return &Exit{Code: ExitRolledBack}
	case analysis.Blind:
		return &Exit{Code: ExitUnreachable}
	case analysis.Inconclusive, analysis.Unknown:
		return &Exit{Code: ExitPaused}
	case analysis.Promote:
	}
	return nil
}
