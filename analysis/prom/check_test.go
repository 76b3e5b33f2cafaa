package prom

import (
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/analysis"
)

func TestCheckSource_histogram(t *testing.T) {
	for buckets, want := range map[string]string{
		`http_seconds_bucket{version="{{subset}}",flow="{{flow}}"}`: "",
		`http_seconds_bucket{version="{{subset}}",le="0.1"}`:        "leave it out",
		`http_seconds_bucket{namespace="{{namespace}}"}`:            "the same for both versions",
		`sum(http_seconds_bucket{version="{{subset}}"}) by (le)`:    "bare selector",
		`rate(http_seconds_bucket{version="{{subset}}"}[5m])`:       "bare selector",
		`http_seconds_bucket{version="{{subset}}"} offset 5m`:       "bare selector",
		`http_seconds_bucket{version="{{version}}"}`:                "is no variable",
		`{__name__="http_seconds_bucket",version="{{subset}}"}`:     "metric name",
	} {
		err := CheckSource(analysis.Source{Histogram: &analysis.Histogram{Buckets: buckets, Args: map[string]string{"flow": "card"}}})
		if (err == nil) != (want == "") || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", buckets, err, want)
		}
	}
	if err := CheckSource(analysis.Source{Histogram: &analysis.Histogram{Buckets: `b{v="{{subset}}"}`, Args: map[string]string{"subset": "x"}}}); err == nil {
		t.Error("an arg took the place of what tells the versions apart")
	}
	if err := CheckSource(analysis.Source{}); err == nil {
		t.Error("a source that reads nothing was taken")
	}
}
