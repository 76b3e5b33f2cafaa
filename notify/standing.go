package notify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// maxHidden is the longest Secret, in bytes, that is looked for in answers; certificates are longer, and no secret.
const maxHidden = 2048

// Printed is a sink that knows what it was made of.
type Printed interface {
	// Print changes with the Secrets that the sink was made of, and tells nothing of them.
	Print() string
}

// print tells one state of a Notifier and of its Secrets from another.
func print(n *v1alpha1.Notifier, s Sink) string {
	out := fmt.Sprintf("%s/%d/", n.UID, n.Generation)
	if p, ok := s.(Printed); ok {
		out += p.Print()
	}
	return out
}

// Opened tells that the sink of a Notifier could be made: notes whose failure stands are tried again at once if anything
// that the sink is made of has changed since.
func (w *Worker) Opened(n *v1alpha1.Notifier, s Sink) {
	if w.release(types.NamespacedName{Namespace: n.Namespace, Name: n.Name}, print(n, s)) {
		w.wake()
	}
}

func (w *Worker) release(key types.NamespacedName, now string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	any := false
	for _, q := range w.queues {
		for _, it := range q.items {
			if it.stands != "" && it.stands != now && q.notifier(it) == key {
				it.due, it.stands, any = w.cfg.Now(), "", true
			}
		}
	}
	return any
}

// printed is a sink with its print, that tells nothing of what its Secrets hold.
type printed struct {
	Sink
	print   string
	secrets []string
}

func newPrinted(s Sink, read [][]byte) *printed {
	p := &printed{Sink: s, print: sealed(read...)}
	for _, data := range read {
		if len(data) <= maxHidden {
			p.secrets = append(p.secrets, strings.Fields(string(data))...)
		}
	}
	return p
}

// Print implements Printed.
func (p *printed) Print() string { return p.print }

// Send implements Sink. Receivers may repeat what they were sent.
func (p *printed) Send(ctx context.Context, n Note) (Receipt, error) {
	receipt, err := p.Sink.Send(ctx, n)
	receipt.Lacks = problem.Hide(receipt.Lacks, p.secrets...)
	if f, ok := errors.AsType[*Failure](err); ok {
		f.Err = problem.Conceal(f.Err, p.secrets...)
		return receipt, f
	}
	return receipt, problem.Conceal(err, p.secrets...)
}

func sealed(parts ...[]byte) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:", len(p))
		h.Write(p)
	}
	return hex.EncodeToString(h.Sum(nil))
}
