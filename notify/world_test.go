package notify_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/notify"
)

const uid = types.UID("0b7f3c1e-5a52-4f0b-9a44-2f6c1d3e8a90")

// world holds Notifiers and receives what is sent to them.
type world struct {
	mu        sync.Mutex
	notifiers map[string]*v1alpha1.Notifier
	answer    func(notifier string, n notify.Note) error          // nil: taken
	receipt   func(notifier string, n notify.Note) notify.Receipt // nil: none
	print     string                                              // of all sinks
	sent      []string                                            // ids that were taken, in order
	tries     []try
	now       map[string]int // in flight per Notifier
	most      map[string]int
	settled   int
}

type try struct {
	id string
	at time.Time
}

func newWorld(names ...string) *world {
	w := &world{notifiers: map[string]*v1alpha1.Notifier{}, now: map[string]int{}, most: map[string]int{}}
	for _, name := range names {
		w.notifiers[name] = &v1alpha1.Notifier{
			ObjectMeta: metav1.ObjectMeta{Namespace: "bookinfo", Name: name, Generation: 1},
			Spec:       v1alpha1.NotifierSpec{Environment: "prod-eu", Webhook: &v1alpha1.WebhookSink{}},
		}
	}
	return w
}

// Notifier implements notify.Notifiers.
func (w *world) Notifier(_ context.Context, key types.NamespacedName) (*v1alpha1.Notifier, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := w.notifiers[key.Name]; n != nil && key.Namespace == "bookinfo" {
		return n.DeepCopy(), nil
	}
	return nil, notify.ErrNotFound
}

// Open implements notify.Opener.
func (w *world) Open(_ context.Context, n *v1alpha1.Notifier) (notify.Sink, error) {
	return &sink{world: w, name: n.Name}, nil
}

type sink struct {
	world *world
	name  string
}

// Print implements notify.Printed.
func (s *sink) Print() string {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	return s.world.print
}

// Send implements notify.Sink; it takes 10 ms.
func (s *sink) Send(ctx context.Context, n notify.Note) (notify.Receipt, error) {
	w := s.world
	w.mu.Lock()
	w.now[s.name]++
	w.most[s.name] = max(w.most[s.name], w.now[s.name])
	w.tries = append(w.tries, try{n.ID, time.Now()})
	answer := w.answer
	w.mu.Unlock()
	timer := time.NewTimer(10 * time.Millisecond)
	defer timer.Stop()
	var err error
	select {
	case <-timer.C:
		if answer != nil {
			err = answer(s.name, n)
		}
	case <-ctx.Done():
		err = ctx.Err()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now[s.name]--
	if err == nil {
		w.sent = append(w.sent, n.ID)
	}
	if w.receipt != nil {
		return w.receipt(s.name, n), err
	}
	return notify.Receipt{}, err
}

func (w *world) worker() *notify.Worker {
	return notify.NewWorker(notify.WorkerConfig{
		Notifiers: w, Opener: w, Now: time.Now,
		Settled: func(types.NamespacedName) { w.mu.Lock(); w.settled++; w.mu.Unlock() },
		Felt:    func(types.NamespacedName) {},
	})
}

func (w *world) taken() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.sent...)
}

func (w *world) tried() []try {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]try(nil), w.tries...)
}

// crowd is how many notes were in flight at once at most.
func (w *world) crowd(name string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.most[name]
}

func (w *world) told() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.settled
}

// outbox is a Rollout whose attempt 3 has these seqs to tell to each Notifier.
func outbox(to []string, seqs ...int64) *v1alpha1.Rollout {
	ro := &v1alpha1.Rollout{
		ObjectMeta: metav1.ObjectMeta{Namespace: "bookinfo", Name: "reviews", UID: uid},
		Status:     &v1alpha1.RolloutStatus{Attempt: 3, Canary: &v1alpha1.VersionStatus{Name: "v3"}},
	}
	for _, seq := range seqs {
		note := v1alpha1.PendingNote{
			Kind: v1alpha1.NoteStepPassed, Attempt: 3, Seq: seq, At: metav1.NewMicroTime(time.Now()), Text: fmt.Sprint("seq ", seq),
		}
		ro.Status.Notes = notify.Append(ro.Status.Notes, note, to)
	}
	return ro
}

func id(seq int64, name string) string { return fmt.Sprintf("%s.3.%d.%s", uid, seq, name) }
