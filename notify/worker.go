package notify

import (
	"context"
	"errors"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
)

const (
	maxInFlight = 16
	giveUpAfter = 24 * time.Hour
	idle        = time.Hour // between looks while nothing waits
)

// Notifiers reads Notifiers. ErrNotFound says that there is none.
type Notifiers interface {
	Notifier(ctx context.Context, key types.NamespacedName) (*v1alpha1.Notifier, error)
}

// Opener gives the sink of a Notifier; *Outlet is one.
type Opener interface {
	Open(ctx context.Context, n *v1alpha1.Notifier) (Sink, error)
}

// Sources reads Sources. ErrNotFound says that there is none.
type Sources interface {
	Source(ctx context.Context, key types.NamespacedName) (*v1alpha1.Source, error)
}

// WorkerConfig is what a Worker needs. All of it is required but what says otherwise.
type WorkerConfig struct {
	Sources       Sources                                                // where the commits of Rollouts come from; nil: not told
	SettledSource func(source types.NamespacedName)                      // as Settled, of a Source; nil: nobody asks
	Dropped       func(notifier types.NamespacedName, n Note, why error) // a receiver will never take the note; nil: nobody asks
	System        string                                                 // namespace whose Notifiers may speak of all others; empty: none may
	Links         view.LinkTemplates                                     // of pages about Rollouts
	Notifiers     Notifiers
	Opener        Opener
	Now           func() time.Time
	Settled       func(rollout types.NamespacedName)  // Results of this Rollout has news; must not block
	Felt          func(notifier types.NamespacedName) // Health of this Notifier has news; must not block
	Tried         func(Try)                           // a try was made; must not block. nil: nobody asks
}

// Worker sends what Rollouts' outboxes hold: in order per Rollout and Notifier, one note at a time per Notifier, 16 in
// all. Stored and Results are called by rollout/controller, Health by notify/controller, Start by the manager.
type Worker struct {
	cfg    WorkerConfig
	kick   chan struct{} // something may be due
	meters meters

	mu     sync.Mutex // guards all below
	queues map[types.UID]*queue
	health map[types.NamespacedName]*Health
	busy   map[types.NamespacedName]bool
	sinks  map[types.NamespacedName]string // kinds of those that were asked
	flying int
}

// NewWorker gives a Worker that sends nothing before Start.
func NewWorker(cfg WorkerConfig) *Worker {
	return &Worker{
		cfg:    cfg,
		kick:   make(chan struct{}, 1),
		meters: newMeters(),
		queues: map[types.UID]*queue{},
		health: map[types.NamespacedName]*Health{},
		busy:   map[types.NamespacedName]bool{},
		sinks:  map[types.NamespacedName]string{},
	}
}

// Stored tells what is stored now: entries that are new are sent, results of entries that are gone are forgotten. ro must
// have been read or written, not be about to be written. Offering one object twice equals once; so does an older one.
func (w *Worker) Stored(ro *v1alpha1.Rollout) {
	w.tell(w.accept(ofRollout(ro), w.cfg.Settled))
	w.wake()
}

// StoredSource is Stored of a Source.
func (w *Worker) StoredSource(src *v1alpha1.Source) {
	w.tell(w.accept(ofSource(src), w.cfg.SettledSource))
	w.wake()
}

// accept gives the Notifiers whose health has news.
func (w *Worker) accept(o owner, settled func(types.NamespacedName)) []types.NamespacedName {
	w.mu.Lock()
	defer w.mu.Unlock()
	q := w.queues[o.uid]
	if q == nil && o.isSource && len(o.pending) == 0 {
		return nil
	}
	if q == nil {
		q = newQueue(o, settled)
		w.queues[o.uid] = q
	}
	return w.count(q.sync(o))
}

func (w *Worker) tell(notifiers []types.NamespacedName) {
	for _, key := range notifiers {
		w.cfg.Felt(key)
	}
}

// Forget drops what is left of a Rollout that does not exist any more.
func (w *Worker) Forget(uid types.UID) { w.tell(w.drop(uid)) }

func (w *Worker) drop(uid types.UID) []types.NamespacedName {
	w.mu.Lock()
	defer w.mu.Unlock()
	q := w.queues[uid]
	if q == nil {
		return nil
	}
	delete(w.queues, uid)
	var touched []types.NamespacedName
	for _, it := range q.items {
		touched = append(touched, q.notifier(it))
	}
	return w.count(touched)
}

// Results gives what became of this Rollout's notes that its stored status does not say yet, in the order of the outbox.
func (w *Worker) Results(uid types.UID) []Result {
	w.mu.Lock()
	defer w.mu.Unlock()
	if q := w.queues[uid]; q != nil {
		return q.results()
	}
	return nil
}

// NeedLeaderElection makes a manager run the Worker on the leader only.
func (w *Worker) NeedLeaderElection() bool { return true }

// Start sends until ctx ends; it returns when nothing is in flight any more.
func (w *Worker) Start(ctx context.Context) error {
	var flights sync.WaitGroup
	defer flights.Wait()
	for {
		var due []flight
		wait := idle
		if ctx.Err() == nil {
			due, wait = w.takeOff()
		}
		for _, f := range due {
			flights.Go(func() { w.land(w.send(ctx, f)) })
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-w.kick:
		case <-timer.C:
		}
		timer.Stop()
	}
}

func (w *Worker) wake() {
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

// flight is a note on its way.
type flight struct {
	uid      types.UID
	notifier types.NamespacedName
	id       ident
	note     Note
	at       time.Time            // of the transition
	source   types.NamespacedName // that brought the Rollout
}

// takeOff marks all notes that can be sent now as on their way, and says how long nothing else will be due.
func (w *Worker) takeOff() ([]flight, time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.cfg.Now()
	var out []flight
	for w.flying < maxInFlight {
		uid, it := w.earliest(now)
		if it == nil {
			break
		}
		key := w.queues[uid].notifier(it)
		it.flying, w.busy[key] = true, true
		w.flying++
		note := it.note
		note.Ref, note.Again = w.queues[uid].ref(it), it.older || it.tries > 0
		out = append(out, flight{uid: uid, notifier: key, id: it.id, note: note, at: it.at, source: w.queues[uid].source})
	}
	return out, w.next(now)
}

// earliest gives the head of a stream that is due, the one that waits longest; nil if there is none.
func (w *Worker) earliest(now time.Time) (types.UID, *item) {
	var best *item
	var of types.UID
	for uid, q := range w.queues {
		for _, it := range q.heads() {
			if it.due.After(now) || w.busy[q.notifier(it)] {
				continue
			}
			if best == nil || it.before(best) {
				best, of = it, uid
			}
		}
	}
	return of, best
}

// next says when the next head is due. Heads of busy Notifiers are looked at when their flight lands.
func (w *Worker) next(now time.Time) time.Duration {
	wait := idle
	for _, q := range w.queues {
		for _, it := range q.heads() {
			if !w.busy[q.notifier(it)] {
				wait = min(wait, it.due.Sub(now))
			}
		}
	}
	return max(wait, time.Millisecond)
}

var errSuspended = errors.New("suspended")

// landing is what a try brought.
type landing struct {
	flight
	of         types.UID // of the Notifier
	generation int64     // of the Notifier
	print      string    // of what the sink was made of
	receipt    Receipt
	sink       string // its kind; empty: it was not reached for
	took       time.Duration
	err        error // ErrNotFound: there is no such Notifier; errSuspended: it does not want to send
}

// send tries once.
func (w *Worker) send(ctx context.Context, f flight) (out landing) {
	n, err := w.cfg.Notifiers.Notifier(ctx, f.notifier)
	if err != nil {
		return landing{flight: f, err: err}
	}
	out = landing{flight: f, of: n.UID, generation: n.Generation, err: errSuspended}
	w.met(f.notifier, sinkOf(n))
	if n.Spec.Suspend || stopped(n) || !w.permits(n) {
		return out
	}
	began := w.cfg.Now()
	defer func() { out.sink, out.took = sinkOf(n), w.cfg.Now().Sub(began) }()
	ctx, cancel := context.WithTimeout(ctx, 2*sendTimeout+timeoutOf(n))
	defer cancel()
	sink, err := w.cfg.Opener.Open(ctx, n)
	if err != nil {
		out.err = err
		return out
	}
	out.print = print(n, sink)
	note, lacks := Prepare(n, linked(f.note, w.cfg.Links))
	note.Report.Git = w.origin(ctx, f)
	out.receipt, out.err = sink.Send(ctx, note)
	if out.receipt.Lacks == "" {
		out.receipt.Lacks = lacks
	}
	return out
}

// origin completes what a note says of Git by the URL of the Source that brought the Rollout.
func (w *Worker) origin(ctx context.Context, f flight) *view.Git {
	git := f.note.Report.Git
	if git == nil || git.URL != "" || w.cfg.Sources == nil || f.source.Name == "" {
		return git
	}
	src, err := w.cfg.Sources.Source(ctx, f.source)
	if err != nil {
		return git // the Source is gone, or cannot be read: the commit is known all the same
	}
	whole := *git
	whole.URL = src.Spec.URL
	return &whole
}

// stopped reports that the receiver wanted nothing any more, and that the Notifier was not changed since.
func stopped(n *v1alpha1.Notifier) bool {
	c := v1alpha1.Condition(n.Status.Conditions, v1alpha1.ConditionReady)
	return c != nil && c.Reason == v1alpha1.ReasonGone && c.ObservedGeneration == n.Generation
}

func timeoutOf(n *v1alpha1.Notifier) time.Duration {
	if n.Spec.Webhook != nil {
		return n.Spec.Webhook.Timeout.Or(sendTimeout)
	}
	return sendTimeout
}

// land records what a try brought and tells those who want to know.
func (w *Worker) land(l landing) {
	w.tried(l)
	if q := w.record(l); q != nil && q.settled != nil {
		q.settled(q.of)
	}
	if f, ok := errors.AsType[*Failure](l.err); ok && f.Hope == Dropped && w.cfg.Dropped != nil {
		w.cfg.Dropped(l.notifier, l.note, l.err)
	}
	w.cfg.Felt(l.notifier)
	w.wake()
}

// record gives the queue whose results have news, if the note is still known.
func (w *Worker) record(l landing) *queue {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flying--
	delete(w.busy, l.notifier)
	q := w.queues[l.uid]
	if q == nil {
		return nil
	}
	it := q.find(l.id)
	if it != nil {
		it.flying = false
		if it.ref = l.receipt.Ref; it.ref != "" {
			q.refs = Keep(q.refs, []Result{{Attempt: it.id.attempt, Notifier: it.id.notifier, Ref: it.ref}})
		}
		it.tried(l.err, l.print, w.cfg.Now())
		q.note(it)
	}
	w.feel(l, it)
	w.meters.counted(l, it == nil || it.final)
	if it == nil {
		return nil
	}
	return q
}

// feel keeps the health of a Notifier after a try to send it; it is nil where the outbox let go of it meanwhile.
func (w *Worker) feel(l landing, it *item) {
	err := l.err
	if errors.Is(err, ErrNotFound) {
		delete(w.health, l.notifier)
		return
	}
	if f, ok := errors.AsType[*Failure](err); ok && f.Hope == Dropped {
		err = nil // the receiver works: it has no place for this note
	}
	h, now := w.of(l.notifier), w.cfg.Now()
	if l.of != "" && h.UID != l.of {
		*h = Health{UID: l.of}
	}
	h.Pending, h.Generation = w.pending(l.notifier), l.generation
	switch {
	case err == nil:
		h.LastSuccess, h.Reason, h.Message, h.Lacks = now, "", "", problem.Clean(l.receipt.Lacks, v1alpha1.MaxMessage)
	case !errors.Is(err, errSuspended):
		h.Reason, h.Message = failure(err).Reason, problem.Clean(err.Error(), v1alpha1.MaxMessage)
	}
	if it != nil && it.final && err != nil {
		h.bury(v1alpha1.DeadLetter{
			ID: it.note.ID, Kind: it.note.Report.Note, Rollout: it.note.subject().Name, At: v1time(now),
			LastError: problem.Clean(err.Error(), v1alpha1.MaxMessage),
		})
	}
}
