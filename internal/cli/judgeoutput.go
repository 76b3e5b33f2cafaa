package cli

import "github.com/sluice-dev/sluice/analysis"

// judgeResult is the last line of output.
type judgeResult struct {
	Verdict      analysis.Verdict `json:"verdict"`
	Reason       analysis.Reason  `json:"reason"`
	T            float64          `json:"t"`
	RollbackAt   *float64         `json:"rollbackAt"`
	PromotableAt *float64         `json:"promotableAt"`
	LogE         float64          `json:"logE"`
	Threshold    float64          `json:"threshold"`
	Windows      int              `json:"windows"`
	Metrics      []judgedResult   `json:"metrics"`
	Without      []string         `json:"without,omitempty"` // metrics that are on by themselves and that there is no line of
}

// judgedResult shows one metric at the end of the input. Counts are of the attempt, estimates of the last step.
type judgedResult struct {
	Name       string      `json:"name"`
	Canary     judgedArm   `json:"canary"`
	Stable     judgedArm   `json:"stable"`
	Ratio      *float64    `json:"ratio"`
	AtLeast    float64     `json:"atLeast"`
	AtMost     float64     `json:"atMost"`
	Difference *[3]float64 `json:"difference"` // estimate, low, high
	Margin     float64     `json:"margin"`
	judgedEvidence
	Promotion float64       `json:"promotionBound,omitempty"` // of a histogram, ms: slower is bad; 0: not chosen
	Bounds    []judgedBound `json:"bounds,omitempty"`         // of a histogram, by which it is judged
}

type judgedBound struct {
	Le   float64 `json:"le"`
	Fast bool    `json:"fast"` // it is about the requests within the bound
	LogE float64 `json:"logE"`
}

type judgedEvidence struct {
	Share      float64 `json:"share"`
	LogE       float64 `json:"logE"`
	SupLogE    float64 `json:"supLogE"`
	P          float64 `json:"p"`
	LogPromote float64 `json:"logPromote"`
	Cleared    bool    `json:"cleared"`
	Needed     int64   `json:"needed"`
}

type judgedArm struct {
	analysis.Counts
	Rate *float64 `json:"rate"`
}

func armOf(c analysis.Counts) judgedArm {
	if c.N == 0 {
		return judgedArm{Counts: c}
	}
	rate := float64(c.Bad) / float64(c.N)
	return judgedArm{Counts: c, Rate: &rate}
}

// traceLine shows one closed window and where the evidence stands after it.
type traceLine struct {
	T      float64         `json:"t"`
	Metric string          `json:"metric"`
	DT     float64         `json:"dt"`
	Canary analysis.Counts `json:"canary"`
	Stable analysis.Counts `json:"stable"`
	Vote   int             `json:"vote"`
	traceEvidence
	Verdict analysis.Verdict `json:"verdict"`
}

type traceEvidence struct {
	LogFactor  []float64 `json:"logFactor"` // of the window, per ratio of the grid
	LogClip    float64   `json:"logClip"`
	LogVote    float64   `json:"logVote"`
	LogE       float64   `json:"logE"`
	LogPromote float64   `json:"logPromote"`
	LogTotal   float64   `json:"logTotal"`
	LogGuard   *float64  `json:"logGuard"` // at weight 100 only
	LogShare   *float64  `json:"logShare"` // of the traffic check, where one runs
}

// conclude draws the verdict over all of the input.
func (j *judgement) conclude() judgeResult {
	r := judgeResult{
		Verdict: analysis.Inconclusive, Reason: j.report.Reason, T: float64(j.now) / 1000,
		RollbackAt: j.rollbackAt, PromotableAt: j.promotableAt,
		LogE: finite(j.report.LogE), Threshold: j.report.Limit, Metrics: []judgedResult{}, Without: j.o.without,
	}
	lines, asked, dark := 0, uint64(0), false
	for _, c := range j.o.cfg.Criteria {
		m := j.metrics[c.Name]
		r.Windows += m.windows
		lines += m.lines
		asked += m.asked
		dark = dark || (m.gapped && c.Required && !c.DryRun)
	}
	switch {
	case j.rollbackAt != nil:
		r.Verdict, r.T, r.LogE = analysis.Rollback, *j.rollbackAt, finite(j.decided)
	case j.promotableAt != nil:
		r.Verdict, r.Reason, r.T, r.LogE = analysis.Promote, analysis.NonInferior, *j.promotableAt, finite(j.decided)
	case !dark && lines > 0 && asked == 0:
		r.Reason = analysis.NoTraffic
	case dark, r.Windows == 0:
		r.Verdict, r.Reason = analysis.Blind, analysis.NoData
	}
	for _, m := range j.report.Metrics {
		r.Metrics = append(r.Metrics, resultOf(m))
	}
	return r
}

func resultOf(m analysis.MetricReport) judgedResult {
	r := judgedResult{
		Name: m.Name, Canary: armOf(m.Attempt.Canary), Stable: armOf(m.Attempt.Stable),
		Ratio: m.Estimate.Ratio, AtLeast: m.Estimate.AtLeast, AtMost: m.AtMost(), Margin: m.Limit,
		judgedEvidence: judgedEvidence{
			Share: m.Harm.Share, LogE: finite(m.Harm.LogE), SupLogE: m.Harm.Sup, P: m.Harm.P,
			LogPromote: finite(m.Safe.LogE), Cleared: m.Safe.Cleared, Needed: m.Safe.Needed,
		},
	}
	if d := m.Estimate.Difference; d != nil {
		r.Difference = &[3]float64{d.Value, d.Low, d.High}
	}
	if b := m.Bounds; b != nil {
		r.Promotion = b.Promotion
		for _, one := range b.Judged {
			r.Bounds = append(r.Bounds, judgedBound{Le: one.Le, Fast: one.Fast, LogE: finite(one.LogE)})
		}
	}
	return r
}

func (j *judgement) traceOf(w analysis.Window) traceLine {
	c := j.criterion(w.Metric)
	rho0 := 1 + c.Tolerance
	line := traceLine{
		T: float64(j.now) / 1000, Metric: w.Metric, DT: w.End.Sub(w.Start).Seconds(),
		Canary: w.Canary, Stable: w.Stable, Verdict: j.report.Verdict,
	}
	if against, _ := analysis.Vote(w.Canary, w.Stable, rho0); against {
		line.Vote = 1
	}
	for _, g := range j.o.cfg.Mixture.Grid {
		if c.Kind == analysis.KindHistogram {
			break // each bound has factors of its own
		}
		line.LogFactor = append(line.LogFactor, finite(analysis.LogFactor(w.Canary, w.Stable, g*rho0, rho0)))
	}
	for _, m := range j.report.Metrics {
		if m.Name == w.Metric {
			line.LogClip, line.LogVote = finite(m.Harm.Clip), finite(m.Harm.Vote)
			line.LogE, line.LogPromote = finite(m.Harm.LogE), finite(m.Safe.LogE)
		}
	}
	line.LogTotal = finite(j.report.LogE)
	if g := j.report.Guard; g != nil {
		v := finite(g.LogE)
		line.LogGuard = &v
	}
	if l := j.report.Progress.Loads; l != nil && j.step.weight > 0 && j.step.weight < 100 {
		v := finite(l.LogE)
		line.LogShare = &v
	}
	return line
}

// finite makes a logarithm fit for JSON: minus infinity is shown as the least that evidence is kept at.
func finite(v float64) float64 { return max(v, -1e5) }
