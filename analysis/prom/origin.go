package prom

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// id tells series apart, whichever replica of Prometheus scraped them: a digest of their labels.
type id [16]byte

// origin is what the labels of a series say. It is made once for a text of labels, and but for next never changed.
type origin struct {
	id       id
	key      string                 // the values that tell wants apart
	whose    id                     // a digest of key
	text     imprint                // of the labels, and how long they are
	size     int                    // 0: it is not remembered
	target   string                 // where it was scraped
	le       float64                // of a bucket, ms
	fail     *Failure               // it counts what nobody can use
	replicas bool                   // others may have scraped the same
	next     atomic.Pointer[origin] // that came after it, the last time; nil: none did
}

// longestLabels is how long a text of labels may be to be remembered, in bytes.
const longestLabels = 2048

// origins are those of series that were read before. Labels are most of an answer, and the same at each look: it is enough to
// know them again.
type origins struct {
	seeds [2]maphash.Seed
	mu    sync.RWMutex                   // guards all and n
	all   map[string]map[imprint]*origin // by the shape of what was asked for, then by labels as the server writes them
	n     int
}

// imprint tells texts of labels apart. It has 128 bits, by seeds that nobody else knows: no two texts will ever share one.
type imprint [2]uint64

func (o *origins) imprint(labels []byte) imprint {
	return imprint{maphash.Bytes(o.seeds[0], labels), maphash.Bytes(o.seeds[1], labels)}
}

// read lets an answer be read with what is known of its series, and remembers those that are new.
func (o *origins) read(shape string, m *matrix) *Failure {
	if fail := o.reading(shape, m); fail != nil || len(m.fresh) == 0 {
		return fail
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.all == nil || o.n+len(m.fresh) > maxRemembered {
		o.all, o.n = map[string]map[imprint]*origin{}, 0
	}
	if o.all[shape] == nil {
		o.all[shape] = map[imprint]*origin{}
	}
	maps.Copy(o.all[shape], m.fresh)
	o.n += len(m.fresh)
	return nil
}

func (o *origins) reading(shape string, m *matrix) *Failure {
	o.mu.RLock()
	defer o.mu.RUnlock()
	m.known = o.all[shape]
	return m.read()
}

// familiar are the series of an answer that were read before, and what is made of the others.
type familiar struct {
	origins *origins
	known   map[imprint]*origin // by labels, as the server writes them
	before  *origin             // of the series before; nil: there is none
	fresh   map[imprint]*origin // the same, of this answer
	targets []string            // labels
	unit    float64             // of bounds, in ms; 0: there are none
	texts   map[string]string   // of origins, each kept once
	*spellings
}

// A series as Prometheus writes nearly all stands between these.
const (
	beforeLabels = `{"metric":`
	afterLabels  = `},"values":`
)

// recognised reads a series whose labels were read before; false: it is to be read from where it starts. What is taken for the
// labels is surely they: the same text was read as a whole before.
func (m *matrix) recognised(g *gathered) bool {
	text := m.text[m.at:min(len(m.text), m.at+longestLabels)]
	if !bytes.HasPrefix(text, []byte(beforeLabels)) {
		return false
	}
	text = text[len(beforeLabels):]
	if g.origin = m.foreseen(text); g.origin == nil {
		if g.origin = m.looked(text); g.origin == nil {
			return false
		}
	}
	start, samples := m.scan, m.samples
	m.at += len(beforeLabels) + g.size - 1 + len(afterLabels)
	if m.values(g) == nil && m.at < len(m.text) && m.text[m.at] == '}' {
		m.at++
		m.follow(g.origin)
		return true
	}
	m.scan, m.samples, *g = start, samples, gathered{}
	return false
}

// foreseen is the origin that followed the one before in an earlier answer, if it does so here; nil: it does not. To look it up
// among tens of thousands would cost more than all that is read of the series.
func (m *matrix) foreseen(text []byte) *origin {
	if m.before == nil {
		return nil
	}
	next := m.before.next.Load()
	if next == nil || len(text) < next.size || !bytes.HasPrefix(text[next.size-1:], []byte(afterLabels)) ||
		m.origins.imprint(text[:next.size]) != next.text {
		return nil
	}
	return next
}

// looked is the origin with the labels that the text begins with; nil: it is not known.
func (m *matrix) looked(text []byte) *origin {
	end := bytes.Index(text, []byte(afterLabels))
	if end < 0 {
		return nil
	}
	return m.known[m.origins.imprint(text[:end+1])]
}

// follow notes what came after what. Both are remembered: else answers that are thrown away would leave something behind.
func (m *matrix) follow(o *origin) {
	if m.before != nil && m.before.next.Load() != o {
		m.before.next.Store(o)
	}
	m.before = o
}

// originOf reads the labels of the present series, which stand in the answer like this.
func (m *matrix) originOf(labels []byte) *origin {
	o := &origin{}
	m.key = m.key[:0]
	for _, label := range m.first.labels {
		m.key = append(append(m.key, m.label(label)...), 0xff)
	}
	o.key, o.whose = m.once(m.key), idOf(m.key)
	m.key = m.key[:0]
	for i, label := range m.targets {
		if i > 0 {
			m.key = append(m.key, '/')
		}
		m.key = strconv.AppendQuote(m.key, string(m.label(label)))
	}
	o.target = m.once(m.key)
	if m.unit > 0 {
		text := m.label(bucketLabel)
		if o.le, o.fail = le(text, m.unit); o.fail == nil && m.spellings != nil {
			m.learn(spelled{o.le, m.unit}, string(text))
		}
	}
	o.id, o.replicas = m.identity()
	if n := len(labels); n > 0 && n < longestLabels && m.fresh != nil {
		o.text, o.size = m.origins.imprint(labels), n
		m.fresh[o.text] = o
	}
	return o
}

// once is a text of which one copy is kept.
func (m *matrix) once(text []byte) string {
	known, ok := m.texts[string(text)]
	if !ok {
		known = string(text)
		if m.texts != nil {
			m.texts[known] = known
		}
	}
	return known
}

// identity names the present series whichever replica of Prometheus scraped it, and says whether it has the label of one.
func (m *matrix) identity() (out id, replicas bool) {
	slices.SortFunc(m.pairs, func(a, b pair) int { return bytes.Compare(a.name, b.name) })
	var b strings.Builder
	for _, p := range m.pairs {
		if name := string(p.name); name == "prometheus_replica" || name == "__replica__" {
			replicas = true
			continue
		}
		fmt.Fprintf(&b, "%q=%q,", p.name, p.value)
	}
	return idOf([]byte(b.String())), replicas
}

func idOf(text []byte) (out id) {
	sum := sha256.Sum256(text)
	copy(out[:], sum[:])
	return out
}
