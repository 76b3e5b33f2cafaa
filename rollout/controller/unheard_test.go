package controller_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// deaf is the server to one who does not hear its answer: what is written is stored, or not, and nobody says so.
type deaf struct {
	client.Client
	deafened
}

type deafened struct {
	applied int // writes of a status that are stored without an answer
	lost    int // and those that are not stored either
}

var errNoAnswer = errors.New("connection reset by peer")

func (d *deaf) Status() client.SubResourceWriter { return deafStatus{d.Client.Status(), &d.deafened} }

type deafStatus struct {
	client.SubResourceWriter
	of *deafened
}

func (s deafStatus) Patch(ctx context.Context, o client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
	_, ours := o.(*v1alpha1.Rollout)
	switch {
	case ours && s.of.lost > 0:
		s.of.lost--
		return errNoAnswer
	case ours && s.of.applied > 0:
		s.of.applied--
		return errors.Join(errNoAnswer, s.SubResourceWriter.Patch(ctx, o, patch, opts...))
	}
	return s.SubResourceWriter.Patch(ctx, o, patch, opts...)
}

// The newest transition of an object that rests from then on was stored, but the answer was lost: its note is sent, and what
// happened is told, once, though nothing is written any more.
func TestWrite_storedWithoutAnAnswerIsToldOfAtRest(t *testing.T) {
	for name, silence := range map[string]deafened{"stored": {applied: 1}, "not stored": {lost: 1}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.notifier("team")
			server := &deaf{Client: w.client}
			pass := w.driven(&cached{Client: server}, nil)
			w.rollout("v1")
			must(t, pass())
			w.push("v2", "digest-v2")
			must(t, pass(), pass())
			w.fleet.set(func(f *fleet) { f.nack = "no cluster" })
			must(t, pass())
			w.fleet.set(func(f *fleet) { f.nack = "" })
			must(t, pass(), pass())
			w.push("v1", "digest-v1")
			must(t, pass(), pass())
			if st := w.get().Status; st.Phase != v1alpha1.PhaseIdle {
				t.Fatalf("%s, want the end of the attempt", st.Phase)
			}

			w.push("v2", "digest-v2") // which was rejected
			server.deafened = silence
			if err := pass(); !errors.Is(err, errNoAnswer) {
				t.Fatalf("a write without an answer gives %v", err)
			}
			must(t, pass(), pass(), pass())
			told := slices.DeleteFunc(w.reasons(), func(s string) bool { return !strings.Contains(s, "KnownRejected") })
			if len(told) != 1 {
				t.Errorf("told of %q in %q, want it once", told, w.reasons())
			}
			w.outbox.mu.Lock()
			defer w.outbox.mu.Unlock()
			if !slices.ContainsFunc(w.outbox.seen, func(id string) bool { return strings.HasSuffix(id, "team GitDrift") }) {
				t.Errorf("the outbox knows %q: nobody sends the note", w.outbox.seen)
			}
		})
	}
}
