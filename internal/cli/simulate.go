package cli

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/sluice-dev/sluice/analysis/sim"
)

func newSimulate(s Streams) *cobra.Command {
	o := newSimulateOptions()
	cmd := &cobra.Command{
		Use:   "simulate [ROLLOUT|-]",
		Short: "Play made-up traffic through the real judge, many times over",
		Long: "Play seeded traffic with a fault through the same analysis that a rollout is judged by, on virtual time, and say how often\n" +
			"and how soon the canary is rolled back or may pass, and how many bad requests it serves until then. Nothing is sent\n" +
			"anywhere, and the same flags give the same bytes.\n\n" +
			"Without a file one step at --weight is played, without bake and warm-up unless asked for. With a file that holds a\n" +
			"Rollout all its steps are, with bake, warm-up and policies, through the real engine; a timeline shows the first run.\n" +
			"--scenario plays a script of the engine instead, with the Rollout's spec where a file is given too. Times count from the fault, those of completion from the start.\n" +
			"--canary-errors takes a list, a row each. --reference plays the worlds that the documentation speaks of, other\n" +
			"tools' published rules beside ours, and says whether each row reaches its bar.\n\n" +
			"Exit code 0; 1 if a row of --reference misses its bar or an expectation of --scenario fails; 2 wrong usage.",
		Example: "  sluice simulate --rps 20 --canary-errors 0.1%,1%,5%\n" +
			"  sluice simulate rollout.yaml --canary-errors 1% --fault-at 8m\n" +
			"  sluice simulate --config rollout.yaml --weight 25 --pods 12 --outages 2/h:20s\n" +
			"  sluice simulate --reference --runs 500 -o md",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 || len(args) == 1 && o.file != "" {
				return &Exit{Code: ExitUsage, Err: errors.New("give at most one file"), Next: "sluice simulate --help"}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.file = args[0]
			}
			plan, given := o.file != "", cmd.Flags().Changed
			if err := errors.Join(o.fits(plan, given), o.complete(plan, given)); err != nil {
				return &Exit{Code: ExitUsage, Err: err, Next: "sluice simulate --help"}
			}
			switch {
			case o.scenario != "":
				return playScenario(s, o.scenario, o.file)
			case plan:
				return o.runPlan(cmd.Context(), s, o.file)
			case o.reference:
				return o.runReference(cmd.Context(), s)
			default:
				return o.runStep(cmd.Context(), s)
			}
		},
	}
	o.register(cmd.Flags())
	return cmd
}

// runStep plays one step for each canary and prints a row each.
func (o *simulateOptions) runStep(ctx context.Context, s Streams) error {
	if err := o.load(ctx, nil); err != nil {
		return err
	}
	view := simulated{
		Title: fmt.Sprintf("One step of %v at %d%% of %s; %d runs from seed %d.", spanOf(o.horizon), o.weight, o.traffic(), o.runs, o.seed),
		Runs:  o.runs, Seed: o.seed, Weight: o.weight, Horizon: o.horizon.Seconds(), World: o.column(),
	}
	view.Rate, view.StableErrors = o.means()
	for _, f := range o.faults() {
		outcomes, err := o.play(ctx, o.runs, o.trial(f).Run)
		if err != nil {
			return err
		}
		row := rowOf(percentOf(f.errors), sim.Summarise(outcomes))
		row.CanaryErrors, row.LatencyFactor = &f.errors, o.factor(f)
		view.Rows = append(view.Rows, row)
	}
	return view.write(s.Out, o.output)
}

// runReference plays the worlds of the documentation.
func (o *simulateOptions) runReference(ctx context.Context, s Streams) error {
	view := simulated{
		Title: fmt.Sprintf("One step of 30m at 15%%, 100 rps and stable 0.1%% bad unless said otherwise; %d runs from seed %d, of healthy worlds %d.",
			o.runs, o.seed, 4*o.runs),
		Runs: o.runs, Seed: o.seed, Weight: 15, Rate: 100, StableErrors: 0.001, Horizon: 1800, World: "world", Judged: true,
	}
	missed := 0
	references, err := o.references()
	if err != nil {
		return err
	}
	for _, r := range references {
		outcomes, err := o.play(ctx, r.Runs*o.runs, r.Trial.Run)
		if err != nil {
			return err
		}
		summary := sim.Summarise(outcomes)
		row := rowOf(r.Name, summary)
		row.Rule, row.Misses = "Sluice", r.Bar.Misses(summary, 3)
		missed += len(row.Misses)
		view.Rows = append(view.Rows, row)
		if !r.Peers {
			continue
		}
		for _, p := range sim.Peers() {
			outcomes, err := o.play(ctx, r.Runs*o.runs, func(seed uint64) sim.Outcome { return r.Trial.Peer(seed, p) })
			if err != nil {
				return err
			}
			row := rowOf(r.Name, sim.Summarise(outcomes))
			row.Rule, row.Promotable, row.foreign = p.Name, nil, true
			view.Rows = append(view.Rows, row)
		}
	}
	if err := view.write(s.Out, o.output); err != nil {
		return err
	}
	if missed > 0 {
		var worlds []string
		for _, r := range view.Rows {
			if len(r.Misses) > 0 {
				worlds = append(worlds, fmt.Sprintf("%s: %s", r.World, strings.Join(r.Misses, ", ")))
			}
		}
		return &Exit{Code: ExitNo, Err: errors.New("the bar is missed: " + strings.Join(worlds, "; "))}
	}
	return nil
}

// references are the worlds of the documentation that are asked for.
func (o *simulateOptions) references() ([]sim.Reference, error) {
	all := sim.References()
	for _, name := range o.worlds {
		if !slices.ContainsFunc(all, func(r sim.Reference) bool { return r.Name == name }) {
			return nil, &Exit{Code: ExitUsage, Err: fmt.Errorf("--world %q: there is no such world", name), Next: "sluice simulate --reference --runs 1"}
		}
	}
	return slices.DeleteFunc(all, func(r sim.Reference) bool { return len(o.worlds) > 0 && !slices.Contains(o.worlds, r.Name) }), nil
}

// play runs so many worlds on all cores; what comes out is in the order of seeds, whoever is done first.
func (o *simulateOptions) play(ctx context.Context, runs int, run func(seed uint64) sim.Outcome) ([]sim.Outcome, error) {
	return inParallel(ctx, runs, func(i int) (sim.Outcome, error) { return run(o.seedOf(i)), nil })
}

// seedOf keeps the worlds of neighbouring seeds apart.
func (o *simulateOptions) seedOf(run int) uint64 { return o.seed<<24 + uint64(run) }

// inParallel does n things on all cores and gives their results in order.
func inParallel[T any](ctx context.Context, n int, do func(i int) (T, error)) ([]T, error) {
	out := make([]T, n)
	group, ctx := errgroup.WithContext(ctx)
	cores := runtime.GOMAXPROCS(0)
	for part := range cores {
		group.Go(func() error {
			for i := part; i < n; i += cores {
				if err := ctx.Err(); err != nil {
					return err
				}
				var err error
				if out[i], err = do(i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return out, group.Wait()
}
