package apply

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/sluice-dev/sluice/gitsync"
)

// FieldManager owns the fields that Git sets.
const FieldManager = "sluice-gitsync"

const (
	parallel       = 8
	requestTimeout = 30 * time.Second
	conflictTries  = 5
)

// Appliers hands out one Applier per identity. It is safe for concurrent use.
type Appliers struct {
	config *rest.Config
	mapper meta.RESTMapper

	mu    sync.Mutex
	known map[string]*Applier // by user name; guarded by mu
}

// New makes Appliers for the cluster of config, whose user must be allowed to impersonate.
func New(config *rest.Config) (*Appliers, error) {
	own, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("client for the cluster: %w", err)
	}
	mapper, err := apiutil.NewDynamicRESTMapper(config, own)
	if err != nil {
		return nil, fmt.Errorf("kinds of the cluster: %w", err)
	}
	return &Appliers{config: config, mapper: mapper, known: map[string]*Applier{}}, nil
}

// As gives the Applier that acts as a service account.
func (a *Appliers) As(namespace, account string) (gitsync.Applier, error) {
	user := "system:serviceaccount:" + namespace + ":" + account
	a.mu.Lock()
	defer a.mu.Unlock()
	if known := a.known[user]; known != nil {
		return known, nil
	}
	config := rest.CopyConfig(a.config)
	config.Timeout = requestTimeout
	config.Impersonate = rest.ImpersonationConfig{UserName: user,
		Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"}}
	c, err := client.New(config, client.Options{Mapper: a.mapper})
	if err != nil {
		return nil, fmt.Errorf("client for %s: %w", user, err)
	}
	made := &Applier{client: c, memory: map[gitsync.ID]memo{}}
	a.known[user] = made
	return made, nil
}

// Applier implements gitsync.Applier.
type Applier struct {
	client client.Client

	mu     sync.Mutex
	memory map[gitsync.ID]memo // what our last apply left; guarded by mu
}

// memo is what is known of an object after it was applied. An object whose hash and stamp are still these needs no request.
type memo struct{ hash, stamp string }

// stampOf identifies the applied part of a live object. Where the server counts generations, a change of the status
// does not count.
func stampOf(o *unstructured.Unstructured) string {
	if g := o.GetGeneration(); g != 0 {
		return fmt.Sprint(o.GetUID(), " ", g, " ", o.GetLabels(), " ", o.GetAnnotations())
	}
	return fmt.Sprint(o.GetUID(), " ", o.GetResourceVersion())
}

func (a *Applier) remember(id gitsync.ID, m memo) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.memory[id] = m
}

func (a *Applier) recall(id gitsync.ID) memo {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.memory[id]
}

func (a *Applier) forget(id gitsync.ID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.memory, id)
}

// Look implements gitsync.Applier: it reads the objects that exist.
func (a *Applier) Look(ctx context.Context, entries []gitsync.Entry) (map[gitsync.ID]gitsync.Live, error) {
	found := make([]*gitsync.Live, len(entries))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, e := range entries {
		group.Go(func() error {
			o := blank(e.ID, e.Version)
			err := a.client.Get(ctx, client.ObjectKeyFromObject(o), o)
			if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
				return nil
			}
			if err != nil {
				return trouble(e.ID, err)
			}
			found[i] = &gitsync.Live{UID: string(o.GetUID()), ResourceVersion: o.GetResourceVersion(),
				Object: gitsync.Object{ID: e.ID, Version: e.Version, Content: o.Object}}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	out := make(map[gitsync.ID]gitsync.Live, len(entries))
	for i, e := range entries {
		if found[i] != nil {
			out[e.ID] = *found[i]
		}
	}
	return out, nil
}

func blank(id gitsync.ID, version string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(schema.GroupVersionKind{Group: id.Group, Version: version, Kind: id.Kind})
	o.SetNamespace(id.Namespace)
	o.SetName(id.Name)
	return o
}

// Apply implements gitsync.Applier: first every unit is tried as a whole, then the stages are applied one after the
// other. A unit that the server refuses is left as it was.
func (a *Applier) Apply(ctx context.Context, set gitsync.Set) (gitsync.Outcome, error) {
	r := &run{applier: a, set: set, tasks: make([]task, len(set.Items)), refused: map[int]bool{}}
	for i, it := range set.Items {
		r.tasks[i] = task{item: it, hash: gitsync.Hash(it.Object)}
	}
	err := r.each(ctx, func(*task) bool { return true }, r.try)
	for _, t := range r.tasks {
		if t.refusal != nil {
			r.refused[t.item.Unit] = true
		}
	}
	for stage := gitsync.StageFirst; stage <= gitsync.StageRollouts && err == nil; stage++ {
		err = r.each(ctx, func(t *task) bool { return t.item.Stage == stage && !t.unchanged && !r.refused[t.item.Unit] }, r.apply)
		for _, t := range r.tasks {
			if t.refusal != nil {
				r.refused[t.item.Unit] = true
			}
		}
	}
	return r.outcome(), err
}

// run is one Apply under way.
type run struct {
	applier *Applier
	set     gitsync.Set
	tasks   []task
	refused map[int]bool
}

// task is one item and what became of it. One goroutine at a time works on it.
type task struct {
	item      gitsync.Item
	hash      string // of all that is sent, labels and annotations of ours included
	unchanged bool
	done      bool
	created   bool
	uid       string
	refusal   *gitsync.Refusal
}

// each works on the chosen tasks, some at a time. Refusals are kept in the task; the first trouble ends the work.
func (r *run) each(ctx context.Context, chosen func(*task) bool, work func(context.Context, *task) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i := range r.tasks {
		t := &r.tasks[i]
		if !chosen(t) {
			continue
		}
		group.Go(func() error {
			err := work(ctx, t)
			if refusal := refusalOf(t.item, err); refusal != nil {
				t.refusal = refusal
				return nil
			}
			return err
		})
	}
	return group.Wait()
}

// try compares and dry-runs one object.
func (r *run) try(ctx context.Context, t *task) error {
	s := session(r.applier.client)
	known := r.applier.recall(t.item.Object.ID)
	if known.hash != "" && known.hash == t.hash {
		o := blank(t.item.Object.ID, t.item.Object.Version)
		err := r.applier.client.Get(ctx, client.ObjectKeyFromObject(o), o)
		if err == nil && stampOf(o) == known.stamp {
			t.unchanged, t.uid = true, string(o.GetUID())
			return nil
		}
	}
	same, err := s.diff(ctx, t.item)
	if err != nil {
		r.applier.forget(t.item.Object.ID)
		return trouble(t.item.Object.ID, err)
	}
	if same {
		t.unchanged, t.uid = true, string(s.live.GetUID())
		r.applier.remember(t.item.Object.ID, memo{t.hash, stampOf(s.live)})
	}
	return nil
}

// apply writes one object; when somebody else wrote in between it reads again.
func (r *run) apply(ctx context.Context, t *task) error {
	var err error
	for range conflictTries {
		s := session(r.applier.client)
		if err = s.apply(ctx, t.item); apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
			continue
		}
		if err != nil {
			break
		}
		t.done, t.created, t.uid = true, s.created, string(s.live.GetUID())
		r.applier.remember(t.item.Object.ID, memo{t.hash, stampOf(s.live)})
		return nil
	}
	r.applier.forget(t.item.Object.ID)
	return trouble(t.item.Object.ID, err)
}

// outcome gathers the tasks. An object that turned up between planning and applying is adopted, not created.
func (r *run) outcome() gitsync.Outcome {
	var out gitsync.Outcome
	for _, t := range r.tasks {
		id := t.item.Object.ID
		if t.refusal != nil {
			out.Refused = append(out.Refused, *t.refusal)
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
		if t.done {
			out.Changed = append(out.Changed, id)
		}
	}
	slices.SortFunc(out.Changed, gitsync.CompareID)
	return out
}

// Prune implements gitsync.Applier: it deletes in order, each object only while it is the one that was looked at.
func (a *Applier) Prune(ctx context.Context, removals []gitsync.Removal) ([]gitsync.ID, error) {
	var gone []gitsync.ID
	for _, removal := range removals {
		o := blank(removal.ID, removal.Version)
		err := a.client.Delete(ctx, o, deletion(removal))
		switch {
		case err == nil, apierrors.IsNotFound(err), meta.IsNoMatchError(err):
			a.forget(removal.ID)
			gone = append(gone, removal.ID)
		case apierrors.IsConflict(err): // changed since it was looked at: looked at again next time
		default:
			return gone, trouble(removal.ID, err)
		}
	}
	return gone, nil
}
