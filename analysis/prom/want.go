package prom

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-dev/sluice/analysis"
)

// want is a set of series that count one thing for one arm: those with an exact value for each of its labels. The name
// of the metric is a label as any other; an empty value means that there is none.
type want struct {
	labels []string // the same ones, in the same order, for all that can be asked together
	values []string // one for each label
	rest   string   // further matchers, as PromQL, the same for all that can be asked together
	arm    analysis.Arm
	role   analysis.Role
	unit   float64  // of le, in ms; of role Within only
	key    string   // the values in one
	whose  id       // a digest of key
	quoted []string // the values as they stand among alternatives
}

// prepared has what is asked at each look ready.
func (w want) prepared() want {
	var b strings.Builder
	for _, v := range w.values {
		b.WriteString(v)
		b.WriteByte(0xff) // no UTF-8: it separates
	}
	w.key, w.quoted = b.String(), make([]string, len(w.values))
	w.whose = idOf([]byte(w.key))
	for i, v := range w.values {
		w.quoted[i] = alternative(v)
	}
	return w
}

// shape is what wants have in common that can be asked for together.
func (w want) shape() string {
	return strings.Join(w.labels, ",") + "{" + w.rest + "}" + strconv.FormatFloat(w.unit, 'g', -1, 64)
}

// nameLabel holds the name of a metric, bucketLabel the bound of a bucket.
const (
	nameLabel   = "__name__"
	bucketLabel = "le"
)

// wants are the series that a query reads.
func (s *Server) wants(q analysis.Query) ([]want, *Failure) {
	switch {
	case q.Ratio != nil:
		parts, err := partsOf(*q.Ratio, q.Arms)
		return templated(parts, err, 0)
	case q.Histogram != nil:
		parts, err := bucketsOf(*q.Histogram, q.Arms)
		unit := 1000.0
		if q.Histogram.Unit == analysis.Milliseconds {
			unit = 1
		}
		return templated(parts, err, unit)
	case len(q.Arms.Canary) == 0 || len(q.Arms.Stable) == 0:
		return nil, failed(analysis.NoSeries, "no cluster of canary or stable is known")
	}
	var out []want
	for _, side := range []struct {
		arm      analysis.Arm
		clusters []string
	}{{analysis.Canary, q.Arms.Canary}, {analysis.Stable, q.Arms.Stable}} {
		for _, cluster := range side.clusters {
			if side.arm == analysis.Canary && slices.Contains(q.Arms.Stable, cluster) {
				return nil, failed(analysis.QueryRejected, "cluster %.128q is on both sides: that compares nothing", cluster)
			}
			of := s.names.wants(q.Metric, cluster)
			if of == nil {
				return nil, failed(analysis.QueryRejected, "metric %.63q is not built in", q.Metric)
			}
			for _, w := range of {
				w.arm = side.arm
				out = append(out, w)
			}
		}
	}
	return out, nil
}

// wants are the series of a cluster that a built-in metric reads.
func (n names) wants(metric, cluster string) []want {
	if metric == "latency" {
		return []want{{
			labels: []string{nameLabel, n.cluster}, values: []string{n.buckets, cluster}, role: analysis.Within, unit: 1,
		}}
	}
	class, known := map[string]string{"errors": "5", "clientErrors": "4"}[metric]
	if !known {
		return nil
	}
	labels, rest := []string{nameLabel, n.cluster, n.class}, ""
	if n.code != "" {
		rest = n.code + `=""`
	}
	return []want{
		{labels: labels, values: []string{n.total, cluster, ""}, rest: rest, role: analysis.Total},
		{labels: labels, values: []string{n.classed, cluster, class + n.suffix}, rest: rest, role: analysis.Bad},
	}
}

// templated are the series that selectors of a template read.
func templated(parts []part, err error, unit float64) ([]want, *Failure) {
	out := make([]want, 0, len(parts))
	for _, p := range parts {
		var sel instant
		if err == nil {
			sel, err = parse(p.selector)
		}
		if err != nil {
			break
		}
		w := sel.want()
		w.arm, w.role, w.unit = p.arm, p.role, unit
		out = append(out, w)
	}
	if err != nil {
		return nil, failed(analysis.QueryRejected, "%v", err)
	}
	return out, nil
}

// want takes a selector apart into exact values and the rest.
func (sel instant) want() want {
	exact, rest := map[string]string{nameLabel: sel.name}, []string(nil)
	for _, m := range sel.matchers {
		if _, twice := exact[m.label]; m.op == "=" && !twice {
			exact[m.label] = m.value
			continue
		}
		rest = append(rest, m.label+m.op+strconv.Quote(m.value))
	}
	out := want{labels: slices.Sorted(maps.Keys(exact)), rest: strings.Join(rest, ",")}
	for _, label := range out.labels {
		out.values = append(out.values, exact[label])
	}
	return out
}

// source tells queries apart by what they read, whatever the time. It is written behind b.
func source(b []byte, q analysis.Query) []byte {
	names := make([]string, 0, 8)
	add := func(texts ...string) {
		for _, text := range texts {
			b = append(append(b, text...), 0xff) // no UTF-8: it separates
		}
	}
	vars := func(sets ...map[string]string) {
		for _, set := range sets {
			names = slices.AppendSeq(names[:0], maps.Keys(set))
			slices.Sort(names)
			for _, name := range names {
				add(name, set[name])
			}
			add("")
		}
	}
	switch {
	case q.Ratio != nil:
		add("ratio", q.Ratio.Bad, q.Ratio.Good, q.Ratio.Total)
		vars(q.Ratio.Args)
		vars(q.Arms.CanaryVars...)
		add("")
		vars(q.Arms.StableVars...)
	case q.Histogram != nil:
		add("histogram", q.Histogram.Buckets, string(q.Histogram.Unit))
		vars(q.Histogram.Args)
		vars(q.Arms.CanaryVars...)
		add("")
		vars(q.Arms.StableVars...)
	default:
		add("builtin", q.Metric)
		add(q.Arms.Canary...)
		add("")
		add(q.Arms.Stable...)
	}
	return b
}

// complete refuses what lacks something that must not be read as zero.
func complete(q analysis.Query, all []analysis.Series) *Failure {
	if fail := lacking(q, all); fail != nil {
		return fail
	}
	canary, stable := boundsOf(all, analysis.Canary), boundsOf(all, analysis.Stable)
	if most := max(len(canary), len(stable)); most > MaxBounds+1 {
		return failed(analysis.WrongType, "over %d bounds", MaxBounds)
	}
	if len(canary) == 0 || len(stable) == 0 {
		return nil
	}
	for _, le := range canary {
		if !math.IsInf(le, 1) && slices.Contains(stable, le) {
			return nil
		}
	}
	return failed(analysis.WrongType, "the versions count by no common bound")
}

// boundsOf are the bounds that an arm counts by, the one of all events among them: at most one more than are allowed.
func boundsOf(all []analysis.Series, arm analysis.Arm) []float64 {
	var out []float64
	for i := range all {
		if s := &all[i]; s.Role == analysis.Within && s.Arm == arm && !slices.Contains(out, s.Le) {
			if out = append(out, s.Le); len(out) > MaxBounds+1 {
				break
			}
		}
	}
	return out
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

// expression asks for all that wants of one shape select, over a range in whole seconds.
func expression(wants []want, seconds int64) string {
	var a asked
	a.add(&member{group: &newPlan(wants).groups[0]})
	return a.expression(nil, seconds)
}

// expression asks for all that is wanted, over a range in whole seconds: of buckets, those with these texts of their bounds;
// none: all.
func (a *asked) expression(les []string, seconds int64) string {
	var b strings.Builder
	b.Grow(2 * a.length)
	b.WriteByte('{')
	for i, label := range a.first.labels {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(label)
		if c := &a.values[i]; len(c.values) > 1 {
			alternatives(&b, c.quoted)
		} else {
			b.WriteString("=" + strconv.Quote(c.values[0]))
		}
	}
	if a.first.rest != "" {
		b.WriteString("," + a.first.rest)
	}
	if len(les) > 0 {
		quoted := make([]string, len(les))
		for i, text := range les {
			quoted[i] = alternative(text)
		}
		b.WriteString("," + bucketLabel)
		alternatives(&b, quoted)
	}
	return b.String() + fmt.Sprintf("}[%ds]", seconds)
}

// alternative is a value quoted for the regular expression, then for the string around it.
func alternative(value string) string {
	quoted := strconv.Quote(regexp.QuoteMeta(value))
	return quoted[1 : len(quoted)-1]
}

// alternatives writes a matcher for any of the values.
func alternatives(b *strings.Builder, quoted []string) {
	b.WriteString(`=~"`)
	for i, v := range quoted {
		if i > 0 {
			b.WriteByte('|')
		}
		b.WriteString(v)
	}
	b.WriteByte('"')
}
