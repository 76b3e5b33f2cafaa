package analysis

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Noise says how failures are taken to come.
type Noise string

// The kinds of noise. The zero value means Bursty.
const (
	Bursty      Noise = "bursty"      // failures of one cause come in clumps: a window counts one event at most
	Independent Noise = "independent" // requests fail independently of each other: faster, and trusts that
)

// Config is what a Rollout asks of the analysis. Zero values mean the documented defaults.
type Config struct {
	Alpha      float64       // false rollbacks allowed per attempt; 0.01
	AlphaGuard float64       // the same for the guard at 100 %; 0.001
	Beta       float64       // harmful canaries allowed past a step; 0.05
	Objective  float64       // share of good requests promised, such as 0.999; 0: none
	Bake       time.Duration // observed time the present step needs; 0: none
	Criteria   []Criterion   // in any order; none means that nothing can promote
	Mixture    Mixture
}

// Mixture tunes the evidence of harm. The zero value means the defaults; only sluice judge sets it.
type Mixture struct {
	Start float64       // mass in the ratios at the start, the rest is reserve; 0.5
	Tau   time.Duration // how slowly the reserve is handed out; 600 s
	Grid  []float64     // alternatives as multiples of the tolerated ratio; 1.2 1.5 2 3 6 15 60 1000
}

// Criterion is one metric: two arms to compare, or a gate.
type Criterion struct {
	Name string
	Source
	Share     int     // of the evidence of harm, relative to the others; 1. Conditions have none
	DryRun    bool    // evaluated and shown, decides nothing
	Required  bool    // promotion needs it cleared or passed, and without its data the verdict is Blind
	FromStep  int     // before this step (from 1) it neither counts nor is required; 0 and 1: always
	Tolerance float64 // how much worse still counts as not worse; 0.25, of a histogram 0.1
	Harmful   Harmful
	Noise     Noise
	Window    time.Duration // length of a window at least; 5 s
	Warmup    time.Duration // after every proxy has acknowledged the weight; 10 s, of a histogram 30 s. Negative: none
	Limits    Limits        // of a condition
}

// Harmful says what must not pass: a canary whose bad share is at least Ratio times stable's and at least Rate.
type Harmful struct {
	Ratio float64 // 2
	Rate  float64 // 0.005, with an objective min(0.01, 5 (1 - objective)); of a histogram, at its promotion bound, 0.01
}

// Bounds of a Config.
const (
	MaxCriteria = 12
	MinWindow   = time.Second
	maxGrid     = 16
)

// errorsName is the built-in metric that the hard rules and the guard look at first.
const errorsName = "errors"

// Builtin gives the built-in metric of that name with its defaults: errors (5xx, required), latency (times of answers,
// required), attempts (tries as load reports count them, not required) or clientErrors (4xx, off unless asked for, not required).
func Builtin(name string) (Criterion, bool) {
	c := Criterion{Name: name}
	switch name {
	case errorsName:
		c.Share, c.Required = 4, true
	case "latency":
		c.Share, c.Required, c.Kind = 2, true, KindHistogram
	case Attempts:
		c.Share = 2
	case "clientErrors":
		c.Share = 1
	default:
		return Criterion{}, false
	}
	c = c.withDefaults(0)
	c.Harmful.Rate = 0 // the objective may have a say
	return c, true
}

// Standard is the Config of a Rollout that says nothing: errors, latency and attempts, each as far as somebody holds it.
func Standard() Config {
	cfg := Config{}
	for _, name := range []string{errorsName, "latency", Attempts} {
		c, _ := Builtin(name)
		c.Optional = true
		cfg.Criteria = append(cfg.Criteria, c)
	}
	return cfg.WithDefaults()
}

// Default is a Config of the errors metric alone.
func Default() Config {
	c, _ := Builtin(errorsName)
	cfg := Config{}.WithDefaults()
	cfg.Criteria = []Criterion{c}
	return cfg
}

// WithDefaults is the Config with every zero value replaced by its default and the criteria sorted by name.
func (c Config) WithDefaults() Config {
	or(&c.Alpha, 0.01)
	or(&c.AlphaGuard, 0.001)
	or(&c.Beta, 0.05)
	or(&c.Mixture.Start, 0.5)
	or(&c.Mixture.Tau, 600*time.Second)
	if len(c.Mixture.Grid) == 0 {
		c.Mixture.Grid = []float64{1.2, 1.5, 2, 3, 6, 15, 60, 1000}
	}
	criteria := make([]Criterion, 0, len(c.Criteria))
	for _, k := range c.Criteria {
		criteria = append(criteria, k.withDefaults(c.Objective))
	}
	slices.SortFunc(criteria, func(a, b Criterion) int { return strings.Compare(a.Name, b.Name) })
	c.Criteria = criteria
	return c
}

func (c Criterion) withDefaults(objective float64) Criterion {
	or(&c.Kind, c.kind())
	or(&c.Share, 1)
	or(&c.FromStep, 1)
	if c.Kind == KindCondition {
		c.Limits = c.Limits.withDefaults()
		return c
	}
	if c.Kind == KindHistogram {
		or(&c.Tolerance, 0.1)
		or(&c.Warmup, 30*time.Second)
		or(&c.Harmful.Rate, 0.01)
	}
	or(&c.Tolerance, 0.25)
	or(&c.Noise, Bursty)
	or(&c.Window, 5*time.Second)
	or(&c.Warmup, 10*time.Second)
	or(&c.Harmful.Ratio, 2)
	if objective > 0 {
		or(&c.Harmful.Rate, min(0.01, 5*(1-objective)))
	}
	or(&c.Harmful.Rate, 0.005)
	return c
}

func or[T comparable](v *T, otherwise T) {
	var zero T
	if *v == zero {
		*v = otherwise
	}
}

// rho0 is the ratio of bad shares that is still tolerated.
func (c Criterion) rho0() float64 { return 1 + c.Tolerance }

// Validate says everything that is wrong with the Config, defaults applied.
func (c Config) Validate() []error {
	c = c.WithDefaults()
	var errs []error
	addf := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for _, p := range []struct {
		name string
		v    float64
	}{{"alpha", c.Alpha}, {"alphaGuard", c.AlphaGuard}, {"beta", c.Beta}} {
		if !(p.v > 0 && p.v <= 0.5) {
			addf("%s is %v: want more than 0 and at most 0.5", p.name, p.v)
		}
	}
	if c.Objective != 0 && !(c.Objective > 0.5 && c.Objective < 1) {
		addf("objective is %v: want a share between 0.5 and 1, such as 0.999", c.Objective)
	}
	if c.Bake < 0 {
		addf("bake is %v: want 0 or more", c.Bake)
	}
	if len(c.Criteria) > MaxCriteria {
		addf("%d metrics: at most %d", len(c.Criteria), MaxCriteria)
	}
	histograms := 0
	for _, k := range c.Criteria {
		if k.Kind == KindHistogram {
			histograms++
		}
	}
	if histograms > MaxHistograms {
		addf("%d histograms: at most %d", histograms, MaxHistograms)
	}
	errs = append(errs, c.Mixture.validate()...)
	for i, k := range c.Criteria {
		if i > 0 && c.Criteria[i-1].Name == k.Name {
			addf("metric %q is listed twice", k.Name)
		}
		for _, err := range k.validate() {
			addf("metric %q: %w", k.Name, err)
		}
	}
	return errs
}

func (m Mixture) validate() []error {
	var errs []error
	if !(m.Start > 0 && m.Start <= 1) {
		errs = append(errs, fmt.Errorf("start is %v: want more than 0 and at most 1", m.Start))
	}
	if m.Tau < time.Second {
		errs = append(errs, fmt.Errorf("tau is %v: want 1s or more", m.Tau))
	}
	if len(m.Grid) > maxGrid {
		errs = append(errs, fmt.Errorf("grid has %d ratios: at most %d", len(m.Grid), maxGrid))
	}
	for i, g := range m.Grid {
		if !(g > 1 && g <= 1e6) || (i > 0 && g <= m.Grid[i-1]) {
			errs = append(errs, fmt.Errorf("grid ratio %v: want rising numbers above 1, at most 1e6", g))
		}
	}
	return errs
}

func (c Criterion) validate() []error {
	var errs []error
	addf := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Name == "" || len(c.Name) > 63 {
		errs = append(errs, errors.New("the name must have 1 to 63 bytes"))
	}
	errs = append(errs, c.Source.validate()...)
	if c.Share < 0 || c.Share > 1000 {
		addf("share is %d: want 1 to 1000", c.Share)
	}
	if c.FromStep < 0 || c.FromStep > 16 {
		addf("fromStep is %d: want 1 to 16", c.FromStep)
	}
	if c.Kind == KindCondition {
		return append(errs, c.Limits.validate()...)
	}
	return append(errs, c.validateComparison()...)
}

// validateComparison says what is wrong with how the arms are to be compared.
func (c Criterion) validateComparison() []error {
	var errs []error
	addf := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	least := 0.1 // the vote is not valid below
	switch c.Noise {
	case Bursty:
	case Independent:
		least = 0
	default:
		addf("noise is %q: want %s or %s", c.Noise, Bursty, Independent)
	}
	if !(c.rho0() >= 1+least) {
		addf("the tolerated ratio is %v: want at least %v with noise %s", c.rho0(), 1+least, c.Noise)
	}
	if !(c.rho0() < c.Harmful.Ratio) || math.IsInf(c.Harmful.Ratio, 0) {
		addf("the tolerated ratio %v must be below the harmful one, %v", c.rho0(), c.Harmful.Ratio)
	}
	if !(c.Harmful.Rate > 0 && c.Harmful.Rate < 1) {
		addf("the harmful rate is %v: want between 0 and 1", c.Harmful.Rate)
	}
	if c.Window < MinWindow || c.Window > MaxOpen {
		addf("window is %v: want %v to %v", c.Window, MinWindow, MaxOpen)
	}
	if c.Warmup > time.Hour {
		addf("warmup is %v: want at most 1h", c.Warmup)
	}
	return errs
}

// digest names the Config without what differs from step to step, Bake, Required and Optional, whatever the order of its criteria:
// evidence belongs to it.
func (c Config) digest() string {
	c = c.WithDefaults() // with criteria of its own
	c.Bake = 0
	for i := range c.Criteria {
		c.Criteria[i].Required, c.Criteria[i].Optional = false, false
	}
	text, err := json.Marshal(c)
	if err != nil { // only NaN and Inf cannot be written; Validate refuses them
		text = fmt.Appendf(nil, "%v", c)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])[:16]
}
