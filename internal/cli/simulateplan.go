package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/analysis/sim"
	"github.com/sluice-dev/sluice/analysis/spec"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/rollout"
	"github.com/sluice-dev/sluice/rollout/controller"
	"github.com/sluice-dev/sluice/rollout/scenario"
)

// planned is what simulating a whole Rollout prints.
type planned struct {
	Title   string       `json:"-"`
	Rollout string       `json:"rollout"`
	Steps   []int        `json:"steps"` // percent
	Runs    int          `json:"runs"`
	Seed    uint64       `json:"seed"`
	Rate    float64      `json:"rps"`
	Stable  float64      `json:"stableErrors"`
	Rows    []plannedRow `json:"rows"`
	column  string       // what rows differ in
}

type plannedRow struct {
	CanaryErrors  float64       `json:"canaryErrors"`
	LatencyFactor *float64      `json:"latencyFactor,omitempty"` // where latency is judged
	Completed     simulatedTime `json:"completed"`               // seconds from the start
	RolledBack    simulatedTime `json:"rolledBack"`              // seconds from the fault
	Inconclusive  float64       `json:"inconclusive"`
	BadServed     float64       `json:"badServed"`
	Timeline      []plannedLine `json:"timeline"` // of the first run
}

type plannedLine struct {
	At   float64 `json:"at"`
	Text string  `json:"text"`
}

// runPlan plays all steps of a Rollout for each canary.
func (o *simulateOptions) runPlan(ctx context.Context, s Streams, path string) error {
	ro, err := readRollout(s.In, path)
	if err != nil {
		return &Exit{Code: ExitUsage, Err: err}
	}
	plan, err := o.simulation(ro)
	if err != nil {
		return &Exit{Code: ExitUsage, Err: fmt.Errorf("%s: %w", path, err)}
	}
	if err := o.load(ctx, ro); err != nil {
		return err
	}
	view := planned{Rollout: ro.Name, Runs: o.runs, Seed: o.seed, column: o.column()}
	view.Rate, view.Stable = o.means()
	var weights []string
	for _, stage := range plan.Spec.Plan {
		view.Steps = append(view.Steps, stage.Weight)
		weights = append(weights, fmt.Sprint(stage.Weight))
	}
	view.Title = fmt.Sprintf("Rollout %s, steps %s, at %s; %d runs from seed %d.", ro.Name, strings.Join(weights, ", "), o.traffic(), o.runs, o.seed)
	for _, f := range o.faults() {
		plan.World = o.trial(f).World
		results, err := inParallel(ctx, o.runs, func(i int) (scenario.Result, error) { return plan.Run(o.seedOf(i)) })
		if err != nil {
			return err
		}
		row := planRow(f.errors, results)
		row.LatencyFactor = o.factor(f)
		view.Rows = append(view.Rows, row)
	}
	return view.write(s.Out, o.output)
}

// simulation is the Rollout as the engine and the judge take it.
func (o *simulateOptions) simulation(ro *v1alpha1.Rollout) (scenario.Simulation, error) {
	engine, err := controller.Spec(ro)
	if err != nil {
		return scenario.Simulation{}, err
	}
	if engine.Paused {
		return scenario.Simulation{}, errors.New("spec.paused: it would wait for a person at once; take it out to see what comes after")
	}
	cfg, err := spec.Config(ro.Spec.Analysis, 0, nil)
	if err == nil {
		err = errors.Join(cfg.Validate()...)
	}
	if err == nil {
		err = o.ready(cfg)
	}
	canary := max(o.judge.endpoints, 1)
	if o.world.Pods > 1 {
		canary = max(1, o.world.Pods/2)
	}
	return scenario.Simulation{Spec: engine, Stable: canary, Canary: canary, Config: func(stage rollout.Stage) analysis.Config {
		c := cfg
		c.Bake = stage.Min
		return c
	}}, err
}

// readRollout finds the one Rollout of a file.
func readRollout(stdin io.Reader, path string) (*v1alpha1.Rollout, error) {
	var text []byte
	var err error
	if path == "-" {
		text, err = io.ReadAll(stdin)
	} else {
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the Rollout: %w", err)
	}
	var found *v1alpha1.Rollout
	for docs := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text))); ; {
		doc, err := docs.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
		var kind struct {
			Kind string `json:"kind"`
		}
		if err := yaml.Unmarshal(doc, &kind); err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
		if kind.Kind != "Rollout" {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("%s holds several Rollouts: give one", path)
		}
		found = &v1alpha1.Rollout{}
		if err := yaml.UnmarshalStrict(doc, found); err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
	}
	if found == nil {
		return nil, fmt.Errorf("%s holds no Rollout", path)
	}
	return found, nil
}

func planRow(bad float64, results []scenario.Result) plannedRow {
	outcomes := make([]sim.Outcome, len(results))
	row := plannedRow{CanaryErrors: bad}
	for i, r := range results {
		o := sim.Outcome{RolledBack: sim.Never, Promotable: sim.Never, Bad: r.Bad}
		switch r.Outcome {
		case rollout.OutcomeRolledBack:
			o.RolledBack = r.Detected
		case rollout.OutcomeCompleted:
			o.Promotable = r.Ended
		default:
			row.Inconclusive += 1 / float64(len(results))
		}
		outcomes[i] = o
	}
	s := sim.Summarise(outcomes)
	row.RolledBack, row.Completed, row.BadServed = timeOf(s.RolledBack), timeOf(s.Promotable), s.Bad
	for _, l := range results[0].Lines {
		row.Timeline = append(row.Timeline, plannedLine{At: l.At.Seconds(), Text: l.Text})
	}
	return row
}

func (v planned) write(out io.Writer, format string) error {
	if format == "json" {
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	}
	var rows [][]string
	header := []string{v.column, "rolled back", "p50", "p90", "p99", "bad served", "inconclusive", "completed", "p50", "p90"}
	if len(v.Rows) > 0 && v.Rows[0].LatencyFactor != nil {
		header = slices.Insert(header, 1, "latency")
	}
	for _, r := range v.Rows {
		back, done := r.RolledBack, r.Completed
		rows = append(rows, append(r.fault(), percentOf(back.Share), back.at(back.P50), back.at(back.P90), back.at(back.P99), analysis.Digits(r.BadServed),
			percentOf(r.Inconclusive), percentOf(done.Share), done.at(done.P50), done.at(done.P90),
		))
	}
	write := writeColumns
	if format == "md" {
		write = writeMarkdown
	}
	if err := write(out, v.Title, header, rows); err != nil {
		return err
	}
	for _, r := range v.Rows {
		if _, err := fmt.Fprintf(out, "\nThe first run with %s:\n\n", r.world()); err != nil {
			return err
		}
		for _, l := range r.Timeline {
			at := time.Duration(l.At * float64(time.Second)).Round(time.Millisecond)
			if _, err := fmt.Fprintf(out, "    %9s  %s\n", spanOf(at), l.Text); err != nil {
				return err
			}
		}
	}
	return nil
}

// playScenario plays a script of the engine, with the spec of a Rollout where one is given, and prints it with what came
// out. An expectation that failed is a no.
func playScenario(s Streams, path, file string) error {
	play := scenario.Play
	if file != "" {
		ro, err := readRollout(s.In, file)
		if err != nil {
			return &Exit{Code: ExitUsage, Err: err}
		}
		engine, err := controller.Spec(ro)
		if err != nil {
			return &Exit{Code: ExitUsage, Err: fmt.Errorf("%s: %w", file, err)}
		}
		play = func(script string) (string, error) { return scenario.PlayFor(engine, script) }
	}
	script, err := os.ReadFile(path)
	if err != nil {
		return &Exit{Code: ExitUsage, Err: fmt.Errorf("reading the scenario: %w", err)}
	}
	out, err := play(string(script))
	if err != nil {
		return &Exit{Code: ExitUsage, Err: fmt.Errorf("%s: %w", path, err)}
	}
	if _, err := io.WriteString(s.Out, out); err != nil {
		return err
	}
	lines := slices.Collect(strings.SplitSeq(out, "\n"))
	if i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "expected ") }); i >= 0 {
		return &Exit{Code: ExitNo, Err: fmt.Errorf("%s: %s", path, lines[i])}
	}
	return nil
}
