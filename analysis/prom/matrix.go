package prom

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-dev/sluice/analysis"
)

// matrix reads an answer and sorts its series to those who asked.
type matrix struct {
	scan
	asked
	repeated
	space
	whole map[string]*gathered // by identity, where replicas answered too; else nil

	pairs   []pair           // labels of the present series
	points  []analysis.Point // and its samples
	key     []byte
	out     []*gathered
	head    envelope
	done    bool // there was a result
	samples int
}

// repeated is what stands in an answer again and again, and is read once.
type repeated struct {
	targets []string          // labels
	names   map[string]string // of targets
	bounds  map[string]bound
	*spellings
}

// space is made for many series at a time.
type space struct {
	room   []analysis.Point
	blanks []gathered
}

// asked is what those who asked want.
type asked struct {
	labels []string           // that tell wants apart
	known  []map[string]bool  // values of each that were asked for
	owners map[string][]owner // by the values of labels
}

// owner is a want of a member of the batch.
type owner struct {
	*member
	want *want
}

// gathered is one series with those who asked for it.
type gathered struct {
	owners []owner
	target string
	le     float64
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
	m.pairs, m.points = m.pairs[:0], m.points[:0]
	if len(m.blanks) == 0 {
		m.blanks = make([]gathered, 64)
	}
	g, native, labelled := &m.blanks[0], false, false
	m.blanks = m.blanks[1:]
	err := m.object(func(key []byte) error {
		switch string(key) {
		case "metric":
			if labelled {
				return fmt.Errorf("the labels of a series stand twice")
			}
			labelled = true
			return m.object(m.pair)
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
	return m.assign(g)
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
	m.key = m.key[:0]
	for _, label := range m.labels {
		m.key = append(append(m.key, m.label(label)...), 0xff)
	}
	g.owners = m.owners[string(m.key)]
	if len(g.owners) == 0 {
		for i, label := range m.labels {
			if value := m.label(label); !m.known[i][string(value)] {
				return failed(analysis.BadResponse, "the answer holds series that were not asked for: %.40s is %.128s", label, value)
			}
		}
		m.out = append(m.out, nil) // asked for only because two others were: it counts, and goes nowhere
		return nil
	}
	if unit := g.owners[0].want.unit; unit > 0 && g.fail == nil {
		g.le, g.fail = m.bound(m.label(bucketLabel), unit)
	}
	g.target = m.target()
	g.points = m.kept()
	if m.whole != nil {
		id := m.identity()
		if other, twice := m.whole[id]; twice {
			if fuller(g, other) {
				*other = *g
			}
			return nil
		}
		m.whole[id] = g
	}
	m.out = append(m.out, g)
	return nil
}

// kept are the samples that were read, by time.
func (m *matrix) kept() []analysis.Point {
	if len(m.room)+len(m.points) > cap(m.room) {
		m.room = make([]analysis.Point, 0, max(roomFor, len(m.points)))
	}
	start := len(m.room)
	m.room = append(m.room, m.points...)
	points := m.room[start:len(m.room):len(m.room)]
	ordered(points)
	return points
}

// roomFor so many samples is made at a time.
const roomFor = 4096

// target names where the series was scraped.
func (m *matrix) target() string {
	m.key = m.key[:0]
	for _, label := range m.targets {
		m.key = append(append(m.key, m.label(label)...), 0xff)
	}
	name, known := m.names[string(m.key)]
	if !known {
		quoted := make([]string, 0, len(m.targets))
		for _, label := range m.targets {
			quoted = append(quoted, strconv.Quote(string(m.label(label))))
		}
		name = strings.Join(quoted, "/")
		m.names[string(m.key)] = name
	}
	return name
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

// identity names a series whichever replica of Prometheus scraped it.
func (m *matrix) identity() string {
	sorted := slices.Clone(m.pairs)
	slices.SortFunc(sorted, func(a, b pair) int { return bytes.Compare(a.name, b.name) })
	var b strings.Builder
	for _, p := range sorted {
		if name := string(p.name); name != "prometheus_replica" && name != "__replica__" {
			fmt.Fprintf(&b, "%q=%q,", name, p.value)
		}
	}
	return b.String()
}

// replicas reports that an answer may hold the same series from several.
func replicas(body []byte) bool {
	return bytes.Contains(body, []byte("prometheus_replica")) || bytes.Contains(body, []byte("__replica__"))
}
