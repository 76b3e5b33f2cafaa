package prom

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/sluice-dev/sluice/analysis"
)

// matrix reads an answer and sorts its series to those who asked.
type matrix struct {
	scan
	*asked
	familiar
	row

	room     []analysis.Point // the samples of all series
	out      []gathered
	head     envelope
	done     bool // there was a result
	samples  int
	replicas bool // answered too
}

// row is what is known of the series that is being read.
type row struct {
	pairs  []pair           // labels
	points []analysis.Point // samples
	key    []byte
	last   int32 // the first owner of the series before; none: nobody asked for it
	whose  id    // a digest of its values
}

// owner is a want of a member of the batch.
type owner struct {
	*member
	want *want
	next int32 // another of the same series; none: there is none
	last int32 // of the first: the last one
}

// none is where there is no owner.
const none int32 = -1

// gathered is one series with those who asked for it.
type gathered struct {
	*origin
	owner  int32 // the first; none: it was asked for only because two others were; it counts, and goes nowhere
	points []analysis.Point
	fail   *Failure
}

type pair struct{ name, value []byte }

// envelope is what every answer of the HTTP API is.
type envelope struct {
	status, errorType, message, resultType, warning string
	warned                                          bool
}

func (e envelope) rejected() *Failure {
	switch e.errorType {
	case "timeout", "canceled":
		return failed(analysis.Timeout, "the server gave up: %s", e.message)
	default:
		return failed(analysis.QueryRejected, "%s: %s", e.errorType, e.message)
	}
}

// refusal is why the answer holds no result; nil: it should.
func (e envelope) refusal(want string) *Failure {
	switch {
	case e.status == "error":
		return e.rejected()
	case e.status != "success":
		return failed(analysis.BadResponse, "the answer has the status %.40q", e.status)
	case e.warned:
		return failed(analysis.Warnings, "the answer may be partial: %s", e.warning)
	case e.resultType == "":
		return failed(analysis.BadResponse, "the answer holds no result")
	case e.resultType != want:
		return failed(analysis.WrongType, "the answer is a %.40s: want a %s", e.resultType, want)
	}
	return nil
}

// read reads the whole answer. Nothing of it counts where it fails.
func (m *matrix) read() *Failure {
	var held []byte // a result before its type
	fail := m.envelope(func() error {
		start := m.at
		if m.head.resultType == "" {
			err := m.skip()
			held = m.text[start:m.at]
			return err
		}
		if m.head.resultType != "matrix" {
			return m.skip()
		}
		m.done = true
		return m.array(m.series)
	})
	if fail != nil {
		return fail
	}
	if fail := m.head.refusal("matrix"); fail != nil {
		return fail
	}
	if held != nil {
		m.done, m.scan = true, scan{text: held}
		if err := m.array(m.series); err != nil {
			return unreadable(err)
		}
	}
	if !m.done {
		return failed(analysis.BadResponse, "the answer holds no result")
	}
	return nil
}

// envelope reads what stands around the result. A key that stands twice is refused: which one holds?
func (m *matrix) envelope(result func() error) *Failure {
	if len(bytes.TrimSpace(m.text)) == 0 {
		return failed(analysis.BadResponse, "the answer is empty")
	}
	if m.blank() == '<' {
		return failed(analysis.BadResponse, "the answer is HTML: is there a login page or a proxy in between?")
	}
	seen := map[string]bool{}
	once := func(key string) error {
		if seen[key] {
			return fmt.Errorf("%s stands twice", key)
		}
		seen[key] = true
		return nil
	}
	err := m.object(func(key []byte) error {
		switch name := string(key); name {
		case "status", "errorType", "error":
			into := map[string]*string{"status": &m.head.status, "errorType": &m.head.errorType, "error": &m.head.message}[name]
			if err := once(name); err != nil {
				return err
			}
			return m.text1(into)
		case "warnings":
			if err := once(name); err != nil {
				return err
			}
			return m.warnings()
		case "data":
			if err := once(name); err != nil {
				return err
			}
			return m.data(once, result)
		}
		return m.skip()
	})
	if err == nil && m.blank() != 0 {
		err = m.wrong("the end")
	}
	if err != nil {
		return unreadable(err)
	}
	return nil
}

func unreadable(err error) *Failure {
	if f, ok := err.(*Failure); ok { //nolint:errorlint // never wrapped: it comes from this package's own callbacks
		return f
	}
	return failed(analysis.BadResponse, "the answer is not whole: %v", err)
}

// text1 reads a string, or null, which says nothing.
func (m *matrix) text1(into *string) error {
	if m.blank() == 'n' {
		return m.literal("null")
	}
	text, err := m.str()
	*into = string(text)
	return err
}

func (m *matrix) warnings() error {
	if m.blank() == 'n' {
		return m.literal("null")
	}
	return m.array(func() error {
		var text string
		if err := m.text1(&text); err != nil {
			return err
		}
		if !m.head.warned {
			m.head.warned, m.head.warning = true, text
		}
		return nil
	})
}

func (m *matrix) data(once func(string) error, result func() error) error {
	if m.blank() == 'n' {
		return m.literal("null")
	}
	return m.object(func(key []byte) error {
		switch name := string(key); name {
		case "resultType":
			if err := once(name); err != nil {
				return err
			}
			return m.text1(&m.head.resultType)
		case "result":
			if err := once(name); err != nil {
				return err
			}
			if m.blank() == 'n' {
				return m.literal("null")
			}
			return result()
		}
		return m.skip()
	})
}

// series reads one series of a matrix.
func (m *matrix) series() error {
	if len(m.out) >= MaxSeries {
		return failed(analysis.TooManySeries, "over %d series", MaxSeries)
	}
	m.out = append(m.out, gathered{})
	g := &m.out[len(m.out)-1]
	m.points = m.points[:0]
	if !m.recognised(g) {
		m.before = nil
		if err := m.stranger(g); err != nil {
			return err
		}
	}
	return m.assign(g)
}

// stranger reads a series whose labels were not read before, or which is written in another way.
func (m *matrix) stranger(g *gathered) error {
	m.pairs, m.points = m.pairs[:0], m.points[:0]
	native, labelled, labels := false, false, []byte(nil)
	err := m.object(func(key []byte) error {
		switch string(key) {
		case "metric":
			if labelled {
				return fmt.Errorf("the labels of a series stand twice")
			}
			labelled = true
			m.blank()
			start := m.at
			err := m.object(m.pair)
			labels = m.text[start:m.at]
			return err
		case "values":
			if len(m.points) > 0 {
				return fmt.Errorf("the samples of a series stand twice")
			}
			return m.values(g)
		case "histograms":
			return m.array(func() error { native = true; return m.skip() })
		}
		return m.skip()
	})
	if err != nil {
		return err
	}
	if native {
		g.fail = failed(analysis.WrongType, "%s has native histograms", m.label(nameLabel))
	}
	g.origin = m.originOf(labels)
	return nil
}

// pair reads the value of a label.
func (m *matrix) pair(name []byte) error {
	value, err := m.str()
	m.pairs = append(m.pairs, pair{name, value})
	return err
}

// values reads the samples of a series.
func (m *matrix) values(g *gathered) error {
	if err := m.open('['); err != nil {
		return err
	}
	for first := true; ; {
		more, err := m.more(&first, ']')
		if err != nil || !more {
			return err
		}
		if err := m.point(g); err != nil {
			return err
		}
	}
}

// point reads one sample. What no counter can hold is a failure of those alone who asked for the series.
func (m *matrix) point(g *gathered) error {
	ms, value, plain := m.plain()
	if !plain {
		var err error
		if ms, value, err = m.sample(); err != nil {
			return err
		}
	}
	if m.samples++; m.samples > MaxSamples {
		return failed(analysis.TooLarge, "over %d samples", MaxSamples)
	}
	switch {
	case math.IsNaN(value), math.IsInf(value, 0):
		g.fail = failed(analysis.NotFinite, "a series holds %v", value)
	case value < 0:
		g.fail = failed(analysis.NotCounter, "a series holds %v: a counter is never negative", value)
	}
	m.points = append(m.points, analysis.Point{T: ms, V: value})
	return nil
}

func (m *matrix) label(name string) []byte {
	for _, p := range m.pairs {
		if string(p.name) == name {
			return p.value
		}
	}
	return nil
}

// assign finds out who asked for the series that was read.
func (m *matrix) assign(g *gathered) error {
	if m.whose != g.whose || len(m.out) == 1 { // series of one want follow each other
		m.whose, m.last = g.whose, none
		if first, known := m.owners[g.whose]; known {
			m.last = first
		}
	}
	if g.owner = m.last; g.owner == none {
		values := strings.Split(g.key, "\xff")
		for i, label := range m.first.labels {
			if !m.asked.values[i].has(values[i]) {
				return failed(analysis.BadResponse, "the answer holds series that were not asked for: %.40s is %.128s", label, values[i])
			}
		}
		return nil
	}
	g.fail = cmp.Or(g.fail, g.origin.fail)
	g.points = m.kept()
	m.replicas = m.replicas || g.replicas
	return nil
}

// kept are the samples that were read, by time. The room for them is used again: they are copied for those who asked.
func (m *matrix) kept() []analysis.Point {
	start := len(m.room)
	m.room = append(m.room, m.points...)
	points := m.room[start:len(m.room):len(m.room)]
	ordered(points)
	return points
}

// onlyFuller leaves of each series that several replicas scraped the fuller one.
func (m *matrix) onlyFuller() {
	best := make(map[id]*gathered, len(m.out))
	for i := range m.out {
		g := &m.out[i]
		other := best[g.id]
		switch {
		case g.owner == none:
			continue
		case other == nil:
			best[g.id] = g
		case fuller(g, other):
			other.owner, best[g.id] = none, g
		default:
			g.owner = none
		}
	}
}

// fuller decides between the same series from two replicas of Prometheus: more points, then the older ones.
func fuller(a, b *gathered) bool {
	if len(a.points) != len(b.points) {
		return len(a.points) > len(b.points)
	}
	return slices.CompareFunc(a.points, b.points, func(p, q analysis.Point) int {
		if p.T != q.T {
			return int(p.T - q.T)
		}
		return int(math.Copysign(1, p.V-q.V))
	}) < 0
}
