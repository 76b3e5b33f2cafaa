package cli

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/analysis/sim"
	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// shareList is a list of probabilities.
type shareList struct {
	shares []float64
}

// String implements pflag.Value.
func (l *shareList) String() string {
	texts := make([]string, 0, len(l.shares))
	for _, s := range l.shares {
		texts = append(texts, percentOf(s))
	}
	return strings.Join(texts, ",")
}

// Set implements pflag.Value.
func (l *shareList) Set(text string) error {
	l.shares = nil
	for word := range strings.SplitSeq(text, ",") {
		var s share
		if err := s.Set(word); err != nil {
			return err
		}
		l.shares = append(l.shares, float64(s))
	}
	return nil
}

// Type implements pflag.Value.
func (l *shareList) Type() string { return "probabilities" }

// trouble is RATE/h:DURATION, and after another colon the share of requests that fail.
type trouble struct {
	sim.Trouble
}

// String implements pflag.Value.
func (t *trouble) String() string {
	if t.Rate == 0 {
		return ""
	}
	return fmt.Sprintf("%v/h:%v:%s", t.Rate, t.Lasts, percentOf(t.Share))
}

// Set implements pflag.Value.
func (t *trouble) Set(text string) error {
	wrong := fmt.Errorf("%q: want RATE/h:DURATION or RATE/h:DURATION:SHARE, such as 2/h:20s", text)
	fields := strings.Split(text, ":")
	number, hourly := strings.CutSuffix(fields[0], "/h")
	rate, err := strconv.ParseFloat(number, 64)
	if err != nil || !hourly || !(rate > 0) || len(fields) < 2 || len(fields) > 3 {
		return wrong
	}
	lasts, err := time.ParseDuration(fields[1])
	if err != nil || lasts <= 0 {
		return wrong
	}
	failed := share(1)
	if len(fields) == 3 {
		if err := failed.Set(fields[2]); err != nil || failed == 0 {
			return wrong
		}
	}
	t.Trouble = sim.Trouble{Rate: rate, Lasts: lasts, Share: float64(failed)}
	return nil
}

// Type implements pflag.Value.
func (t *trouble) Type() string { return "trouble" }

// simulateOptions are the flags of `sluice simulate`.
type simulateOptions struct {
	worldFlags
	judge     *judgeOptions
	weight    int
	horizon   time.Duration
	runs      int
	seed      uint64
	output    string
	reference bool
	worlds    []string // of the reference; none: all
	scenario  string
	file      string // with a Rollout, as the argument
}

// worldFlags describe the traffic.
type worldFlags struct {
	world              sim.World
	stableErrors       share
	canaryErrors       shareList
	outages, incidents trouble
	missed             share
	latency            latencyFlags
	reported           bool // the analysis looks at what proxies report
	record             recordFlags
	recording          sim.Recording // what was read, if anything
}

// most bounds what one command may be asked for.
const mostRuns = 1_000_000

func newSimulateOptions() *simulateOptions {
	o := &simulateOptions{judge: newJudgeOptions()}
	o.stableErrors = 0.001
	o.canaryErrors.shares = []float64{0.001, 0.01, 0.05, 0.5}
	return o
}

func (o *simulateOptions) register(f *pflag.FlagSet) {
	o.worldFlags.register(f)
	f.IntVar(&o.weight, "weight", 15, "percent of the traffic that the canary gets")
	f.DurationVar(&o.horizon, "horizon", 30*time.Minute, "how long the step lasts")
	f.IntVar(&o.runs, "runs", 200, "worlds for each row")
	f.Uint64Var(&o.seed, "seed", 1, "what chance begins with")
	f.StringVarP(&o.output, "output", "o", "table", "table, md or json")
	f.BoolVar(&o.reference, "reference", false, "play the worlds of the documentation, and those alone")
	f.StringArrayVar(&o.worlds, "world", nil, "of --reference, this world alone; may be repeated")
	f.StringVar(&o.scenario, "scenario", "", "play this script of the engine, for the Rollout where one is given")
	f.StringVarP(&o.file, "filename", "f", "", "file with a Rollout, as the argument")
	o.judge.tuning.register(f)
	f.StringVar(&o.judge.config, "config", "", "YAML file with a Rollout or its analysis block; flags given besides win")
	f.IntVar(&o.judge.endpoints, "endpoints", 3, "ready canary endpoints, for the hard rule")
	f.BoolVar(&o.judge.hardFail, "hard-fail", true, "apply the hard rule")
}

func (w *worldFlags) register(f *pflag.FlagSet) {
	f.Float64Var(&w.world.Rate, "rps", 100, "requests a second of both versions together")
	f.Var(&w.stableErrors, "stable-errors", "bad share of the stable version")
	f.Var(&w.canaryErrors, "canary-errors", "bad share of the canary from the fault on; a list makes a row each")
	f.DurationVar(&w.world.Fault, "fault-at", 0, "when the canary turns bad; before, it is as good as stable")
	f.DurationVar(&w.world.Scrape.Every, "scrape", 5*time.Second, "time between scrapes")
	f.IntVar(&w.world.Scrape.Targets, "proxies", 1, "proxies that share the traffic, scraped one after the other")
	f.Var(&w.missed, "missed", "share of scrapes that fail")
	f.IntVar(&w.world.Pods, "pods", 0, "pods of both versions together, the canary's in proportion to its weight; for --outages")
	f.Var(&w.outages, "outages", "RATE/h:DURATION: outages of each pod, such as 2/h:20s")
	w.latency.register(f)
	w.record.register(f)
	f.Var(&w.incidents, "incidents", "RATE/h:DURATION[:SHARE]: incidents that hit both versions, such as 6/h:90s:40%")
}

// fits says which flag has no meaning for what is asked: a Rollout brings its own steps and analysis, the reference and
// scenarios all they need.
func (o *simulateOptions) fits(plan bool, given func(string) bool) error {
	worlds := append([]string{"rps", "stable-errors", "canary-errors", "fault-at", "scrape", "proxies", "missed", "pods", "outages", "incidents", "endpoints"},
		append(latencyNames(), recordNames()...)...)
	judged := []string{"weight", "horizon", "config", "hard-fail", "alpha", "beta", "rho0", "rho1", "delta", "objective", "noise", "window",
		"warmup", "bake", "start", "tau", "grid"}
	var without []string
	what := ""
	switch {
	case o.reference && (plan || o.scenario != ""):
		return errors.New("give --reference alone, without a Rollout and without --scenario")
	case o.scenario != "":
		what, without = "--scenario", slices.Concat(worlds, judged, []string{"runs", "seed", "output"})
	case o.reference:
		what, without = "--reference", slices.Concat(worlds, judged)
	case plan:
		what, without = "a Rollout", judged
	}
	for _, flag := range without {
		if given(flag) {
			return fmt.Errorf("%s says itself what --%s would: leave it out", what, flag)
		}
	}
	return nil
}

// complete checks the flags and makes the Config; given says which flags were.
func (o *simulateOptions) complete(plan bool, given func(string) bool) error {
	switch {
	case o.runs < 1 || o.runs > mostRuns:
		return fmt.Errorf("--runs is %d: want 1 to %d", o.runs, mostRuns)
	case o.weight < 1 || o.weight > 100:
		return fmt.Errorf("--weight is %d: want 1 to 100", o.weight)
	case o.horizon < time.Second || o.horizon > 24*time.Hour:
		return fmt.Errorf("--horizon is %v: want 1s to 24h", o.horizon)
	case o.world.Fault >= o.horizon && !plan:
		return fmt.Errorf("--fault-at is %v: the step of %v ends before", o.world.Fault, o.horizon)
	case o.output != "table" && o.output != "md" && o.output != "json":
		return fmt.Errorf("--output %q is none of [table md json]", o.output)
	case o.record.fits(plan, given) != nil:
		return o.record.fits(plan, given)
	case o.outages.Rate == 0 && o.world.Pods != 0:
		return errors.New("--pods means nothing without --outages")
	case len(o.worlds) > 0 && !o.reference:
		return errors.New("--world means nothing without --reference")
	case o.judge.endpoints < 0:
		return errors.New("--endpoints must be 0 or more")
	}
	o.world.Outages, o.world.Incidents, o.world.Scrape.Missed = o.outages.Trouble, o.incidents.Trouble, float64(o.missed)
	if o.record.asked() && !given("canary-errors") {
		o.canaryErrors.shares[0] = 0 // nothing on top of what was recorded
	}
	o.latency.asked = slices.ContainsFunc(latencyNames(), given)
	if given("latency-factor") && !given("canary-errors") {
		o.canaryErrors.shares = []float64{float64(o.stableErrors)} // slow and else as good
		if o.record.asked() {
			o.canaryErrors.shares = []float64{0}
		}
	}
	if o.judge.config == "" {
		o.judge.metrics = v1alpha1.DefaultMetrics()
	}
	if err := o.judge.complete(given); err != nil {
		return err
	}
	if plan {
		return nil // the Rollout says what is judged
	}
	return o.ready(o.judge.cfg)
}

// ready checks the worlds, once it is known what is judged.
func (o *simulateOptions) ready(cfg analysis.Config) error {
	o.reported = slices.ContainsFunc(cfg.Criteria, func(c analysis.Criterion) bool { return c.Name == analysis.Attempts })
	if err := o.latency.settle(cfg); err != nil {
		return err
	}
	for _, f := range o.faults() {
		if err := o.trial(f).World.Validate(); err != nil {
			return err
		}
	}
	return nil
}

// trial is the step with a canary of that fault.
func (o *simulateOptions) trial(f fault) sim.Trial {
	world := o.world
	world.Recording = o.recording
	world.Stable, world.Canary, world.Latency = float64(o.stableErrors), f.errors, o.latency.of(f.slow)
	world.Scrape.Loads = o.reported
	return sim.Trial{
		World: world, Config: o.judge.cfg, Weight: o.weight, Horizon: o.horizon,
		Endpoints: o.judge.endpoints, Soft: !o.judge.hardFail,
	}
}
