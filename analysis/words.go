package analysis

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Clause says in a few words with numbers why the verdict is what it is; canary names the version, or is empty.
// It is at most 256 bytes and has no full stop.
func Clause(r Report, canary string) string {
	text := clause(r, canary)
	if len(text) > 256 {
		text = strings.ToValidUTF8(text[:256], "")
	}
	return text
}

func clause(r Report, canary string) string {
	on := ""
	if canary != "" {
		on = " on " + canary
	}
	if text := loadsClause(r); text != "" {
		return text
	}
	m, known := r.metric(r.Metric)
	switch r.Reason {
	case RegressionDetected, HardFail, SLOBreach, Suspicious, Incident:
		if !known {
			return string(r.Reason)
		}
		return harmClause(r, m)
	case GateFailed, GateInconclusive, GateRunning:
		if !known || m.Gate == nil {
			return string(r.Reason)
		}
		text := m.Name + ": " + m.Gate.Words()
		if r.Reason == GateRunning && r.Progress.Needed > 0 {
			text += "; " + needs(r.Progress, on)
		}
		return text
	case BaselineMissing:
		if !known || m.Bounds == nil {
			return string(r.Reason)
		}
		return fmt.Sprintf("%s: %d of the %d stable requests are known that it takes to choose its bounds", m.Name, m.Bounds.Known, enoughStable)
	case NeedsRequests:
		return needs(r.Progress, on)
	case Baking:
		return fmt.Sprintf("baked %s of %s", Span(r.Progress.Observed), Span(r.Progress.Bake))
	case Collecting:
		return fmt.Sprintf("%s: no window with requests of both versions yet", r.Metric)
	case PartialTargets:
		return fmt.Sprintf("%s: the newest read is incomplete", r.Metric)
	case NoPromotionSource:
		return "no metric is required, so nothing can show it safe"
	case NonInferior:
		return "no worse after " + Span(r.Progress.Observed) + unjudged(r.Progress.Without)
	default:
		if r.Verdict == Blind && r.Reason == NoSeries {
			return fmt.Sprintf("%s: Prometheus has no series of either version for %s; disable the metric where nothing counts it", r.Metric, Span(r.Blind))
		}
		if r.Verdict == Blind && r.Reason == NotConfigured {
			return r.Metric + ": no Prometheus is configured to read it from; start the controller with --prometheus=URL"
		}
		if r.Verdict == Blind {
			return fmt.Sprintf("%s: %s for %s", r.Metric, r.Reason, Span(r.Blind))
		}
		return string(r.Reason)
	}
}

func (r Report) metric(name string) (MetricReport, bool) {
	for _, m := range r.Metrics {
		if m.Name == name {
			return m, true
		}
	}
	return MetricReport{}, false
}

// unjudged says what the verdict goes without.
func unjudged(absent []Absence) string {
	text := ""
	for i, a := range absent {
		text += [2]string{"; not judged: ", ", "}[min(i, 1)] + fmt.Sprintf("%s (%s)", a.Metric, a.Reason)
	}
	return text
}

func needs(p Progress, on string) string {
	switch {
	case p.Needed < 0:
		return fmt.Sprintf("no number of requests%s would show it safe at this rate of failures", on)
	case p.Wait > 0:
		return fmt.Sprintf("needs about %d more requests%s, %s at this rate", p.Needed, on, Span(p.Wait))
	default:
		return fmt.Sprintf("needs about %d more requests%s", p.Needed, on)
	}
}

// Words says how far a gate is, such as 2 of 3 measurements, 2 passed, last 0.7.
func (g Gate) Words() string {
	taken := g.Pass + g.Fail + g.Inconclusive
	text := fmt.Sprintf("%d of %d measurements", taken, max(g.Wanted, taken))
	if g.Standing == StandingOpen && taken >= g.Wanted {
		text = fmt.Sprintf("%d measurements", taken)
	}
	for _, part := range []struct {
		n    int
		what string
	}{{g.Pass, "passed"}, {g.Fail, "failed"}, {g.Inconclusive, "inconclusive"}, {g.Errors, "without an answer since"}} {
		if part.n > 0 {
			text += fmt.Sprintf(", %d %s", part.n, part.what)
		}
	}
	if g.Outcome != "" && g.Outcome != OutcomeError {
		text += ", last " + Digits(g.Value)
	}
	return text
}

// Millis is a bound in words, such as 250ms, 2.5s or 0.5ms.
func Millis(ms float64) string {
	if ms < 1000 {
		return Digits(ms) + "ms"
	}
	return Digits(ms/1000) + "s"
}

func harmClause(r Report, m MetricReport) string {
	p := m.Step
	if p.Canary.N == 0 { // during shifting, or the first of a step
		p = m.Attempt
	}
	if p.Canary.N == 0 {
		return fmt.Sprintf("%s: at least half of the canary's requests failed before the first window closed", m.Name)
	}
	text := fmt.Sprintf("%s %s", m.Name, RateOf(p.Canary))
	if m.Bounds != nil && m.Bounds.Promotion > 0 {
		text += " slower than " + Millis(m.Bounds.Promotion)
	}
	if r.Guard != nil && r.Guard.Metric == m.Name && p.Stable.N == 0 {
		return text + " against a limit of " + Percent(r.Guard.P0)
	}
	text += " against " + RateOf(p.Stable)
	if m.Estimate.AtLeast > 0 && r.Verdict == Rollback {
		text += ", at least " + Times(m.Estimate.AtLeast) + " (" + Percent(1-math.Exp(-r.Limit)) + ")"
	}
	if b, ok := m.Bounds.Loudest(); ok && b.LogE > 0 && b.Le != m.Bounds.Promotion {
		text += ", most at " + Millis(b.Le)
	}
	return text
}

// RateOf is a bad share with its counts, such as 20.1% (84/418); n/a without requests.
func RateOf(c Counts) string {
	if c.N == 0 {
		return "n/a"
	}
	return fmt.Sprintf("%s (%d/%d)", Percent(float64(c.Bad)/float64(c.N)), c.Bad, c.N)
}

// Percent is a share in percent to three significant digits.
func Percent(share float64) string { return Digits(100*share) + "%" }

// Times is a ratio to three significant digits.
func Times(ratio float64) string { return Digits(ratio) + "x" }

// Digits is a number to three significant digits, without trailing zeros after the point; n/a where it is not finite.
func Digits(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "n/a"
	}
	if v == 0 {
		return "0"
	}
	exponent := int(math.Floor(math.Log10(math.Abs(v))))
	if exponent >= 2 || exponent < -6 {
		return strconv.FormatFloat(v, 'g', max(3, min(exponent+1, 12)), 64)
	}
	text := strconv.FormatFloat(v, 'f', 2-exponent, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// Span is a duration as people write it: 212ms, 6.9s, 1m47s, 1h11m.
func Span(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < 10*time.Second:
		return strings.TrimSuffix(strconv.FormatFloat(d.Seconds(), 'f', 1, 64), ".0") + "s"
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return trimZero(fmt.Sprintf("%dm%ds", int(d.Minutes()), int(d.Seconds())%60), "0s")
	case d < 48*time.Hour:
		return trimZero(fmt.Sprintf("%dh%dm", int(d.Hours()), int(d.Minutes())%60), "0m")
	default:
		return fmt.Sprintf("%dd", int(d.Hours())/24)
	}
}

// trimZero drops a last part that is nothing, not a zero that belongs to a number.
func trimZero(text, zero string) string {
	short, cut := strings.CutSuffix(text, zero)
	if last := len(short) - 1; cut && last >= 0 && (short[last] == 'm' || short[last] == 'h') {
		return short
	}
	return text
}
