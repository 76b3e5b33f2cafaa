package v1alpha1_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

func TestMetricTemplate_validatesEachForm(t *testing.T) {
	for spec, want := range map[string]string{ // the field that is wrong; empty: none
		`{ratio: {bad: b, total: t}}`:               "",
		`{ratio: {good: g, total: t}}`:              "",
		`{ratio: {total: t}}`:                       "spec.ratio",
		`{ratio: {bad: b}}`:                         "spec.ratio.total",
		`{histogram: {buckets: b}}`:                 "",
		`{histogram: {buckets: b, unit: ms}}`:       "",
		`{histogram: {buckets: b, unit: h}}`:        "spec.histogram.unit",
		`{histogram: {unit: s}}`:                    "spec.histogram.buckets",
		`{condition: {query: q, pass: p}}`:          "",
		`{condition: {query: q, fail: f}}`:          "",
		`{condition: {query: q}}`:                   "spec.condition",
		`{condition: {pass: p}}`:                    "spec.condition.query",
		`{shared: true, ratio: {bad: b, total: t}}`: "",
		`{}`: "spec",
		`{shared: true, prometheus: {name: other}, ratio: {bad: b, total: t}}`:       "",
		`{shared: true, prometheus: {url: "http://p"}, ratio: {bad: b, total: t}}`:   "spec.prometheus.url",
		`{ratio: {bad: b, total: t}, histogram: {buckets: b}}`:                       "spec",
		`{condition: {query: q, pass: p, interval: 4s}}`:                             "spec.condition.interval",
		`{condition: {query: q, pass: p, interval: 5s, initialDelay: 0s}}`:           "",
		`{condition: {query: q, pass: p, count: -1}}`:                                "spec.condition.count",
		`{condition: {query: q, pass: p, failureLimit: -1}}`:                         "",
		`{condition: {query: q, pass: p, failureLimit: -2}}`:                         "spec.condition.failureLimit",
		`{condition: {query: q, pass: p, inconclusiveLimit: -1}}`:                    "spec.condition.inconclusiveLimit",
		`{condition: {query: q, pass: p, consecutiveErrorLimit: -1}}`:                "spec.condition.consecutiveErrorLimit",
		`{condition: {query: q, pass: p, consecutiveErrorLimit: 0}}`:                 "",
		`{condition: {query: q, pass: p, count: 2, consecutiveSuccessLimit: 3}}`:     "spec.condition.consecutiveSuccessLimit",
		`{condition: {query: q, pass: p, consecutiveSuccessLimit: 3, onFail: hold}}`: "",
		`{condition: {query: q, pass: p, onFail: abort}}`:                            "spec.condition.onFail",
	} {
		m := &v1alpha1.MetricTemplate{ObjectMeta: metav1.ObjectMeta{Namespace: "bookinfo", Name: "m"}}
		if err := yaml.UnmarshalStrict([]byte(spec), &m.Spec); err != nil {
			t.Fatalf("%s: %v", spec, err)
		}
		var fields []string
		for _, p := range m.Validate() {
			fields = append(fields, p.Field)
		}
		if got := strings.Join(fields, " "); got != want {
			t.Errorf("%s: wrong at %q, want %q", spec, got, want)
		}
	}
}
