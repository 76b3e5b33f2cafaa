package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/sluice-dev/sluice/analysis"
)

// judgeLine is one line of input.
type judgeLine struct {
	T         *float64  `json:"t"`
	Metric    string    `json:"metric"`
	Canary    *judgeArm `json:"canary"`
	Stable    *judgeArm `json:"stable"`
	Gap       string    `json:"gap"`
	Weight    *int      `json:"weight"`
	Endpoints *int      `json:"endpoints"`
	Le        []float64 `json:"le"` // of a histogram: rising bounds in ms
}

type judgeArm struct {
	N       *uint64  `json:"n"`
	Bad     *uint64  `json:"bad"`
	Started *uint64  `json:"started"`
	Le      []uint64 `json:"le"` // how many took at most each bound
}

// most that is counted in a line, and the most bounds of a histogram.
const (
	mostCounted = 1 << 53
	mostBounds  = 64
)

// parseLine reads one line strictly.
func parseLine(text []byte) (judgeLine, error) {
	var l judgeLine
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&l); err != nil {
		return l, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return l, errors.New("more than one JSON value")
	}
	switch {
	case l.T == nil:
		return l, errors.New("t is missing: the end of the line in seconds")
	case !(*l.T >= 0 && *l.T <= 1e9):
		return l, fmt.Errorf("t is %v: want seconds from 0 on", *l.T)
	case l.Gap != "" && (l.Canary != nil || l.Stable != nil || l.Le != nil):
		return l, errors.New("a gap has no counts")
	case len(l.Gap) > 63:
		return l, errors.New("gap: want a reason of at most 63 bytes")
	case l.Weight != nil && (*l.Weight < 0 || *l.Weight > 100):
		return l, fmt.Errorf("weight is %d: want 0 to 100", *l.Weight)
	case l.Endpoints != nil && *l.Endpoints < 0:
		return l, fmt.Errorf("endpoints is %d: want 0 or more", *l.Endpoints)
	case l.Gap != "":
		return l, nil
	}
	if err := l.Canary.check(len(l.Le)); err != nil {
		return l, fmt.Errorf("canary: %w", err)
	}
	if err := l.Stable.check(len(l.Le)); err != nil {
		return l, fmt.Errorf("stable: %w", err)
	}
	return l, nil
}

// check holds one arm's counts to what counts can be.
func (a *judgeArm) check(bounds int) error {
	switch {
	case a == nil || a.N == nil:
		return errors.New("n is missing")
	case *a.N > mostCounted:
		return fmt.Errorf("n is %d: at most 2^53", *a.N)
	case a.Bad != nil && *a.Bad > *a.N:
		return fmt.Errorf("bad is %d of %d", *a.Bad, *a.N)
	case a.Started != nil && *a.Started > mostCounted:
		return fmt.Errorf("started is %d: at most 2^53", *a.Started)
	case len(a.Le) != bounds:
		return fmt.Errorf("le has %d counts for %d bounds", len(a.Le), bounds)
	case !slices.IsSorted(a.Le):
		return errors.New("le: cumulative counts never fall")
	case bounds > 0 && a.Le[bounds-1] > *a.N:
		return fmt.Errorf("le counts %d of %d", a.Le[bounds-1], *a.N)
	case bounds > 0 && a.Bad != nil:
		return errors.New("bad beside le: of a histogram the bounds say what is bad")
	}
	return nil
}

// counts are the arm's, every request finished where the line does not say how many were started.
func (a *judgeArm) counts() analysis.Counts {
	c := analysis.Counts{N: *a.N, Started: *a.N, Le: a.Le}
	if a.Bad != nil {
		c.Bad = *a.Bad
	}
	if a.Started != nil {
		c.Started = *a.Started
	}
	return c
}

// window holds the line's counts, if they are of the metric's kind and by the bounds of its other lines.
func (m *recorded) window(l judgeLine, c analysis.Criterion) (analysis.Window, error) {
	w := analysis.Window{Metric: l.Metric, Canary: l.Canary.counts(), Stable: l.Stable.counts(), Le: l.Le}
	histogram := c.Kind == analysis.KindHistogram
	switch {
	case histogram && len(l.Le) == 0:
		return w, fmt.Errorf("metric %s is a histogram: le is missing, the rising bounds in ms", l.Metric)
	case !histogram && len(l.Le) > 0:
		return w, fmt.Errorf("metric %s is no histogram: leave le out, or give --metric %s,kind=histogram", l.Metric, l.Metric)
	case len(l.Le) > mostBounds:
		return w, fmt.Errorf("le has %d bounds: at most %d", len(l.Le), mostBounds)
	}
	for i, le := range l.Le {
		if !(le > 0 && le < 1e12) || (i > 0 && le <= l.Le[i-1]) {
			return w, fmt.Errorf("le is %v: want rising bounds above 0", l.Le)
		}
	}
	if m.le != nil && !slices.Equal(m.le, l.Le) {
		return w, fmt.Errorf("le is %v: the lines before have %v", l.Le, m.le)
	}
	m.le = l.Le
	return w, nil
}
