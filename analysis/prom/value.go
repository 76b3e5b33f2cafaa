package prom

import (
	"context"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/sluice-dev/sluice/analysis"
)

// instantSample is a value of an instant vector, or a scalar, which has no labels.
type instantSample struct {
	bucket []byte // label le
	value  float64
}

// instant asks for the value of an expression: a scalar or a vector.
func (s *Server) instant(ctx context.Context, expression string, at time.Time, oldest time.Duration) ([]instantSample, *Failure) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return nil, failed(analysis.Timeout, "waited for other queries of this server for %v", s.timeout)
	}
	body, fail := s.ask(ctx, inquiry{text: expression, oldest: oldest}, at)
	if fail != nil {
		return nil, fail
	}
	defer s.pages.put(body)
	return instants(body.Bytes())
}

// instants reads a scalar or a vector.
func instants(body []byte) ([]instantSample, *Failure) {
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
	kind := m.head.resultType
	if kind != "scalar" {
		kind = "vector"
	}
	if fail := m.head.refusal(kind); fail != nil {
		return nil, fail
	}
	if held == nil {
		return nil, failed(analysis.BadResponse, "the answer holds no result")
	}
	m.scan = scan{text: held}
	var out []instantSample
	var err error
	if kind == "scalar" {
		out = []instantSample{{}}
		_, out[0].value, err = m.sample()
	} else {
		err = m.array(func() error { return m.vectorElement(&out) })
	}
	if err != nil {
		return nil, unreadable(err)
	}
	for _, one := range out {
		if math.IsNaN(one.value) || math.IsInf(one.value, 0) {
			return nil, failed(analysis.NotFinite, "the value is %v", one.value)
		}
	}
	return out, nil
}

func (m *matrix) vectorElement(out *[]instantSample) error {
	if len(*out) >= MaxSeries {
		return failed(analysis.TooManySeries, "over %d series", MaxSeries)
	}
	one, valued, native := instantSample{}, false, false
	err := m.object(func(key []byte) error {
		switch string(key) {
		case "metric":
			return m.object(func(name []byte) error {
				value, err := m.str()
				if string(name) == bucketLabel {
					one.bucket = slices.Clone(value) // the body is used again
				}
				return err
			})
		case "value":
			valued = true
			var err error
			_, one.value, err = m.sample()
			return err
		case "histogram":
			native = true
		}
		return m.skip()
	})
	switch {
	case err != nil:
		return err
	case native:
		return failed(analysis.WrongType, "the answer has native histograms")
	case !valued:
		return failed(analysis.BadResponse, "a series has no value")
	}
	*out = append(*out, one)
	return nil
}

// value is that of an expression which gives a scalar or a vector of one sample.
func (s *Server) value(ctx context.Context, expression string, at time.Time, oldest time.Duration) (float64, *Failure) {
	all, fail := s.instant(ctx, expression, at, oldest)
	switch {
	case fail != nil:
		return 0, fail
	case len(all) == 0:
		return 0, failed(analysis.NoSeries, "the query gives no sample")
	case len(all) > 1:
		return 0, failed(analysis.TooManySeries, "the query gives %d samples: want one", len(all))
	}
	return all[0].value, nil
}

// Base implements analysis.Querier: it asks Prometheus for the increase of stable's buckets over the hour.
func (s *Server) Base(ctx context.Context, q analysis.Query) ([]analysis.Bucket, error) {
	sums := map[float64]float64{}
	plan, fail := s.plans.of(q, s.wants)
	if fail != nil {
		return nil, s.shown(fail)
	}
	for _, group := range plan.groups {
		stable := slices.DeleteFunc(slices.Clone(group.wants), func(w want) bool { return w.arm != analysis.Stable || w.role != analysis.Within })
		if len(stable) == 0 {
			continue
		}
		all, fail := s.instant(ctx, "sum by (le) (increase("+expression(stable, int64(baseline.Seconds()))+"))", q.Until, 0)
		if fail != nil {
			return nil, s.shown(fail)
		}
		for _, one := range all {
			bound, fail := le(one.bucket, stable[0].unit)
			if fail != nil {
				return nil, s.shown(fail)
			}
			if one.value < 0 {
				return nil, s.shown(failed(analysis.NotCounter, "a bucket grew by %v", one.value))
			}
			sums[bound] += one.value
		}
	}
	if len(sums) > MaxBounds+1 {
		return nil, s.shown(failed(analysis.WrongType, "%d bounds: at most %d", len(sums)-1, MaxBounds))
	}
	out := make([]analysis.Bucket, 0, len(sums))
	rising := 0.0 // extrapolation may bend it
	for _, bound := range slices.Sorted(maps.Keys(sums)) {
		rising = max(rising, sums[bound])
		out = append(out, analysis.Bucket{Le: bound, N: rising})
	}
	return out, nil
}

// baseline is how much of stable's past chooses the bounds of a histogram.
const baseline = time.Hour

// le reads the bound of a bucket.
func le(text []byte, unit float64) (float64, *Failure) {
	v, err := strconv.ParseFloat(string(text), 64)
	if err != nil || math.IsNaN(v) {
		return 0, failed(analysis.WrongType, "a bucket has the bound %.40q", text)
	}
	return v * unit, nil
}
