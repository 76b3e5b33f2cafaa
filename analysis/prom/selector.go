package prom

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/analysis"
)

// Envoy's own counters of final responses, as scraped from proxies with our bootstrap.
const (
	envoyTotal = "envoy_cluster_upstream_rq_completed"
	envoyClass = "envoy_cluster_upstream_rq_xx"

	clusterLabel = "envoy_cluster_name"
	classLabel   = "envoy_response_code_class"
)

// selector says which series of a built-in metric are wanted.
type selector struct {
	class string // of response codes that are bad
}

func selectorOf(q analysis.Query) (selector, *Failure) {
	var s selector
	switch q.Metric {
	case "errors":
		s.class = "5"
	case "clientErrors":
		s.class = "4"
	default:
		return s, failed(analysis.QueryRejected, "metric %.63q is not built in", q.Metric)
	}
	if len(q.Arms.Canary) == 0 || len(q.Arms.Stable) == 0 {
		return s, failed(analysis.NoSeries, "no cluster of canary or stable is known")
	}
	for _, name := range q.Arms.Canary {
		if slices.Contains(q.Arms.Stable, name) {
			return s, failed(analysis.QueryRejected, "cluster %.128q is on both sides: that compares nothing", name)
		}
	}
	if !q.From.Before(q.Until) {
		return s, failed(analysis.QueryRejected, "an empty range of time is asked for")
	}
	return s, nil
}

// expression is a bare range selector. Never rate or increase: they extrapolate and lose the first value of a new
// series. The names are quoted for the regular expression, then for the string.
func (s selector) expression(q analysis.Query) string {
	names := make([]string, 0, len(q.Arms.Canary)+len(q.Arms.Stable))
	for _, name := range slices.Concat(q.Arms.Canary, q.Arms.Stable) {
		names = append(names, regexp.QuoteMeta(name))
	}
	length := (q.Until.Sub(q.From) + time.Second - 1) / time.Second
	return fmt.Sprintf("{__name__=~%s,%s=~%s,%s=~%s}[%ds]",
		strconv.Quote(envoyTotal+"|"+envoyClass), clusterLabel, strconv.Quote(strings.Join(names, "|")),
		classLabel, strconv.Quote("|"+s.class), length)
}

// sort makes Series of a matrix: whose target, which arm, which role.
func (s selector) sort(matrix []stream, q analysis.Query) ([]analysis.Series, *Failure) {
	best := map[string]analysis.Series{}
	for _, m := range matrix {
		series := analysis.Series{Target: strconv.Quote(m.Labels["job"]) + "/" + strconv.Quote(m.Labels["instance"])}
		switch name := m.Labels["__name__"]; {
		case name == envoyTotal:
			series.Role = analysis.Total
		case name == envoyClass && m.Labels[classLabel] == s.class:
			series.Role = analysis.Bad
		default:
			return nil, failed(analysis.BadResponse, "the answer holds series that were not asked for: %.128s", name)
		}
		switch cluster := m.Labels[clusterLabel]; {
		case slices.Contains(q.Arms.Canary, cluster):
			series.Arm = analysis.Canary
		case slices.Contains(q.Arms.Stable, cluster):
			series.Arm = analysis.Stable
		default:
			return nil, failed(analysis.BadResponse, "the answer holds a cluster that was not asked for: %.128s", cluster)
		}
		from, until := q.From.UnixMilli(), q.Until.UnixMilli()
		for _, p := range m.Samples {
			if p.ms > from && p.ms <= until {
				series.Points = append(series.Points, analysis.Point{T: p.ms, V: p.value})
			}
		}
		slices.SortFunc(series.Points, func(a, b analysis.Point) int { return cmp.Compare(a.T, b.T) })
		key := identity(m.Labels)
		if other, taken := best[key]; !taken || fuller(series, other) {
			best[key] = series
		}
	}
	sorted := make([]analysis.Series, 0, len(best))
	for _, key := range slices.Sorted(maps.Keys(best)) {
		sorted = append(sorted, best[key])
	}
	return sorted, nil
}

// fuller decides between the same series from two replicas of Prometheus: more points, then the older ones.
func fuller(a, b analysis.Series) bool {
	return cmp.Or(cmp.Compare(len(b.Points), len(a.Points)), slices.CompareFunc(a.Points, b.Points,
		func(p, q analysis.Point) int { return cmp.Or(cmp.Compare(p.T, q.T), cmp.Compare(p.V, q.V)) })) < 0
}

// identity names a series whichever replica of Prometheus scraped it.
func identity(labels map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		if name != "prometheus_replica" && name != "__replica__" {
			fmt.Fprintf(&b, "%q=%q,", name, labels[name])
		}
	}
	return b.String()
}
