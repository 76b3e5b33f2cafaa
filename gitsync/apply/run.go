package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/gitsync"
	"github.com/sluice-dev/sluice/gitsync/watch"
)

const (
	settleTime = 30 * time.Second // for new definitions and namespaces to become usable
	settlePoll = 50 * time.Millisecond
)

// Apply implements gitsync.Applier: first every unit is tried as a whole, then the stages are applied one after the
// other. A unit that the server refuses is left as it was. Objects whose definition or namespace comes with the same
// set are tried once that is there.
func (a *Applier) Apply(ctx context.Context, set gitsync.Set) (gitsync.Outcome, error) {
	r := newRun(a, set)
	err := r.each(ctx, func(*task) bool { return true }, r.inSlot(r.try))
	for stage := gitsync.StageFirst; stage <= gitsync.StageRollouts && err == nil; stage++ {
		err = r.each(ctx, func(t *task) bool { return t.item.Stage == stage && !t.unchanged && !t.late }, r.inSlot(r.apply))
		if err == nil && stage == gitsync.StageDefinitions {
			err = r.settle(ctx)
		}
	}
	return r.outcome(), err
}

// run is one Apply under way.
type run struct {
	applier *Applier
	set     gitsync.Set
	tasks   []task
	brings  map[string]bool // kinds and namespaces that the set itself defines
	out     map[int]bool    // units with a refusal or trouble
}

func newRun(a *Applier, set gitsync.Set) *run {
	r := &run{applier: a, set: set, tasks: make([]task, len(set.Items)), brings: map[string]bool{}, out: map[int]bool{}}
	for i, it := range set.Items {
		r.tasks[i] = task{item: it, hash: gitsync.Hash(it.Object)}
		switch it.Object.ID.GroupKind() {
		case "CustomResourceDefinition.apiextensions.k8s.io":
			r.brings[definedKind(it.Object)] = true
		case "Namespace":
			r.brings["namespace "+it.Object.ID.Name] = true
		}
	}
	return r
}

// definedKind gives "Kind.group" of a CustomResourceDefinition.
func definedKind(o gitsync.Object) string {
	kind, _, _ := unstructured.NestedString(o.Content, "spec", "names", "kind")
	group, _, _ := unstructured.NestedString(o.Content, "spec", "group")
	return kind + "." + group
}

// task is one item and what became of it. One goroutine at a time works on it.
type task struct {
	item      gitsync.Item
	hash      string // of all that is sent, labels and annotations of ours included
	session   *conditional
	unchanged bool
	late      bool // cannot be tried before something else of the set is there
	done      bool
	created   bool
	tidied    bool // nothing that Git could say differs, only whose the fields are
	uid       string
	drift     *gitsync.Drift
	refusal   *gitsync.Refusal
	err       error
}

// each works on the chosen tasks of the units that are still in, some at a time. What the server says of one object is
// kept in the task; a server that cannot be talked to ends the work.
func (r *run) each(ctx context.Context, chosen func(*task) bool, work func(context.Context, *task) error) error {
	group, running := errgroup.WithContext(ctx)
	group.SetLimit(r.applier.parallel)
	for i := range r.tasks {
		t := &r.tasks[i]
		if r.out[t.item.Unit] || !chosen(t) {
			continue
		}
		group.Go(func() error {
			err := work(running, t)
			if t.refusal = refusalOf(t.item, err); t.refusal == nil && answered(err) {
				t.err = err
				return nil
			}
			if t.refusal != nil {
				return nil
			}
			return err
		})
	}
	err := group.Wait()
	for _, t := range r.tasks {
		if t.refusal != nil || t.err != nil {
			r.out[t.item.Unit] = true
		}
	}
	if err != nil && preempted(ctx) {
		return fmt.Errorf("applying: %w", gitsync.ErrPreempted)
	}
	return err
}

func (r *run) inSlot(work func(context.Context, *task) error) func(context.Context, *task) error {
	return func(ctx context.Context, t *task) error {
		return r.applier.do(ctx, func(ctx context.Context) error { return work(ctx, t) })
	}
}

func preempted(ctx context.Context) bool { return errors.Is(context.Cause(ctx), gitsync.ErrPreempted) }

// answered reports whether err is an answer of the server, not the lack of one.
func answered(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && !apierrors.IsUnauthorized(err)
}

// try compares and dry-runs one object.
func (r *run) try(ctx context.Context, t *task) error {
	id := t.item.Object.ID
	known := r.applier.recall(id)
	same := known.hash != "" && known.hash == t.hash
	if same && !r.set.Full {
		if mark, uid := r.mark(ctx, t); mark == known.mark {
			t.unchanged, t.uid = true, uid
			return nil
		}
	}
	s := resumed(r.applier.client, t.item)
	if t.late { // what it needs has come since then
		s = session(r.applier.client)
	}
	equal, fields, err := s.diff(ctx, t.item)
	if err != nil && !t.late && r.isLate(id, err) {
		t.late = true
		return nil
	}
	t.late = false
	if err != nil {
		r.applier.forget(id)
		return trouble(id, err)
	}
	if equal {
		t.unchanged, t.uid = true, string(s.live.GetUID())
		r.applier.remember(id, memoOf(t.hash, s.live, id, t.item.Object.Version))
		return nil
	}
	t.session = s.again()
	t.tidied = same && s.exists && len(fields) == 0
	if same && !t.tidied {
		t.drift = &gitsync.Drift{ID: id}
		if s.exists {
			t.drift.Fields, t.drift.Managers = fields, managers(s.live, fields)
		}
	}
	return nil
}

// mark gives the mark and uid of the live object: from the watch, else from the server; none where it cannot be had.
func (r *run) mark(ctx context.Context, t *task) (mark, uid string) {
	if s, known := r.applier.stamps.Stamp(ctx, t.item.Object.ID, t.item.Object.Version); known {
		return s.Mark, s.UID
	}
	o := blank(t.item.Object.ID, t.item.Object.Version)
	if err := r.applier.client.Get(ctx, client.ObjectKeyFromObject(o), o); err != nil {
		return "", ""
	}
	s := watch.StampOf(o)
	return s.Mark, s.UID
}

// isLate reports whether an object was refused only because what it needs comes with this very set.
func (r *run) isLate(id gitsync.ID, err error) bool {
	return r.notServed(id, err) || (apierrors.IsNotFound(err) && r.brings["namespace "+id.Namespace])
}

// notServed reports whether the server does not know a kind yet that this set defines.
func (r *run) notServed(id gitsync.ID, err error) bool {
	return r.brings[id.GroupKind()] && (meta.IsNoMatchError(err) || unserved(err))
}

// settle waits until what the set defines can be used, then tries what had to wait for it.
func (r *run) settle(ctx context.Context) error {
	late := func(t *task) bool { return t.late }
	if !slices.ContainsFunc(r.tasks, func(t task) bool { return t.late }) {
		return nil
	}
	err := r.each(ctx, func(t *task) bool { return t.item.Stage == gitsync.StageDefinitions }, r.usable)
	if err != nil {
		return err
	}
	return r.each(ctx, late, r.retry)
}

// retry tries again what had to wait. A definition is called established a little before its kind is served.
func (r *run) retry(ctx context.Context, t *task) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, settlePoll, settleTime, true, func(ctx context.Context) (bool, error) {
		t.late = true
		last = r.inSlot(r.try)(ctx, t)
		return !r.notServed(t.item.Object.ID, last), nil
	})
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return last
}

// usable waits until a definition is established or a namespace is active.
func (r *run) usable(ctx context.Context, t *task) error {
	o := blank(t.item.Object.ID, t.item.Object.Version)
	var last error
	err := wait.PollUntilContextTimeout(ctx, settlePoll, settleTime, true, func(ctx context.Context) (bool, error) {
		last = r.applier.client.Get(ctx, client.ObjectKeyFromObject(o), o)
		return last == nil && ready(o), nil
	})
	if err != nil && ctx.Err() == nil {
		return trouble(t.item.Object.ID, apierrors.NewTimeoutError(fmt.Sprintf("not usable after %s", settleTime), 1))
	}
	return errors.Join(err, ctx.Err())
}

func ready(o *unstructured.Unstructured) bool {
	if o.GetKind() == "Namespace" {
		phase, _, _ := unstructured.NestedString(o.Object, "status", "phase")
		return phase == "Active"
	}
	conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	return slices.ContainsFunc(conditions, func(c any) bool {
		m, ok := c.(map[string]any)
		return ok && m["type"] == "Established" && m["status"] == "True"
	})
}

// apply writes one object; when somebody else wrote in between it reads again.
func (r *run) apply(ctx context.Context, t *task) error {
	id := t.item.Object.ID
	var err error
	for range conflictTries {
		s := t.session
		if t.session = nil; s == nil {
			s = session(r.applier.client)
		}
		if err = s.apply(ctx, t.item); apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
			continue
		}
		if err != nil {
			break
		}
		t.done, t.created, t.uid = true, s.created, string(s.live.GetUID())
		r.applier.remember(id, memoOf(t.hash, s.live, id, t.item.Object.Version))
		return nil
	}
	r.applier.forget(id)
	return trouble(id, err)
}

// outcome gathers the tasks. An object that turned up between planning and applying is adopted, not created.
func (r *run) outcome() gitsync.Outcome {
	var out gitsync.Outcome
	for _, t := range r.tasks {
		id := t.item.Object.ID
		if t.refusal != nil {
			out.Refused = append(out.Refused, *t.refusal)
		}
		if t.err != nil {
			out.Troubled = append(out.Troubled, gitsync.Trouble{ID: id, Unit: t.item.Unit, Err: t.err})
		}
		if !t.done && !t.unchanged {
			continue
		}
		e, _ := r.set.Union.Find(id)
		e.ID, e.Version, e.UID = id, t.item.Object.Version, t.uid
		switch {
		case t.created:
			e.Origin = gitsync.Created
		case e.Origin == gitsync.Pending:
			e.Origin = gitsync.Adopted
		}
		out.Confirmed = append(out.Confirmed, e)
		if t.done && !t.tidied {
			out.Changed = append(out.Changed, id)
		}
		if t.done && t.drift != nil {
			out.Drifted = append(out.Drifted, *t.drift)
		}
	}
	slices.SortFunc(out.Changed, gitsync.CompareID)
	return out
}
