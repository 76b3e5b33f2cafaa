package controller

import (
	"maps"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/analysis/spec"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/rollout"
)

// memory is what a process keeps of one object between passes. All of it can be lost. Passes over one object do not
// overlap, so that only what others use needs the lock.
type memory struct {
	uid   types.UID
	watch rollout.Watch
	written
	met
	spec   understood
	acked  uint64 // newest traffic seq whose acknowledgement was announced
	trail  trail  // of the open attempt, for what is measured and told of it
	judged judged

	mu     sync.Mutex // guards the rest
	asked  bool       // a query is under way
	answer *answer    // what the last one brought, not yet used
	heeded
}

// heeded is what news of proxies and mesh are held against.
type heeded struct {
	concern *concern  // of the newest pass; nil: there was none
	raised  time.Time // when news last put it before all others; zero: never
}

// met is how an object was when this process first saw it.
type met struct {
	shown   bool // to the outbox
	first   time.Duration
	proxies int // that took part then, as stored
}

// understood is a spec as the engine takes it.
type understood struct {
	generation int64 // 0: none is yet
	spec       rollout.Spec
	err        error
}

// understand reads an object's spec, once for each generation: it is checked with care, and defaulted.
func (m *memory) understand(ro *v1alpha1.Rollout) (rollout.Spec, error) {
	if m.spec.generation != ro.Generation || ro.Generation == 0 {
		m.spec.spec, m.spec.err = specOf(ro)
		m.spec.generation = ro.Generation
	}
	return m.spec.spec, m.spec.err
}

// written is what became of this process's writes.
type written struct {
	wrote   string            // resourceVersion after our last write
	last    *v1alpha1.Rollout // as that stored it, until the cache has it; nil: it has
	wroteAt time.Duration     // of the monotonic clock
	failed  int               // rollback writes that were not stored, since the phase last changed
	owed    bool              // the newest pass came to a rollback, and it is not stored
	refusal refusal           // newest write that the server would not store
	pruned  bool              // the server keeps less than it is given
	unheard *unheard          // newest decision whose write had no answer; nil: there is none to be told of
}

// judged is the newest verdict with the evidence for it.
type judged struct {
	known   bool // evidence was loaded, for this attempt
	attempt int64
	own     map[string]spec.Template // newest usable ones of metrics with a template
	servers *servers                 // that were read with them
	config  *analysis.Config         // newest usable one, before its step's choice of metrics; nil: none yet
	opinion
	seq    uint64 // traffic seq of the report
	step   int
	at     time.Duration // when a query was last begun
	looked lookedAt      // what the newest look held besides windows
}

// opinion is what is thought of a canary, and what that rests on. All that changes it is folded in one after the other, so that it
// is the same as long as its count is.
type opinion struct {
	ready    *analysis.Ready // nil: nothing is judged yet
	evidence analysis.Evidence
	report   analysis.Report
	folded   int // batches
}

// take folds a batch in.
func (o *opinion) take(b analysis.Batch) {
	o.evidence, o.report = o.ready.Judge(o.evidence, b)
	o.folded++
}

// hear takes over what is thought with an answer, and gives what the answer held. Where load reports came between, or the Config is
// another one, it is thought anew.
func (o *opinion) hear(a *answer) analysis.Batch {
	batch := a.batch
	switch {
	case a.ready == o.ready && a.folded == o.folded+1:
		*o = a.opinion
		return batch
	case a.ready != o.ready:
		batch = o.ready.Collect(o.evidence, a.moment, a.reads)
	}
	o.take(batch)
	return batch
}

// memories are the memories of all objects.
type memories struct {
	mu   sync.Mutex // guards all
	all  map[types.NamespacedName]*memory
	list []remembered // the same, changed by nobody; nil: to be made
}

// remembered is an object with its memory.
type remembered struct {
	key types.NamespacedName
	*memory
}

// of gives the memory of an object. Another uid under the same name is another object; gone is then the one before.
func (m *memories) of(key types.NamespacedName, uid types.UID) (out *memory, gone types.UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.all == nil {
		m.all = map[types.NamespacedName]*memory{}
	}
	have := m.all[key]
	if have != nil && have.uid == uid {
		return have, ""
	}
	if have != nil {
		gone = have.uid
	}
	m.all[key], m.list = &memory{uid: uid}, nil
	return m.all[key], gone
}

// forget gives the uid of an object that was known.
func (m *memories) forget(key types.NamespacedName) (gone types.UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if have := m.all[key]; have != nil {
		gone = have.uid
	}
	delete(m.all, key)
	m.list = nil
	return gone
}

// priority is that of the next look at an object: one whose rollback is not stored waits for no others.
func (m *memories) priority(key types.NamespacedName) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if one := m.all[key]; one != nil && one.owed {
		return firstOfAll
	}
	return inTurn
}

// copied are all memories as they are now, by name.
func (m *memories) copied() map[types.NamespacedName]*memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.all)
}

// listed are all memories as they are now. The list is made once and serves until there is another object: each
// acknowledgement of a proxy goes through it.
func (m *memories) listed() []remembered {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.list == nil {
		m.list = make([]remembered, 0, len(m.all))
		for key, one := range m.all {
			m.list = append(m.list, remembered{key, one})
		}
	}
	return m.list
}

// behind reports that a version of the object is older than our own last write.
func (m *memory) behind(version string) bool {
	if m.wrote == "" || m.wrote == version {
		return false
	}
	order, err := resourceversion.CompareResourceVersion(version, m.wrote)
	return err == nil && order < 0
}

// newest is what our last write stored, which its caller may change; that from the cache where nothing newer is kept.
func (m *memory) newest(cached *v1alpha1.Rollout) *v1alpha1.Rollout {
	if m.last == nil {
		return cached
	}
	return m.last.DeepCopy()
}

// raise reports that news may put the object before all others now, and notes that they do: not sooner than so long after the
// last time.
func (m *memory) raise(now time.Time, every time.Duration) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now.Sub(m.raised) < every {
		return false
	}
	m.raised = now
	return true
}

// begin marks a query as under way, unless one is.
func (m *memory) begin() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.asked || m.answer != nil {
		return false
	}
	m.asked = true
	return true
}

// end keeps what a query brought.
func (m *memory) end(a answer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked, m.answer = false, &a
}

// take hands out what the last query brought, once.
func (m *memory) take() *answer {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.answer
	m.answer = nil
	return a
}

// lookedAt is what a look at the metrics held besides windows. It stands for the metrics until the next one, while load
// reports go on.
type lookedAt struct {
	at       time.Time
	coverage []analysis.Coverage
	gaps     []analysis.Gap
}
