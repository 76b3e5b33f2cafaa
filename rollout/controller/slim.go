package controller

import (
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// How many words are remembered, until that begins anew, and how long they are at most: longer ones hold numbers.
const (
	maxWords = 4096
	longWord = 72
)

// Slim makes a transform for a cache that holds Rollouts, of which there may be ten thousand: it leaves out who wrote which
// field, which nothing here reads, and the room that decoding leaves at the ends of lists; and it lets objects share the
// words that most of them hold. Other objects stay as they are.
func Slim() func(any) (any, error) {
	w := &words{}
	return func(o any) (any, error) {
		ro, ok := o.(*v1alpha1.Rollout)
		if !ok {
			return o, nil
		}
		ro.ManagedFields = nil
		out := ro.DeepCopy() // its lists are as long as what they hold
		w.mu.Lock()
		defer w.mu.Unlock()
		w.share(out)
		return out, nil
	}
}

// words are strings of which one copy is enough.
type words struct {
	mu   sync.Mutex // guards all
	have map[string]string
}

func (w *words) one(s string) string {
	if len(s) == 0 || len(s) > longWord {
		return s
	}
	if known, ok := w.have[s]; ok {
		return known
	}
	if w.have == nil || len(w.have) >= maxWords {
		w.have = make(map[string]string, maxWords)
	}
	w.have[s] = s
	return s
}

// share replaces what many Rollouts have in common. The object's own name and host are its own.
func (w *words) share(ro *v1alpha1.Rollout) {
	ro.Kind, ro.APIVersion, ro.Namespace = w.one(ro.Kind), w.one(ro.APIVersion), w.one(ro.Namespace)
	for i := range ro.Finalizers {
		ro.Finalizers[i] = w.one(ro.Finalizers[i])
	}
	ro.Annotations, ro.Labels = w.pairs(ro.Annotations), w.pairs(ro.Labels)
	ro.Spec.Subset = w.one(ro.Spec.Subset)
	for i := range ro.Spec.Analysis.Metrics {
		ro.Spec.Analysis.Metrics[i].Name = w.one(ro.Spec.Analysis.Metrics[i].Name)
	}
	s := ro.Status
	if s == nil {
		return
	}
	s.Phase, s.Outcome, s.Reason = v1alpha1.Phase(w.one(string(s.Phase))), v1alpha1.Outcome(w.one(string(s.Outcome))), w.one(s.Reason)
	s.Stable.Name = w.one(s.Stable.Name)
	for i := range s.Conditions {
		c := &s.Conditions[i]
		c.Type, c.Reason, c.Message = w.one(c.Type), w.one(c.Reason), w.one(c.Message)
		c.Status = metav1.ConditionStatus(w.one(string(c.Status)))
	}
}

// pairs shares names and values.
func (w *words) pairs(m map[string]string) map[string]string {
	if m == nil {
		return nil
	}
	out := make(map[string]string, len(m))
	for k, v := range m {
		out[w.one(k)] = w.one(v)
	}
	return out
}
