package notify

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// MaxDeadLetters is how many notes that were given up a Notifier remembers.
const MaxDeadLetters = 20

// Health is how sending through one Notifier went since the process started.
type Health struct {
	LastSuccess time.Time // zero: none yet
	Pending     int32
	UID         types.UID // of the Notifier at the newest try: another one may have its name now
	Generation  int64     // of the Notifier at the newest try
	Reason      string    // of the newest try; empty: it succeeded, or there was none
	Message     string
	Lacks       string                // what the newest note was delivered without, and why; empty: nothing
	Dead        []v1alpha1.DeadLetter // given up since the process started, newest first
}

// Health gives the health of a Notifier.
func (w *Worker) Health(key types.NamespacedName) Health {
	w.mu.Lock()
	defer w.mu.Unlock()
	h := Health{Pending: w.pending(key)}
	if kept := w.health[key]; kept != nil {
		h = *kept
		h.Dead = slices.Clone(kept.Dead)
	}
	return h
}

// ForgetNotifier drops what is known of a Notifier that does not exist any more.
func (w *Worker) ForgetNotifier(key types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.health, key)
	delete(w.sinks, key)
}

func (h *Health) bury(d v1alpha1.DeadLetter) {
	h.Dead = slices.Insert(h.Dead, 0, d)
	h.Dead = h.Dead[:min(len(h.Dead), MaxDeadLetters)]
}

func (w *Worker) of(key types.NamespacedName) *Health {
	h := w.health[key]
	if h == nil {
		h = &Health{}
		w.health[key] = h
	}
	return h
}

// count refreshes the numbers of pending notes and gives the Notifiers whose number changed.
func (w *Worker) count(keys []types.NamespacedName) []types.NamespacedName {
	var changed []types.NamespacedName
	for _, key := range keys {
		h := w.of(key)
		if n := w.pending(key); n != h.Pending {
			h.Pending = n
			changed = append(changed, key)
		}
	}
	return changed
}

// pending counts the notes that a Notifier still has to send.
func (w *Worker) pending(key types.NamespacedName) int32 {
	n := int32(0)
	for _, q := range w.queues {
		for _, it := range q.items {
			if !it.final && q.notifier(it) == key {
				n++
			}
		}
	}
	return n
}

func v1time(t time.Time) metav1.Time { return metav1.NewTime(t.Truncate(time.Second)) }
