package notify

import (
	"cmp"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
)

const (
	firstDelay = time.Second
	maxDelay   = 5 * time.Minute
	lookAgain  = time.Minute // at a Notifier that is suspended
	retest     = time.Hour   // a failure that stands
	zeroWithin = 2 * time.Second
)

// ident names an entry within its Rollout.
type ident struct {
	attempt  int64
	seq      int64
	notifier string
}

// owner is a Rollout or a Source, as far as its outbox is concerned.
type owner struct {
	uid      types.UID
	key      types.NamespacedName
	isSource bool
	source   types.NamespacedName // that brought a Rollout; empty: none
	goesBack bool                 // a version failed, and some proxy may still send it something
	pending  []v1alpha1.PendingNote
	receipts []v1alpha1.Receipt
	note     func(v1alpha1.PendingNote) Note
}

func ofRollout(ro *v1alpha1.Rollout) owner {
	o := owner{uid: ro.UID, key: types.NamespacedName{Namespace: ro.Namespace, Name: ro.Name},
		note: func(n v1alpha1.PendingNote) Note { return OfRollout(ro, n) }}
	if ro.Status != nil {
		o.pending, o.receipts, o.goesBack = ro.Status.Notes, ro.Status.Receipts, ro.Status.Phase == v1alpha1.PhaseRollingBack
	}
	if name := ro.Labels[v1alpha1.LabelSourceName]; name != "" {
		o.source = types.NamespacedName{Namespace: cmp.Or(ro.Labels[v1alpha1.LabelSourceNamespace], ro.Namespace), Name: name}
	}
	return o
}

func ofSource(src *v1alpha1.Source) owner {
	return owner{uid: src.UID, key: types.NamespacedName{Namespace: src.Namespace, Name: src.Name}, isSource: true, pending: src.Status.Notes,
		note: func(n v1alpha1.PendingNote) Note {
			return Note{ID: SourceID(src.UID, n), Report: view.SourceEvidence(src, n)}
		}}
}

// OfRollout gives the note that an entry of a Rollout's outbox asks for.
func OfRollout(ro *v1alpha1.Rollout, n v1alpha1.PendingNote) Note {
	out := Note{ID: ID(ro.UID, n), Report: view.Evidence(ro, n)}
	if v := out.Report.Version; v != nil && v.Commit != "" && v.Commit == ro.Annotations[v1alpha1.AnnotationCommit] {
		out.Email = ro.Annotations[v1alpha1.AnnotationCommitEmail]
	}
	return out
}

// queue is the outbox of one Rollout or Source as the Worker sees it.
type queue struct {
	of      types.NamespacedName
	source  types.NamespacedName // that brought it
	settled func(types.NamespacedName)
	items   []*item          // in the order of the outbox
	done    map[string]ident // per Notifier the newest entry that is final
	refs    []v1alpha1.Receipt
	met     bool // the outbox was read before: what is new in it now is of this process
}

// item is an entry and what became of it.
type item struct {
	id     ident
	note   Note
	at     time.Time // of the transition
	due    time.Time
	flying bool
	final  bool
	tries  int32
	err    string
	ref    string // of the Receipt of the newest try
	stored int32  // tries that the status knows of
	older  bool   // it was there when the outbox was first read: an earlier process may have sent it
	stands string // what the Notifier's sink was made of when a failure began to stand; empty: none does
}

func newQueue(o owner, settled func(types.NamespacedName)) *queue {
	return &queue{of: o.key, settled: settled, done: map[string]ident{}}
}

func identOf(n v1alpha1.PendingNote) ident { return ident{n.Attempt, n.Seq, n.Notifier} }

func (i ident) compare(j ident) int {
	return cmp.Or(cmp.Compare(i.attempt, j.attempt), cmp.Compare(i.seq, j.seq))
}

// sync makes the items those of the stored outbox and gives the Notifiers whose entries changed. An entry that
// is final stays final when an older status brings it back.
func (q *queue) sync(o owner) []types.NamespacedName {
	q.source = o.source
	q.refs = Keep(o.receipts, resultsOf(q.refs)) // what this process has seen last is newer than any status
	var items []*item
	var touched []types.NamespacedName
	for _, n := range o.pending {
		id := identOf(n)
		it := q.find(id)
		if it == nil {
			it = &item{id: id, at: n.At.Time, due: n.At.Time, tries: n.Tries, note: o.note(n), older: !q.met}
			newest, any := q.done[n.Notifier]
			it.final = any && id.compare(newest) <= 0
			touched = append(touched, q.notifier(it))
		}
		it.learn(o, n)
		it.stored = n.Tries
		items = append(items, it)
	}
	for _, it := range q.items {
		if !slices.Contains(items, it) {
			touched = append(touched, q.notifier(it))
		}
	}
	q.items, q.met = items, true
	return touched
}

// learn has the end of an attempt wait a moment for the proxies: it then says when they had sent everything back.
func (it *item) learn(o owner, n v1alpha1.PendingNote) {
	ends := n.Kind == v1alpha1.NoteRolledBack || n.Kind == v1alpha1.NoteAborted
	if !ends || it.tries > 0 || it.note.Report.ZeroAt != nil {
		return
	}
	if it.due = n.At.Time; o.goesBack {
		it.due = n.At.Add(zeroWithin)
		return
	}
	if fresh := o.note(n); fresh.Report.ZeroAt != nil {
		it.note = fresh
	}
}

func (q *queue) find(id ident) *item {
	for _, it := range q.items {
		if it.id == id {
			return it
		}
	}
	return nil
}

func (q *queue) notifier(it *item) types.NamespacedName {
	return KeyOf(q.of.Namespace, it.id.notifier)
}

// ref is that of the attempt of an item.
func (q *queue) ref(it *item) string {
	for _, r := range q.refs {
		if r.Notifier == it.id.notifier && r.Attempt == it.id.attempt {
			return r.Ref
		}
	}
	return ""
}

// resultsOf are receipts as results that brought them.
func resultsOf(receipts []v1alpha1.Receipt) []Result {
	var out []Result
	for _, r := range receipts {
		out = append(out, Result{Attempt: r.Attempt, Notifier: r.Notifier, Ref: r.Ref})
	}
	return out
}

// heads are the first entries, one per Notifier, that are not final: only these may be sent.
func (q *queue) heads() []*item {
	var out []*item
	seen := map[string]bool{}
	for _, it := range q.items {
		if it.final || seen[it.id.notifier] {
			continue
		}
		seen[it.id.notifier] = true
		if !it.flying {
			out = append(out, it)
		}
	}
	return out
}

// note keeps that it is final.
func (q *queue) note(it *item) {
	if newest, any := q.done[it.id.notifier]; it.final && (!any || it.id.compare(newest) > 0) {
		q.done[it.id.notifier] = it.id
	}
}

func (q *queue) results() []Result {
	var out []Result
	for _, it := range q.items {
		if it.final || it.tries != it.stored {
			out = append(out, Result{
				Attempt: it.id.attempt, Seq: it.id.seq, Notifier: it.id.notifier, Final: it.final, Tries: it.tries, Err: it.err, Ref: it.ref,
			})
		}
	}
	return out
}

// before orders items that are due: the longest waiting first, and a fixed order among equals.
func (it *item) before(other *item) bool {
	return cmp.Or(it.due.Compare(other.due), it.id.compare(other.id), cmp.Compare(it.note.ID, other.note.ID)) < 0
}

// tried takes the outcome of a try, by a sink made of print: final, or when to try again.
func (it *item) tried(err error, print string, now time.Time) {
	it.stands = ""
	switch {
	case err == nil:
		it.final, it.err = true, ""
		return
	case errors.Is(err, ErrNotFound):
		it.final, it.err = true, "the Notifier is gone"
		return
	case errors.Is(err, errSuspended):
		it.due = now.Add(lookAgain)
		it.final = now.Sub(it.at) >= giveUpAfter
		return
	}
	f := failure(err)
	it.tries++
	it.err = problem.Clean(f.Error(), maxLastError)
	it.final = f.Hope == None || f.Hope == Gone || f.Hope == Dropped || (f.Hope == Thrice && it.tries >= 3) || now.Sub(it.at) >= giveUpAfter
	it.due = now.Add(max(it.delay(), f.After))
	if f.Hope == Stands {
		it.due, it.stands = now.Add(retest), print
	}
}

// delay doubles from a second to five minutes, give or take a fifth: by a hash of id and try, so that notes that failed
// together do not come back together.
func (it *item) delay() time.Duration {
	d := maxDelay
	if it.tries < 10 {
		d = min(firstDelay<<(it.tries-1), maxDelay)
	}
	h := fnv.New32a()
	fmt.Fprint(h, it.note.ID, it.tries)
	return d + time.Duration(int64(h.Sum32()%401)-200)*d/1000
}
