package cli

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/analysis/spec"
	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// share is a probability, written as a fraction or in percent.
type share float64

// String implements pflag.Value.
func (p *share) String() string {
	if *p == 0 {
		return ""
	}
	return strconv.FormatFloat(float64(*p), 'g', -1, 64)
}

// Set implements pflag.Value.
func (p *share) Set(text string) error {
	number, percent := strings.CutSuffix(strings.TrimSpace(text), "%")
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
		return fmt.Errorf("%q is no probability: want such as 0.01 or 1%%", text)
	}
	if percent {
		v /= 100
	}
	*p = share(v)
	return nil
}

// Type implements pflag.Value.
func (p *share) Type() string { return "probability" }

// judgeOptions are the flags of `sluice judge`.
type judgeOptions struct {
	tuning    judgeTuning
	cfg       analysis.Config // made of the flags
	config    string
	metrics   []string
	from      float64
	weight    int
	endpoints int
	hardFail  bool
	stop      bool
	trace     bool
	exitCode  bool
	without   []string // metrics that are on by themselves and that there is no line of
}

// judgeTuning are the flags that hold for every metric.
type judgeTuning struct {
	alpha, beta, delta, objective share
	rho0, rho1                    float64
	noise                         string
	window, warmup, bake          time.Duration
	mixture                       analysis.Mixture
}

func newJudgeOptions() *judgeOptions { return &judgeOptions{} }

func (o *judgeOptions) register(f *pflag.FlagSet) {
	o.tuning.register(f)
	f.StringArrayVar(&o.metrics, "metric", nil, "NAME[,kind=ratio|histogram][,share=N][,rho0=X]; may be repeated (default errors)")
	f.StringVar(&o.config, "config", "", "YAML file with a Rollout or its analysis block; flags given besides win")
	f.Float64Var(&o.from, "from", 0, "start of the first line in seconds")
	f.IntVar(&o.weight, "weight", 0, "percent of the canary where a line does not say; at 100 the guard judges (0: unknown)")
	f.IntVar(&o.endpoints, "endpoints", 3, "ready canary endpoints where a line does not say")
	f.BoolVar(&o.hardFail, "hard-fail", true, "apply the hard rule")
	f.BoolVar(&o.stop, "stop", false, "end at the first rollback or promotable moment")
	f.BoolVar(&o.trace, "trace", false, "print a line for each closed window first")
	f.BoolVar(&o.exitCode, "exit-code", false, "say the verdict by exit code")
}

// register adds the flags that hold for every metric; sluice simulate has them too.
func (t *judgeTuning) register(f *pflag.FlagSet) {
	t.alpha, t.beta = 0.01, 0.05
	f.Var(&t.alpha, "alpha", "false rollbacks allowed per attempt")
	f.Var(&t.beta, "beta", "harmful canaries allowed past a step")
	f.Float64Var(&t.rho0, "rho0", 1.25, "ratio of bad shares that is tolerated")
	f.Float64Var(&t.rho1, "rho1", 2, "ratio of bad shares that is harmful, if also --delta is reached")
	f.Var(&t.delta, "delta", "bad share that is harmful, if also --rho1 is reached (default 0.5%, or by --objective)")
	f.Var(&t.objective, "objective", "share of good requests that is promised, such as 99.9% (default: none)")
	f.StringVar(&t.noise, "noise", string(analysis.Bursty), "bursty: failures come in clumps; independent: one by one")
	f.DurationVar(&t.window, "window", 5*time.Second, "length of a window at least")
	f.DurationVar(&t.warmup, "warmup", 0, "time after the start of a step that is not judged, but by the hard rule")
	f.DurationVar(&t.bake, "bake", 0, "observed time that a step needs")
	f.Float64Var(&t.mixture.Start, "start", 0.5, "mass in the mixture at the start; the rest is reserve")
	f.DurationVar(&t.mixture.Tau, "tau", 600*time.Second, "how slowly the reserve is handed out")
	f.Float64SliceVar(&t.mixture.Grid, "grid", []float64{1.2, 1.5, 2, 3, 6, 15, 60, 1000}, "alternatives as multiples of --rho0")
}

// complete makes the Config; given says which flags were.
func (o *judgeOptions) complete(given func(string) bool) error {
	if o.config != "" {
		if len(o.metrics) > 0 {
			return errors.New("give the metrics in --config or by --metric, not both")
		}
		cfg, err := readAnalysis(o.config)
		if err != nil {
			return err
		}
		o.cfg = cfg
	} else if err := o.addMetrics(); err != nil {
		return err
	}
	o.apply(func(flag string) bool { return o.config == "" || given(flag) }, given("rho0"))
	if !(o.from >= 0 && o.from <= 1e9) || o.weight < 0 || o.weight > 100 || o.endpoints < 0 {
		return errors.New("--from must be 0 or more, --weight 0 to 100 and --endpoints 0 or more")
	}
	if !(o.tuning.rho0 > 1) {
		return fmt.Errorf("--rho0 is %v: want a ratio above 1", o.tuning.rho0)
	}
	o.cfg = o.cfg.WithDefaults()
	return errors.Join(o.cfg.Validate()...)
}

// apply puts the flags for which use holds into the Config. The default of --rho0 is not that of histograms.
func (o *judgeOptions) apply(use func(flag string) bool, rho0 bool) {
	t, c := o.tuning, &o.cfg
	set(use("alpha"), &c.Alpha, float64(t.alpha))
	set(use("beta"), &c.Beta, float64(t.beta))
	set(use("objective"), &c.Objective, float64(t.objective))
	set(use("bake"), &c.Bake, t.bake)
	c.Mixture = t.mixture
	for i := range c.Criteria {
		k := &c.Criteria[i]
		set(use("rho0") && (rho0 || k.Kind != analysis.KindHistogram) && (k.Tolerance == 0 || o.config != ""), &k.Tolerance, t.rho0-1) // a metric's own wins
		set(use("rho1"), &k.Harmful.Ratio, t.rho1)
		set(use("delta"), &k.Harmful.Rate, float64(t.delta))
		set(use("noise"), &k.Noise, analysis.Noise(t.noise))
		set(use("window"), &k.Window, t.window)
		set(use("warmup"), &k.Warmup, t.warmup)
		if k.Warmup == 0 && use("warmup") {
			k.Warmup = -1 // none, where zero would be the default
		}
	}
}

func set[T any](use bool, to *T, v T) {
	if use {
		*to = v
	}
}

// addMetrics reads --metric.
func (o *judgeOptions) addMetrics() error {
	if len(o.metrics) == 0 {
		o.metrics = []string{"errors"}
	}
	for _, text := range o.metrics {
		name, options, _ := strings.Cut(text, ",")
		c := spec.Metric(name)
		if b, builtin := analysis.Builtin(name); builtin {
			c.Kind = b.Kind
		}
		for option := range strings.SplitSeq(options, ",") {
			if option == "" {
				continue
			}
			if err := metricOption(&c, option); err != nil {
				return fmt.Errorf("--metric %s: %w", text, err)
			}
		}
		o.cfg.Criteria = append(o.cfg.Criteria, c)
	}
	return nil
}

func metricOption(c *analysis.Criterion, option string) error {
	key, value, _ := strings.Cut(option, "=")
	switch key {
	case "kind":
		switch value {
		case "ratio":
			c.Kind = analysis.KindRatio
		case "histogram":
			c.Kind = analysis.KindHistogram
		default:
			return fmt.Errorf("kind %q: want ratio or histogram", value)
		}
	case "share":
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 || n > 1000 {
			return fmt.Errorf("share %q: want 1 to 1000", value)
		}
		c.Share = n
	case "rho0":
		v, err := strconv.ParseFloat(value, 64)
		if err != nil || !(v > 1 && v < 1e6) {
			return fmt.Errorf("rho0 %q: want a ratio above 1", value)
		}
		c.Tolerance = v - 1
	default:
		return fmt.Errorf("%q: want kind=ratio, kind=histogram, share=N or rho0=X", option)
	}
	return nil
}

// readAnalysis takes the analysis block out of a Rollout, or one that stands alone.
func readAnalysis(path string) (analysis.Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return analysis.Config{}, fmt.Errorf("reading --config: %w", err)
	}
	var kind struct {
		Kind string `json:"kind"`
	}
	if err := yaml.Unmarshal(text, &kind); err != nil {
		return analysis.Config{}, fmt.Errorf("reading --config: %w", err)
	}
	var block v1alpha1.Analysis
	if kind.Kind != "" {
		var ro v1alpha1.Rollout
		if err := yaml.UnmarshalStrict(text, &ro); err != nil || kind.Kind != "Rollout" {
			return analysis.Config{}, fmt.Errorf("reading --config: kind %s: %w", kind.Kind, errors.Join(err, errors.New("want a Rollout or its analysis block")))
		}
		block = ro.Spec.Analysis
	} else if err := yaml.UnmarshalStrict(text, &block); err != nil {
		return analysis.Config{}, fmt.Errorf("reading --config: %w", err)
	}
	// Unlike in a cluster, metrics of templates need no template here: their counts stand in the input.
	return spec.Config(block, block.Bake.Or(5*time.Minute), nil)
}
