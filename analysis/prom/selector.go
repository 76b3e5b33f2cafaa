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

// question is a query to send, and how to tell what each series of its answer is.
type question struct {
	expression string
	label      func(labels map[string]string) (analysis.Arm, analysis.Role, *Failure)
}

// plan makes the questions for a query.
func (s *Server) plan(q analysis.Query) ([]question, *Failure) {
	if !q.From.Before(q.Until) {
		return nil, failed(analysis.QueryRejected, "an empty range of time is asked for")
	}
	length := fmt.Sprintf("[%ds]", (q.Until.Sub(q.From)+time.Second-1)/time.Second)
	if q.Ratio == nil {
		ask, fail := s.builtin(q)
		ask.expression += length
		return []question{ask}, fail
	}
	parts, err := partsOf(*q.Ratio, q.Arms)
	if err != nil {
		return nil, failed(analysis.QueryRejected, "%v", err)
	}
	var asks []question
	for _, p := range parts {
		asks = append(asks, question{
			expression: p.selector + length,
			label: func(map[string]string) (analysis.Arm, analysis.Role, *Failure) {
				return p.arm, p.role, nil
			},
		})
	}
	return asks, nil
}

// builtin asks for Envoy's own counters. It is a bare range selector: rate and increase extrapolate and lose the first
// value of a new series. Names are quoted for the regular expression, then for the string.
func (s *Server) builtin(q analysis.Query) (question, *Failure) {
	class := map[string]string{"errors": "5", "clientErrors": "4"}[q.Metric]
	if class == "" {
		return question{}, failed(analysis.QueryRejected, "metric %.63q is not built in", q.Metric)
	}
	if len(q.Arms.Canary) == 0 || len(q.Arms.Stable) == 0 {
		return question{}, failed(analysis.NoSeries, "no cluster of canary or stable is known")
	}
	clusters := make([]string, 0, len(q.Arms.Canary)+len(q.Arms.Stable))
	for _, name := range slices.Concat(q.Arms.Canary, q.Arms.Stable) {
		clusters = append(clusters, regexp.QuoteMeta(name))
	}
	for _, name := range q.Arms.Canary {
		if slices.Contains(q.Arms.Stable, name) {
			return question{}, failed(analysis.QueryRejected, "cluster %.128q is on both sides: that compares nothing", name)
		}
	}
	n := s.names
	class += n.suffix
	expression := fmt.Sprintf("{__name__=~%s,%s=~%s,%s=~%s",
		strconv.Quote(n.total+"|"+n.classed), n.cluster, strconv.Quote(strings.Join(clusters, "|")),
		n.class, strconv.Quote("|"+class))
	if n.code != "" {
		expression += "," + n.code + `=""`
	}
	return question{expression: expression + "}", label: func(labels map[string]string) (analysis.Arm, analysis.Role, *Failure) {
		return n.series(labels, q.Arms, class)
	}}, nil
}

// series tells what a series of Envoy's counters is.
func (n names) series(labels map[string]string, arms analysis.Arms, class string) (arm analysis.Arm, role analysis.Role, fail *Failure) {
	switch name := labels["__name__"]; {
	case name == n.total:
		role = analysis.Total
	case name == n.classed && labels[n.class] == class:
		role = analysis.Bad
	default:
		return arm, role, failed(analysis.BadResponse, "the answer holds series that were not asked for: %.128s", name)
	}
	switch cluster := labels[n.cluster]; {
	case slices.Contains(arms.Canary, cluster):
		arm = analysis.Canary
	case slices.Contains(arms.Stable, cluster):
		arm = analysis.Stable
	default:
		return arm, role, failed(analysis.BadResponse, "the answer holds a cluster that was not asked for: %.128s", cluster)
	}
	return arm, role, nil
}

// sorted makes Series of a matrix: whose target, which arm, which role.
func (s *Server) sorted(matrix []stream, q analysis.Query, label func(map[string]string) (analysis.Arm, analysis.Role, *Failure)) ([]analysis.Series, *Failure) {
	best := map[string]analysis.Series{}
	from, until := q.From.UnixMilli(), q.Until.UnixMilli()
	for _, m := range matrix {
		arm, role, fail := label(m.Labels)
		if fail != nil {
			return nil, fail
		}
		series := analysis.Series{Target: s.target(m.Labels), Arm: arm, Role: role}
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
	all := make([]analysis.Series, 0, len(best))
	for _, key := range slices.Sorted(maps.Keys(best)) {
		all = append(all, best[key])
	}
	return all, nil
}

// target names where a series was scraped.
func (s *Server) target(labels map[string]string) string {
	parts := make([]string, len(s.targets))
	for i, name := range s.targets {
		parts[i] = strconv.Quote(labels[name])
	}
	return strings.Join(parts, "/")
}

// lacking refuses an arm that has requests but no series of good ones: that all are bad may not be read out of
// something that is missing.
func lacking(q analysis.Query, all []analysis.Series) *Failure {
	if q.Ratio == nil || q.Ratio.Good == "" {
		return nil
	}
	has := func(arm analysis.Arm, role analysis.Role) bool {
		return slices.ContainsFunc(all, func(s analysis.Series) bool { return s.Arm == arm && s.Role == role })
	}
	for _, arm := range []analysis.Arm{analysis.Canary, analysis.Stable} {
		if has(arm, analysis.Total) && !has(arm, analysis.Good) {
			return failed(analysis.NoSeries, "%s has series of all events but none of good ones", arm)
		}
	}
	return nil
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
