package spec_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/analysis/spec"
	"github.com/sluice-dev/sluice/api/v1alpha1"
)

func TestConfig_readsWhatIsWritten(t *testing.T) {
	checkout := analysis.Ratio{Bad: "b", Total: "t", Args: map[string]string{"flow": "card"}}
	own := spec.Template{Source: analysis.Source{Kind: analysis.KindRatio, Ratio: &checkout}}
	builtin := analysis.Criterion{Name: "errors", Source: analysis.Source{Kind: analysis.KindRatio}, Share: 4, Required: true}
	tuned := builtin
	tuned.Tolerance, tuned.Window, tuned.Warmup, tuned.Noise, tuned.Share = 0.5, time.Second, -1, analysis.Independent, 9
	tuned.Harmful = analysis.Harmful{Ratio: 3, Rate: 0.01}
	unlisted := builtin
	unlisted.Optional = true
	latency := analysis.Criterion{Name: "latency", Source: analysis.Source{Kind: analysis.KindHistogram, Optional: true}, Share: 2, Required: true}
	attempts := analysis.Criterion{Name: "attempts", Source: analysis.Source{Kind: analysis.KindRatio, Optional: true}, Share: 2}
	listed := latency
	listed.Optional = false
	redefined := builtin
	redefined.Source = own.Source
	seconds := func(n int) *v1alpha1.Duration { return v1alpha1.DurationOf(time.Duration(n) * time.Second) }
	for name, row := range map[string]struct {
		in   v1alpha1.Analysis
		want analysis.Config
	}{
		"nothing is what is on by itself": {
			v1alpha1.Analysis{},
			analysis.Config{Criteria: []analysis.Criterion{unlisted, latency, attempts}},
		},
		"numbers": {
			v1alpha1.Analysis{FalseRollback: "2%", FalsePromotion: "10%", Objective: "99.9%", Metrics: []v1alpha1.Metric{{
				Name: "errors", Tolerance: "50%", Window: seconds(1), Warmup: seconds(0), Noise: v1alpha1.NoiseIndependent, Share: 9,
				Harmful: &v1alpha1.Harmful{Ratio: "3", Rate: "1%"}}}},
			analysis.Config{Alpha: 0.02, Beta: 0.1, Objective: 0.999, Criteria: []analysis.Criterion{latency, attempts, tuned}},
		},
		"a template beside the built-in metric": {
			v1alpha1.Analysis{Metrics: []v1alpha1.Metric{{Name: "checkout", Template: "checkout-failures", Tolerance: "20%", Window: seconds(2), Warmup: seconds(3),
				Harmful: &v1alpha1.Harmful{Ratio: "4"}}}},
			analysis.Config{Criteria: []analysis.Criterion{unlisted, latency, attempts, {Name: "checkout", Source: own.Source, Share: 1, Required: true, Tolerance: 0.2,
				Window: 2 * time.Second, Warmup: 3 * time.Second, Harmful: analysis.Harmful{Ratio: 4}}}},
		},
		"a template alone": {
			v1alpha1.Analysis{Metrics: []v1alpha1.Metric{{Name: "errors", Disabled: true}, {Name: "latency", Disabled: true}, {Name: "attempts", Disabled: true}, {Name: "checkout", Template: "checkout-failures", Share: 2}}},
			analysis.Config{Criteria: []analysis.Criterion{{Name: "checkout", Source: own.Source, Share: 2, Required: true}}},
		},
		"a template that is not to be had stays required": {
			v1alpha1.Analysis{Metrics: []v1alpha1.Metric{{Name: "errors", Disabled: true}, {Name: "latency", Disabled: true}, {Name: "attempts", Disabled: true}, {Name: "payments", Template: "gone"}}},
			analysis.Config{Criteria: []analysis.Criterion{{Name: "payments", Share: 1, Required: true}}},
		},
		"built-in metrics on and off, and what they decide": {
			v1alpha1.Analysis{Metrics: []v1alpha1.Metric{{Name: "attempts", Promotion: v1alpha1.PromotionRequired, FromStep: 2}, {Name: "clientErrors"},
				{Name: "errors", Promotion: v1alpha1.PromotionIgnored, DryRun: true}}},
			analysis.Config{Criteria: []analysis.Criterion{latency, {Name: "attempts", Source: builtin.Source, Share: 2, Required: true, FromStep: 2}, {Name: "clientErrors", Source: analysis.Source{Kind: analysis.KindRatio}, Share: 1},
				{Name: "errors", Source: builtin.Source, Share: 4, DryRun: true}}},
		},
		"no metric of proxies": {
			v1alpha1.Analysis{Metrics: []v1alpha1.Metric{{Name: "attempts", Disabled: true}}},
			analysis.Config{Criteria: []analysis.Criterion{unlisted, latency}},
		},
		"what is listed is asked for, but attempts may stand in for errors": {
			v1alpha1.Analysis{Metrics: []v1alpha1.Metric{{Name: "latency"}, {Name: "attempts"}, {Name: "errors"}}},
			analysis.Config{Criteria: []analysis.Criterion{listed, attempts, builtin}},
		},
		"attempts that promotion ignores stand in for nothing": {
			v1alpha1.Analysis{Metrics: []v1alpha1.Metric{{Name: "latency"}, {Name: "attempts", Promotion: v1alpha1.PromotionIgnored}, {Name: "errors"}}},
			analysis.Config{Criteria: []analysis.Criterion{listed, {Name: "attempts", Source: builtin.Source, Share: 2}, builtin}},
		},
		"errors by a template of one's own": {
			v1alpha1.Analysis{Metrics: []v1alpha1.Metric{{Name: "errors", Template: "mine"}}},
			analysis.Config{Criteria: []analysis.Criterion{latency, attempts, redefined}},
		},
	} {
		row.want.Bake = 8 * time.Second
		got, err := spec.Config(row.in, 8*time.Second, map[string]spec.Template{"checkout": own, "errors": own})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if errs := got.Validate(); len(errs) > 0 {
			t.Errorf("%s: the judge refuses it: %v", name, errs)
		}
	}
}

func TestConfig_refusesWhatIsNoNumber(t *testing.T) {
	for want, in := range map[string]v1alpha1.Analysis{
		"spec.analysis.falseRollback":            {FalseRollback: "much"},
		"spec.analysis.falsePromotion":           {FalsePromotion: "0%"},
		"spec.analysis.objective":                {Objective: "0.999"},
		"spec.analysis.metrics[1].tolerance":     {Metrics: []v1alpha1.Metric{{Name: "errors"}, {Name: "a", Tolerance: "0%"}}},
		"spec.analysis.metrics[0].harmful.ratio": {Metrics: []v1alpha1.Metric{{Name: "errors", Harmful: &v1alpha1.Harmful{Ratio: "two"}}}},
		"spec.analysis.metrics[0].harmful.rate":  {Metrics: []v1alpha1.Metric{{Name: "errors", Harmful: &v1alpha1.Harmful{Rate: "0.0%"}}}},
	} {
		if _, err := spec.Config(in, 0, nil); err == nil || !strings.HasPrefix(err.Error(), want+": ") {
			t.Errorf("%s: got %v", want, err)
		}
	}
}

func TestRead_mergesArgs(t *testing.T) {
	template := v1alpha1.MetricTemplateSpec{
		Args:  []v1alpha1.Argument{{Name: "flow", Value: "all"}, {Name: "shop", Value: "main"}},
		Ratio: &v1alpha1.RatioTemplate{Good: "g", Total: "t"},
	}
	for name, row := range map[string]struct {
		args []v1alpha1.Argument
		want map[string]string
	}{
		"defaults":  {nil, map[string]string{"flow": "all", "shop": "main"}},
		"one given": {[]v1alpha1.Argument{{Name: "flow", Value: "card"}}, map[string]string{"flow": "card", "shop": "main"}},
	} {
		got, err := spec.Read(template, row.args)
		if diff := cmp.Diff(&analysis.Ratio{Good: "g", Total: "t", Args: row.want}, got.Ratio); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
	if _, err := spec.Read(template, []v1alpha1.Argument{{Name: "flwo", Value: "card"}}); err == nil || !strings.Contains(err.Error(), `"flwo"`) {
		t.Errorf("an arg that the template does not have: %v", err)
	}
	if _, err := spec.Read(v1alpha1.MetricTemplateSpec{}, nil); err == nil {
		t.Error("a template that says nothing was taken")
	}
}

func TestRead_eachForm(t *testing.T) {
	none := int32(0)
	for name, row := range map[string]struct {
		in   v1alpha1.MetricTemplateSpec
		want spec.Template
	}{
		"a histogram in seconds": {
			v1alpha1.MetricTemplateSpec{Histogram: &v1alpha1.HistogramTemplate{Buckets: "b"}},
			spec.Template{Source: analysis.Source{Kind: analysis.KindHistogram,
				Histogram: &analysis.Histogram{Buckets: "b", Unit: analysis.Seconds, Args: map[string]string{}}}},
		},
		"a histogram in milliseconds": {
			v1alpha1.MetricTemplateSpec{Histogram: &v1alpha1.HistogramTemplate{Buckets: "b", Unit: v1alpha1.UnitMilliseconds}},
			spec.Template{Source: analysis.Source{Kind: analysis.KindHistogram,
				Histogram: &analysis.Histogram{Buckets: "b", Unit: analysis.Milliseconds, Args: map[string]string{}}}},
		},
		"a condition without limits": {
			v1alpha1.MetricTemplateSpec{Condition: &v1alpha1.ConditionTemplate{Query: "q", Pass: "p"}},
			spec.Template{Source: analysis.Source{Kind: analysis.KindCondition,
				Condition: &analysis.Condition{Query: "q", Pass: "p", Args: map[string]string{}}}},
		},
		"a condition with each limit": {
			v1alpha1.MetricTemplateSpec{Condition: &v1alpha1.ConditionTemplate{Query: "q", Pass: "p", Fail: "f",
				Interval: v1alpha1.DurationOf(30 * time.Second), InitialDelay: v1alpha1.DurationOf(0), Count: 9, FailureLimit: -1,
				InconclusiveLimit: 2, ConsecutiveErrorLimit: &none, ConsecutiveSuccessLimit: 3, OnFail: v1alpha1.FailHold}},
			spec.Template{
				Source: analysis.Source{Kind: analysis.KindCondition,
					Condition: &analysis.Condition{Query: "q", Pass: "p", Fail: "f", Args: map[string]string{}}},
				Limits: analysis.Limits{Interval: 30 * time.Second, InitialDelay: -1, Count: 9, Failures: -1, Inconclusive: 2, Errors: -1, Successes: 3, Hold: true},
			},
		},
	} {
		got, err := spec.Read(row.in, nil)
		if diff := cmp.Diff(row.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
		cfg := analysis.Config{Criteria: []analysis.Criterion{{Name: "m", Source: got.Source, Limits: got.Limits}}}
		if errs := cfg.Validate(); len(errs) > 0 {
			t.Errorf("%s: the judge refuses it: %v", name, errs)
		}
	}
}

func TestConfig_refusesWhatAConditionHasNoUseFor(t *testing.T) {
	gate := map[string]spec.Template{"queue": {Source: analysis.Source{Condition: &analysis.Condition{Query: "q", Pass: "p"}}}}
	for field, m := range map[string]v1alpha1.Metric{
		"tolerance": {Tolerance: "5%"}, "harmful": {Harmful: &v1alpha1.Harmful{Ratio: "2"}}, "noise": {Noise: v1alpha1.NoiseBursty},
		"window": {Window: v1alpha1.DurationOf(time.Second)}, "warmup": {Warmup: v1alpha1.DurationOf(0)}, "share": {Share: 3}, "": {},
	} {
		m.Name, m.Template = "queue", "queue"
		_, err := spec.Config(v1alpha1.Analysis{Metrics: []v1alpha1.Metric{m}}, 0, gate)
		if field == "" {
			if err != nil {
				t.Errorf("without such a field: %v", err)
			}
			continue
		}
		if err == nil || !strings.HasPrefix(err.Error(), "spec.analysis.metrics[0]: "+field+" belongs") {
			t.Errorf("%s: got %v", field, err)
		}
	}
}

func TestConfig_ofNothingIsWhatTheJudgeTakesForStandard(t *testing.T) {
	got, err := spec.Config(v1alpha1.Analysis{}, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(analysis.Standard(), got.WithDefaults()); diff != "" {
		t.Errorf("(-standard +spec):\n%s", diff)
	}
}
