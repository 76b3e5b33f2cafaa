package controller_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// stormy is the server to one whose object others change before each of its writes.
type stormy struct {
	client.Client
	before func() // each write of a status
	left   int    // how often
	writes int
}

func (s *stormy) Status() client.SubResourceWriter { return stormyStatus{s.Client.Status(), s} }

type stormyStatus struct {
	client.SubResourceWriter
	of *stormy
}

func (s stormyStatus) Patch(ctx context.Context, o client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
	if s.of.writes++; s.of.left > 0 {
		s.of.left--
		s.of.before()
	}
	return s.SubResourceWriter.Patch(ctx, o, patch, opts...)
}

// Others change the object faster than a status can be written: the rollback conflicts again and again, and is stored by the
// same pass when they rest for a moment.
func TestFault_conflictStorm(t *testing.T) {
	w := newWorld(t)
	n := 0
	storm := &stormy{Client: w.client, before: func() {
		n++
		ro := &v1alpha1.Rollout{}
		ro.Namespace, ro.Name = w.ns, "reviews"
		patch := fmt.Appendf(nil, `{"metadata":{"annotations":{"example.com/touched":"%d"}}}`, n)
		must(t, w.client.Patch(t.Context(), ro, client.RawPatch(types.MergePatchType, patch)))
	}}
	pass := w.driven(&cached{Client: storm}, nil)
	w.rollout("v1")
	must(t, pass())
	w.push("v2", "digest-v2")
	must(t, pass(), pass())
	if st := w.get().Status; st.Weight != 15 {
		t.Fatalf("%s at %d%%", st.Phase, st.Weight)
	}
	w.fleet.set(func(f *fleet) { f.nack = "no cluster" })
	storm.left, storm.writes = 10, 0
	must(t, pass())
	st := w.get().Status
	if st.Weight != 0 || st.Outcome != v1alpha1.OutcomeRolledBack || storm.writes < 11 {
		t.Errorf("%s at %d%% after %d writes", st.Phase, st.Weight, storm.writes)
	}
	if len(st.Rejected) != 1 || len(st.History) != 2 {
		t.Errorf("rejected %+v, history %+v: the attempt is to end once", st.Rejected, st.History)
	}
}

// A Rollout that is made again under its name is another one: it inherits neither rejections nor an attempt.
func TestFault_deletedAndMadeAgain(t *testing.T) {
	w := newWorld(t)
	pass := w.driven(&cached{Client: w.client}, nil)
	w.rollout("v1")
	must(t, pass())
	w.push("v2", "digest-v2")
	must(t, pass(), pass())
	w.fleet.set(func(f *fleet) { f.nack = "no cluster" })
	must(t, pass())
	w.fleet.set(func(f *fleet) { f.nack = "" })
	must(t, pass(), pass())
	was := w.get()
	if was.Status.Phase != v1alpha1.PhaseRolledBack || len(was.Status.Rejected) != 1 {
		t.Fatalf("%s, rejected %+v", was.Status.Phase, was.Status.Rejected)
	}
	must(t, w.client.Delete(t.Context(), was), pass(), pass())
	w.rollout("v1") // fails while the old one is there
	must(t, pass())
	w.push("v2", "digest-v2")
	must(t, pass(), pass())
	is := w.get()
	if is.UID == was.UID || is.Status.Attempt != 1 || is.Status.Weight != 15 || len(is.Status.Rejected) != 0 {
		t.Errorf("%s, attempt %d at %d%%, rejected %+v", is.Status.Phase, is.Status.Attempt, is.Status.Weight, is.Status.Rejected)
	}
}

// A build before this one stored less, and something that is not known any more: its attempt goes on at the step where it is.
func TestFault_statusOfAnOlderSchema(t *testing.T) {
	w := newWorld(t)
	w.rollout("v1", func(ro *v1alpha1.Rollout) {
		ro.Finalizers = []string{v1alpha1.RolloutFinalizer}
		ro.Spec.Subset, ro.Annotations[v1alpha1.AnnotationDigest] = "v2", "digest-v2"
	})
	since := time.Now().UTC().Add(-time.Minute).Format("2006-01-02T15:04:05.000000Z")
	patch := fmt.Appendf(nil, `{"status":{"epoch":3,"seq":4,"attempt":1,"phase":"Baking","outcome":"open","since":%[1]q,"step":1,"weight":15,"mood":"good",
		"traffic":{"seq":3},"stable":{"name":"v1","digest":"digest-v1"},"canary":{"name":"v2","digest":"digest-v2"},"attempted":"digest-v2",
		"plan":[{"name":"step-1","promotion":"evidence","weight":15,"bake":{"min":"1s","max":"30m"}},{"name":"step-2","promotion":"evidence","weight":100,"bake":{"min":"1s","max":"30m"}}]}}`, since)
	ro := w.get()
	must(t, w.client.Status().Patch(t.Context(), ro, client.RawPatch(types.MergePatchType, patch)))
	pass := w.driven(&cached{Client: w.client}, nil)
	must(t, pass())
	if st := w.get().Status; st.Attempt != 1 || st.Step != 1 || st.Weight != 15 || st.Epoch < 4 {
		t.Fatalf("%s, attempt %d, step %d at %d%%, epoch %d", st.Phase, st.Attempt, st.Step, st.Weight, st.Epoch)
	}
	w.prom.set(func(p *prometheus) { p.bad = 1 })
	w.fleet.set(func(f *fleet) { f.nack = "no cluster" })
	must(t, pass())
	if st := w.get().Status; st.Weight != 0 || st.Outcome != v1alpha1.OutcomeRolledBack || len(st.Rejected) != 1 || st.Rejected[0].Digest != "digest-v2" {
		t.Errorf("%s at %d%%, rejected %+v, %+v", st.Phase, st.Weight, st.Rejected, st.Conditions)
	}
}
