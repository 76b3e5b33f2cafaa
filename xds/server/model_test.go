package server

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/xds/envoy"
)

// model is a proxy that behaves as Envoy does, on virtual time: clusters and listeners by wildcard, the endpoints of its
// clusters and the tables of its listeners by name; the answer to clusters waits until they are warm; good parts of a
// rejected response are applied and their versions not remembered.
type model struct {
	t    *rapid.T
	sotw bool
	talk *conversation
	mem  *remembered
	now  time.Time
	set  *set

	has     [kinds]map[string]*item  // applied
	told    [kinds]map[string]string // versions that a new stream reports
	claims  map[key]string           // those that this one has reported, until the set has had them
	version [kinds]string            // the same, state of the world
	sub     [kinds]map[string]bool
	begun   [kinds]bool
	nonce   [kinds]string
	inbox   []response
	warming map[string]bool // clusters that wait for their endpoints
	active  map[string]bool // clusters that have been warm
	unsaid  []response      // responses of clusters that are not answered yet
	poison  map[string]bool // versions that it rejects, unless it has applied them before
	liked   map[string]bool // versions that it has applied
	nacked  map[key]string  // rejections that the server knows of
	spurned map[string]bool // names of which it has rejected some version: a first table does not wait for them
	excused bool            // a gate has timed out
	pace    paced
	amnesia bool // state of the world: a new stream does not say which clusters the proxy has
}

// remembered is what a server knows of the node from earlier streams.
type remembered struct {
	versions map[key]string
	doubts   map[key]bool
}

func (r *remembered) refused(k kind, name string) (string, string) {
	return r.versions[key{k, name}], "remembered"
}

func (r *remembered) doubted(k kind) []string {
	var out []string
	for at := range r.doubts {
		if at.kind == k {
			out = append(out, at.name)
		}
	}
	return out
}

func (r *remembered) good(kind, string, string) *item { return nil }

func newModel(t *rapid.T) *model {
	m := &model{t: t, sotw: rapid.Bool().Draw(t, "sotw"), now: time.Unix(1e9, 0), mem: &remembered{versions: map[key]string{}, doubts: map[key]bool{}},
		warming: map[string]bool{}, active: map[string]bool{}, poison: map[string]bool{}, liked: map[string]bool{}, nacked: map[key]string{}, spurned: map[string]bool{}}
	for k := range kinds {
		m.has[k], m.told[k] = map[string]*item{}, map[string]string{}
	}
	m.publish()
	m.connect()
	return m
}

// connect opens a new stream and reports what the proxy has.
func (m *model) connect() {
	m.talk = &conversation{sotw: m.sotw, timing: Timing{}.withDefaults(), memory: m.mem}
	m.talk.use(m.set)
	m.talk.unproven = rapid.Bool().Draw(m.t, "unproven")
	m.inbox, m.unsaid, m.nonce = nil, nil, [kinds]string{}
	m.pace = paced{asked: map[string]bool{}}
	m.claims = map[key]string{}
	m.begun = [kinds]bool{}
	for at, v := range m.mem.versions {
		if i := m.set.of[at.kind].get(at.name); i != nil && i.version == v {
			m.nacked[at] = v
		}
	}
	for k := range kinds {
		m.sub[k] = map[string]bool{}
	}
	m.ask(clusters, nil)
	m.ask(listeners, nil)
	m.subscribe()
}

// ask sends a request of a kind; f is the response that it answers.
func (m *model) ask(k kind, f *response, bad ...string) {
	r := request{typeURL: k.typeURL(), at: m.now, refused: len(bad) > 0, nack: strings.Join(bad, ", ")}
	wanted := m.wanted(k)
	if m.sotw {
		r.version, r.nonce = m.version[k], m.nonce[k]
		r.names = slices.Sorted(maps.Keys(wanted))
	} else {
		for _, n := range slices.Sorted(maps.Keys(wanted)) {
			if !m.sub[k][n] {
				r.subscribe = append(r.subscribe, n)
			}
		}
		for _, n := range slices.Sorted(maps.Keys(m.sub[k])) {
			if !wanted[n] {
				r.unsubscribe = append(r.unsubscribe, n)
			}
		}
		if !m.begun[k] {
			r.versions = maps.Clone(m.told[k])
			for n, v := range r.versions {
				if k.wildcardable() || wanted[n] {
					m.claims[key{k, n}] = v
				}
			}
		}
		for _, n := range r.unsubscribe {
			delete(m.claims, key{k, n})
		}
	}
	if f != nil {
		r.nonce = f.nonce
	}
	if k == endpoints {
		for n := range wanted {
			m.pace.asked[n] = m.pace.asked[n] || !m.sub[k][n]
		}
	}
	void := m.sotw && r.nonce != "" && r.nonce != strconv.FormatUint(m.talk.subs[k].newest, 10)
	if !void { // else the proxy says it again when it handles the newest response
		m.sub[k] = wanted
	}
	m.begun[k] = true
	if err := m.talk.receive(r); err != nil {
		m.t.Fatal(err)
	}
	m.work()
}

// wanted are the names that the proxy subscribes to; none for a wildcard.
func (m *model) wanted(k kind) map[string]bool {
	out := map[string]bool{}
	switch k {
	case endpoints:
		for n := range m.has[clusters] {
			out[n] = true
		}
	case routes:
		for _, l := range m.has[listeners] {
			for _, n := range l.refs {
				out[n] = true
			}
		}
	case secrets:
		for name := range m.has[listeners] {
			out["s"+name] = true
		}
	default: // clusters and listeners come by the wildcard
	}
	return out
}

// subscribe tells the server of names that have come and gone.
func (m *model) subscribe() {
	for _, k := range []kind{endpoints, secrets, routes} {
		wanted := m.wanted(k)
		// State of the world: the form loses a name that is given up and asked for again while a response is under way.
		// The proxy is let keep its resource then.
		lossy := m.sotw && m.nonce[k] != strconv.FormatUint(m.talk.subs[k].newest, 10)
		for n := range m.has[k] {
			if !wanted[n] && !lossy {
				delete(m.has[k], n)
				delete(m.told[k], n)
			}
		}
		if !maps.Equal(wanted, m.sub[k]) {
			m.ask(k, nil)
		}
	}
}

// work lets the server send, and checks what it sends.
func (m *model) work() {
	for at, v := range m.claims {
		if i := m.set.of[at.kind].get(at.name); i != nil && i.version == v {
			delete(m.claims, at)
		}
	}
	busy := m.busy()
	out, _ := m.talk.plan(m.now)
	m.paced(out, busy)
	for _, o := range m.talk.collect() {
		switch o.what {
		case unsure:
			m.mem.doubts[key{o.kind, o.name}] = true
		case sure:
			delete(m.mem.doubts, key{o.kind, o.name})
		case acked, reported, rejected, dropped: // no doubt
		}
		if i := m.set.of[o.kind].get(o.name); o.what == rejected && i != nil && i.version == o.item.version {
			m.mem.versions[key{o.kind, o.name}] = o.item.version
		}
	}
	if m.talk.timeouts > 0 {
		m.excused = true
	}
	for _, r := range out {
		k, _ := kindOf(r.typeURL)
		for _, i := range r.items {
			if !k.wildcardable() && !m.sub[k][i.name] {
				m.t.Fatalf("%s %s was sent and is not subscribed to", k, i.name)
			}
			if v := m.claims[key{k, i.name}]; m.talk.unproven && v != "" && v != i.version {
				m.t.Fatalf("%s %s of version %s was sent before it is known that the reported %s is not newer", k, i.name, i.version, v)
			}
			if m.nacked[key{k, i.name}] == i.version {
				m.t.Fatalf("%s %s of version %s was sent again after its rejection", k, i.name, i.version)
			}
		}
		m.inbox = append(m.inbox, r)
	}
}

// publish draws a new set. Some of its versions are such that the proxy rejects them.
func (m *model) publish() {
	draw := func(label string, most int) int { return rapid.IntRange(0, most).Draw(m.t, label) }
	var r envoy.Resources
	var names []string
	for _, n := range []string{"a", "b", "c", "d"} {
		if v := draw("cluster "+n, 3); v > 0 {
			names = append(names, n)
			r.Clusters = append(r.Clusters, res(clusters, n, "c"+strconv.Itoa(v)))
			r.Endpoints = append(r.Endpoints, res(endpoints, n, "e"+strconv.Itoa(draw("endpoints", 1))))
		}
	}
	for _, table := range []string{"t1", "t2"} {
		if draw("table "+table, 3) == 0 {
			continue
		}
		var refs []string
		for _, n := range names {
			if rapid.Bool().Draw(m.t, "ref") {
				refs = append(refs, n)
			}
		}
		version := fmt.Sprintf("r%d:%s", draw("version", 2), strings.Join(refs, ""))
		r.Routes = append(r.Routes, res(routes, table, version, refs...))
		r.Listeners = append(r.Listeners, res(listeners, "l"+table, "l1", table))
		if v := draw("secret "+table, 3); v > 0 {
			r.Secrets = append(r.Secrets, res(secrets, "sl"+table, "s"+strconv.Itoa(v)))
		}
	}
	next, err := newSet(m.set, r)
	if err != nil {
		m.t.Fatal(err)
	}
	m.set = next
	for at, v := range m.nacked {
		if i := next.of[at.kind].get(at.name); i == nil || i.version != v {
			delete(m.nacked, at)
		}
	}
	for at, v := range m.mem.versions {
		if i := next.of[at.kind].get(at.name); i == nil || i.version != v {
			delete(m.mem.versions, at)
		}
	}
	if m.talk != nil {
		m.talk.use(next)
		m.work()
	}
}

// handle takes the oldest response and answers it.
func (m *model) handle() {
	if len(m.inbox) == 0 {
		return
	}
	r := m.inbox[0]
	m.inbox = m.inbox[1:]
	k, _ := kindOf(r.typeURL)
	m.nonce[k] = r.nonce
	var bad []string
	kept := map[string]bool{}
	for _, i := range r.items {
		kept[i.name] = true
		if m.poison[i.name+i.version] && !m.liked[i.name+i.version] {
			bad = append(bad, i.name)
			m.spurned[i.name] = true
			void := m.sotw && r.nonce != strconv.FormatUint(m.talk.subs[k].newest, 10)
			if want := m.set.of[k].get(i.name); !void && want != nil && want.version == i.version {
				m.nacked[key{k, i.name}] = i.version
			}
			continue
		}
		m.liked[i.name+i.version] = true
		m.apply(k, i)
	}
	removed := r.removed
	if m.sotw && k.wildcardable() {
		for _, n := range slices.Sorted(maps.Keys(m.has[k])) {
			if !kept[n] {
				removed = append(removed, n)
			}
		}
	}
	for _, n := range removed {
		m.remove(k, n)
	}
	if len(bad) == 0 {
		m.version[k] = r.version
		for _, i := range r.items {
			m.told[k][i.name] = i.version
		}
	}
	if k == clusters && len(bad) == 0 {
		m.unsaid = append(m.unsaid, r) // answered when all is warm
	} else {
		m.ask(k, &r, bad...)
	}
	m.subscribe()
	m.warm()
}

func (m *model) apply(k kind, i *item) {
	switch before := m.has[k][i.name]; {
	case k == clusters && (before == nil || before.version != i.version):
		m.warming[i.name] = true
	case k == endpoints:
		delete(m.warming, i.name)
		m.active[i.name] = true
	case k == routes:
		for _, n := range i.refs {
			if m.set.of[clusters].get(n) != nil && !m.active[n] && !m.excused && !m.spurned[n] {
				m.t.Fatalf("table %s of version %s names cluster %s, which the proxy does not have", i.name, i.version, n)
			}
		}
	}
	m.has[k][i.name] = i
}

func (m *model) remove(k kind, name string) {
	if k == clusters {
		for _, table := range m.has[routes] {
			if table.names(name) && !m.excused && !m.amnesia {
				m.t.Fatalf("cluster %s was removed, and table %s of version %s names it", name, table.name, table.version)
			}
		}
		delete(m.warming, name)
		delete(m.active, name)
	}
	delete(m.has[k], name)
	delete(m.told[k], name)
}

// warm answers the responses of clusters that had to wait.
func (m *model) warm() {
	if len(m.warming) > 0 || len(m.unsaid) == 0 {
		return
	}
	said := m.unsaid
	m.unsaid = nil
	if m.sotw {
		said = said[len(said)-1:]
	}
	for i := range said {
		m.ask(clusters, &said[i])
	}
}

// prove lets a barrier pass.
func (m *model) prove() {
	m.talk.unproven = false
	m.work()
}

// rest lets everything that is under way arrive, and every gate open.
func (m *model) rest() {
	for range 10 {
		m.prove()
		for range 200 {
			m.handle()
		}
		m.now = m.now.Add(16 * time.Second)
		m.work()
	}
	if len(m.inbox) > 0 {
		m.t.Fatalf("the conversation does not come to rest; next is %v", m.inbox[0])
	}
}

// check holds the proxy against the set, after rest.
func (m *model) check() {
	for k := range kinds {
		wanted := m.wanted(k)
		for _, i := range m.set.of[k].items {
			got := m.has[k][i.name]
			if !k.wildcardable() && !wanted[i.name] || m.nacked[key{k, i.name}] == i.version {
				continue
			}
			if got == nil || got.version != i.version {
				m.t.Fatalf("%s %s: the proxy has %v, want version %s", k, i.name, got, i.version)
			}
		}
		for _, n := range slices.Sorted(maps.Keys(m.has[k])) {
			if m.set.of[k].get(n) == nil && (!m.sotw || k.wildcardable()) && !m.spurning(routes) {
				m.t.Fatalf("%s %s is gone, and the proxy has it still", k, n)
			}
		}
	}
}

// spurning reports whether the proxy keeps an old version of some resource of the kind because it rejects the new one.
// What that one names has to stay, and a new stream does not say what that is.
func (m *model) spurning(k kind) bool {
	for at := range m.nacked {
		if at.kind == k {
			return true
		}
	}
	return false
}

// TestModel plays random conversations: publishing, late answers, rejections, stale nonces, repeated subscriptions,
// new streams. What is sent is checked as it is sent and applied; in the end the proxy has what it should.
func TestModel(t *testing.T) { rapid.Check(t, converseAtRandom) }

func FuzzModel(f *testing.F) { f.Fuzz(rapid.MakeFuzz(converseAtRandom)) }

func converseAtRandom(t *rapid.T) {
	m := newModel(t)
	t.Repeat(map[string]func(*rapid.T){
		"publish": func(*rapid.T) { m.publish() },
		"handle":  func(*rapid.T) { m.handle() },
		"handle2": func(*rapid.T) { m.handle(); m.handle() },
		"wait":    func(*rapid.T) { m.now = m.now.Add(3 * time.Second); m.work() },
		"poison": func(t *rapid.T) {
			m.poison["slt1s"+strconv.Itoa(rapid.IntRange(1, 3).Draw(t, "v"))] = true
			m.poison["t1r"+strconv.Itoa(rapid.IntRange(0, 2).Draw(t, "v"))+":a"] = true
			if v := rapid.IntRange(1, 3).Draw(t, "v"); !m.sotw || v == 3 {
				// State of the world: of responses that follow each other closely only the answer to the last one
				// counts, so what the proxy has after it has rejected several of them is not known.
				m.poison["bc"+strconv.Itoa(v)] = true
			}
		},
		"stale": func(*rapid.T) {
			if err := m.talk.receive(request{typeURL: routes.typeURL(), nonce: "9999", names: []string{"nothing"}, refused: true}); err != nil {
				t.Fatal(err)
			}
			m.work()
		},
		"prove":     func(*rapid.T) { m.prove() },
		"blink":     func(*rapid.T) { m.now = m.now.Add(50 * time.Millisecond); m.work() },
		"hush":      func(*rapid.T) { m.talk.calm.hush = m.now.Add(maxHush) },
		"reconnect": func(*rapid.T) { m.amnesia = m.sotw; m.connect() },
	})
	m.rest()
	m.check()
}
