package prom

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/analysis"
)

// Record is a series as a server holds it, for those who look back. What is judged comes by Series.
type Record struct {
	Labels map[string]string
	Points []analysis.Point
}

// Name is that of the metric; empty: the series was computed.
func (r Record) Name() string { return r.Labels[nameLabel] }

// ReadRecords reads an answer of the HTTP API that holds a matrix: of a range of an expression, or of a range selector.
// Its errors are *Failure.
func ReadRecords(body []byte) ([]Record, error) {
	out, fail := records(body)
	if fail != nil {
		return nil, fail
	}
	return out, nil
}

func records(body []byte) ([]Record, *Failure) {
	m := &matrix{scan: scan{text: body}}
	var held []byte
	if fail := m.envelope(func() error {
		start := m.at
		err := m.skip()
		held = m.text[start:m.at]
		return err
	}); fail != nil {
		return nil, fail
	}
	if fail := m.head.refusal("matrix"); fail != nil {
		return nil, fail
	}
	if held == nil {
		return nil, failed(analysis.BadResponse, "the answer holds no result")
	}
	m.scan = scan{text: held}
	var out []Record
	if err := m.array(func() error { return m.record(&out) }); err != nil {
		return nil, unreadable(err)
	}
	return out, nil
}

func (m *matrix) record(out *[]Record) error {
	if len(*out) >= MaxSeries {
		return failed(analysis.TooManySeries, "over %d series", MaxSeries)
	}
	r := Record{Labels: map[string]string{}}
	err := m.object(func(key []byte) error {
		switch string(key) {
		case "metric":
			return m.object(func(name []byte) error {
				value, err := m.str()
				r.Labels[string(name)] = string(value)
				return err
			})
		case "values":
			return m.array(func() error {
				ms, value, err := m.sample()
				r.Points = append(r.Points, analysis.Point{T: ms, V: value})
				return err
			})
		case "histograms":
			return failed(analysis.WrongType, "the answer has native histograms")
		}
		return m.skip()
	})
	*out = append(*out, r)
	return err
}

// Records is what an expression gave from one time to another, in steps of whole seconds. Its errors are *Failure.
func (s *Server) Records(ctx context.Context, expression string, from, until time.Time, step time.Duration) ([]Record, error) {
	length, every := int64(until.Sub(from).Seconds()), int64(step.Seconds())
	if length <= 0 || every <= 0 {
		return nil, s.shown(failed(analysis.QueryRejected, "an empty range of time is asked for"))
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	body, fail := s.ask(ctx, inquiry{text: fmt.Sprintf("(%s)[%ds:%ds]", expression, length, every)}, until)
	if fail != nil {
		return nil, s.shown(fail)
	}
	defer s.pages.put(body)
	out, fail := records(body.Bytes())
	if fail != nil {
		return nil, s.shown(fail)
	}
	return out, nil
}

// Value is that of an expression which gives a scalar or a vector of one sample. Its errors are *Failure.
func (s *Server) Value(ctx context.Context, expression string, at time.Time) (float64, error) {
	v, fail := s.value(ctx, expression, at, 0)
	if fail != nil {
		return 0, s.shown(fail)
	}
	return v, nil
}

// Requests is an expression for the requests a second that a host gets, all its ports and subsets together, whichever
// bootstrap its proxies have. host is a full name.
func Requests(host string, over time.Duration) string {
	return both(host, over, func(n names) string { return n.total })
}

// BadRequests is an expression for those answered 5xx.
func BadRequests(host string, over time.Duration) string {
	return both(host, over, func(n names) string { return n.classed }, func(n names) string {
		matcher := "," + n.class + "=" + strconv.Quote("5"+n.suffix)
		if n.code != "" {
			matcher += "," + n.code + `=""`
		}
		return matcher
	})
}

// both asks for a counter in either dialect.
func both(host string, over time.Duration, counter func(names) string, matchers ...func(names) string) string {
	clusters := strconv.Quote(`outbound\|[0-9]+\|[^|]*\|` + regexp.QuoteMeta(host))
	of := func(d Dialect) string {
		n, _ := d.names()
		out := "rate(" + counter(n) + "{" + n.cluster + "=~" + clusters
		for _, m := range matchers {
			out += m(n)
		}
		return out + "}[" + strconv.FormatInt(int64(over.Seconds()), 10) + "s])"
	}
	return "sum(" + of(Envoy) + " or " + of(Istio) + ")"
}

// Role says what a raw series of Envoy counts: all requests or those answered 5xx; the zero Role: other ones. false: it
// is no series of Envoy's requests.
func (r Record) Role() (role analysis.Role, known bool) {
	for _, d := range []Dialect{Envoy, Istio} {
		n, _ := d.names()
		switch r.Name() {
		case n.total:
			return analysis.Total, true
		case n.classed:
			known = true
			if r.Labels[n.class] == "5"+n.suffix && (n.code == "" || r.Labels[n.code] == "") {
				role = analysis.Bad
			}
		}
	}
	return role, known
}

// Clusters are the names of the Envoy clusters of a host's subsets that requests were counted for in a time, sorted. host
// is a full name.
func (s *Server) Clusters(ctx context.Context, host string, subsets []string, from, until time.Time) ([]string, error) {
	quoted := make([]string, len(subsets))
	for i, subset := range subsets {
		quoted[i] = regexp.QuoteMeta(subset)
	}
	pattern := strconv.Quote(`outbound\|[0-9]+\|(` + strings.Join(quoted, "|") + `)\|` + regexp.QuoteMeta(host))
	every := max(15*time.Second, (until.Sub(from) / 500).Truncate(time.Second))
	found, err := s.Records(ctx, "group by ("+s.names.cluster+") ("+s.names.total+"{"+s.names.cluster+"=~"+pattern+"})", from, until.Add(every), every)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, r := range found {
		if name := r.Labels[s.names.cluster]; name != "" && len(r.Points) > 0 && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out, nil
}

// Expression is what is asked for a query, for people who want to ask it themselves.
func (s *Server) Expression(q analysis.Query) (string, error) {
	if q.Condition != nil {
		canary, _, err := sidesOf(*q.Condition, q.Arms, false)
		return canary, err
	}
	wants, fail := s.wants(q)
	if fail != nil {
		return "", fail
	}
	if len(wants) == 0 {
		return "", failed(analysis.NoSeries, "nothing is read for metric %.63q", q.Metric)
	}
	var out []string
	for len(wants) > 0 {
		shape := wants[0].shape()
		same := slices.DeleteFunc(slices.Clone(wants), func(w want) bool { return w.shape() != shape })
		wants = slices.DeleteFunc(wants, func(w want) bool { return w.shape() == shape })
		out = append(out, expression(same, int64(max(q.Until.Sub(q.From), time.Second).Seconds())))
	}
	return strings.Join(out, " or "), nil
}
