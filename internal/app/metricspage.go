package app

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// Metric is one metric as the registry knows it.
type Metric struct {
	Name    string
	Type    string // gauge, counter or histogram
	Labels  []string
	Buckets []float64 // of a histogram, without the last one, which takes all
	Help    string
}

// What the text of a description says. The library tells it in no other way.
var descText = regexp.MustCompile(`^Desc\{fqName: ("(?:[^"\\]|\\.)*"), help: ("(?:[^"\\]|\\.)*"), .*variableLabels: \{([^}]*)\}\}$`)

// describe lists what collectors measure, by name. They are to be new ones: a sample is made of some.
func describe(all []prometheus.Collector) ([]Metric, error) {
	var out []Metric
	for _, c := range all {
		descs := make(chan *prometheus.Desc, 64)
		c.Describe(descs)
		close(descs)
		for d := range descs {
			m, err := metricOf(c, d.String())
			if err != nil {
				return nil, err
			}
			out = append(out, m)
		}
	}
	slices.SortFunc(out, func(a, b Metric) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

func metricOf(c prometheus.Collector, text string) (Metric, error) {
	part := descText.FindStringSubmatch(text)
	if part == nil {
		return Metric{}, fmt.Errorf("describing metrics: %s cannot be read", text)
	}
	m := Metric{Type: "gauge"}
	if part[3] != "" {
		m.Labels = strings.Split(part[3], ",")
	}
	for to, from := range map[*string]string{&m.Name: part[1], &m.Help: part[2]} {
		plain, err := strconv.Unquote(from)
		if err != nil {
			return Metric{}, fmt.Errorf("describing metrics: %s: %w", text, err)
		}
		*to = plain
	}
	var histogram prometheus.Histogram
	switch c := c.(type) {
	case *prometheus.HistogramVec:
		histogram, _ = c.WithLabelValues(m.Labels...).(prometheus.Histogram)
	case prometheus.Histogram:
		histogram = c
	}
	switch {
	case histogram != nil:
		sample := &dto.Metric{}
		if err := histogram.Write(sample); err != nil {
			return Metric{}, fmt.Errorf("describing %s: %w", m.Name, err)
		}
		m.Type = "histogram"
		for _, b := range sample.GetHistogram().GetBucket() {
			m.Buckets = append(m.Buckets, b.GetUpperBound())
		}
	case strings.HasSuffix(m.Name, "_total"): // whether that is so a test finds out
		m.Type = "counter"
	}
	return m, nil
}

// Page describes metrics as a page of the documentation.
func Page(all []Metric) string {
	var out strings.Builder
	out.WriteString(pageHead)
	for _, m := range all {
		fmt.Fprintf(&out, "| `%s` | %s | %s | %s |\n", m.Name, m.Type, quoted(m.Labels), escaped(m.Help+bucketsOf(m)))
	}
	return out.String()
}

const pageHead = `# Metrics

What every Sluice process says at ` + "`/metrics`" + `, besides what the Go runtime and the controller runtime say of themselves.
Written by ` + "`scripts/generate`" + ` from the registry itself; [telemetry](telemetry.md) says what to look at when.

Series with the labels ` + "`namespace` and `rollout`" + ` go away with their Rollout. The leader alone has them. With
` + "`--metrics-per-rollout=false`" + ` these two labels are dropped: what can be added up is, ` + "`rollout_ready`" + ` counts,
` + "`rollout_deadline_timestamp_seconds`" + ` is the earliest one, ` + "`rollout_rejected`, `rollout_brake` and `analysis_blind`" + ` say whether any
Rollout is so, and the rest is left out. That is advised beyond 5,000 Rollouts.

| metric | type | labels | meaning |
|---|---|---|---|
`

func quoted(labels []string) string {
	out := make([]string, len(labels))
	for i, l := range labels {
		out[i] = "`" + l + "`"
	}
	return strings.Join(out, ", ")
}

func bucketsOf(m Metric) string {
	if len(m.Buckets) == 0 {
		return ""
	}
	out := make([]string, len(m.Buckets))
	for i, b := range m.Buckets {
		out[i] = strconv.FormatFloat(b, 'g', -1, 64)
	}
	return " Buckets: " + strings.Join(out, " ") + "."
}

func escaped(s string) string { return strings.ReplaceAll(s, "|", "\\|") }
