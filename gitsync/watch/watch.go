package watch

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/gitsync"
)

// Watch follows kinds. It is safe for concurrent use.
type Watch struct {
	cache   cache.Cache
	changed func(owner gitsync.Owner, id gitsync.ID)

	settling  sync.Mutex // held while informers are started and stopped, which may ask the server; taken before mu
	mu        sync.Mutex
	wanted    map[gitsync.Owner][]schema.GroupVersionKind // guarded by mu
	followers map[schema.GroupVersionKind]cache.Informer  // guarded by mu
}

// New makes a Watch that sees the namespaces, all if none is given, and what has none.
func New(config *rest.Config, mapper meta.RESTMapper, namespaces ...string) (*Watch, error) {
	ours, err := labels.NewRequirement(gitsync.LabelSourceName, selection.Exists, nil)
	if err != nil {
		return nil, fmt.Errorf("selecting what Sources have applied: %w", err)
	}
	within := map[string]cache.Config{}
	for _, name := range namespaces {
		within[name] = cache.Config{}
	}
	c, err := cache.New(config, cache.Options{Mapper: mapper, DefaultLabelSelector: labels.NewSelector().Add(*ours), DefaultTransform: reduce,
		DefaultNamespaces: within, ReaderFailOnMissingInformer: true})
	if err != nil {
		return nil, fmt.Errorf("watching what Sources have applied: %w", err)
	}
	return &Watch{cache: c, changed: func(gitsync.Owner, gitsync.ID) {}, wanted: map[gitsync.Owner][]schema.GroupVersionKind{},
		followers: map[schema.GroupVersionKind]cache.Informer{}}, nil
}

// Subscribe names who is told of changes; it is called before Start, once.
func (w *Watch) Subscribe(changed func(owner gitsync.Owner, id gitsync.ID)) { w.changed = changed }

// Start follows until ctx ends.
func (w *Watch) Start(ctx context.Context) error {
	if err := w.cache.Start(ctx); err != nil {
		return fmt.Errorf("watching what Sources have applied: %w", err)
	}
	return nil
}

// Follow follows the kinds of owner's inventory and no other for it; an empty inventory ends that.
func (w *Watch) Follow(ctx context.Context, owner gitsync.Owner, have gitsync.Inventory) {
	kinds := map[schema.GroupVersionKind]bool{}
	for _, e := range have {
		if e.ID.GroupKind() != "Secret" {
			kinds[schema.GroupVersionKind{Group: e.ID.Group, Version: e.Version, Kind: e.ID.Kind}] = true
		}
	}
	w.mu.Lock()
	w.wanted[owner] = slices.Collect(maps.Keys(kinds))
	if len(kinds) == 0 {
		delete(w.wanted, owner)
	}
	w.mu.Unlock()
	w.settle(ctx)
}

// settle brings the followers to what is wanted. Those who ask for stamps do not wait for that.
func (w *Watch) settle(ctx context.Context) {
	w.settling.Lock()
	defer w.settling.Unlock()
	end, begin := w.differences()
	for _, gvk := range end {
		_ = w.cache.RemoveInformer(ctx, metadata(gvk)) // it can only fail for a kind it does not know
	}
	for _, gvk := range begin {
		w.follow(ctx, gvk)
	}
}

// differences gives the kinds that are followed for nobody, and no longer counts on them; and those that are to be followed.
func (w *Watch) differences() (end, begin []schema.GroupVersionKind) {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := map[schema.GroupVersionKind]bool{}
	for _, kinds := range w.wanted {
		for _, k := range kinds {
			all[k] = true
		}
	}
	for gvk := range w.followers {
		if !all[gvk] {
			delete(w.followers, gvk)
			end = append(end, gvk)
		}
	}
	for gvk := range all {
		if f := w.followers[gvk]; f == nil || f.IsStopped() {
			begin = append(begin, gvk)
		}
	}
	return end, begin
}

// follow starts one kind. What the cluster does not have, or does not let us watch, is repaired at the next full
// comparison only.
func (w *Watch) follow(ctx context.Context, gvk schema.GroupVersionKind) {
	informer, err := w.cache.GetInformer(ctx, metadata(gvk), cache.BlockUntilSynced(false))
	if err != nil {
		return
	}
	tell := func(o any) {
		if gone, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
			o = gone.Obj
		}
		if m, ok := o.(metav1.Object); ok {
			w.changed(ownerOf(m), gitsync.ID{Group: gvk.Group, Kind: gvk.Kind, Namespace: m.GetNamespace(), Name: m.GetName()})
		}
	}
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{AddFunc: tell, DeleteFunc: tell, UpdateFunc: func(before, after any) {
		was, okWas := before.(metav1.Object)
		is, okIs := after.(metav1.Object)
		if okWas && okIs && StampOf(was).Mark == StampOf(is).Mark {
			return
		}
		if okWas && okIs && ownerOf(was) != ownerOf(is) {
			tell(before)
		}
		tell(after)
	}})
	if err == nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.followers[gvk] = informer
	}
}

// Stamp gives the newest stamp of an object, the zero one if it does not exist or lost our label. It is not known
// while its kind is not followed.
func (w *Watch) Stamp(ctx context.Context, id gitsync.ID, version string) (s Stamp, known bool) {
	gvk := schema.GroupVersionKind{Group: id.Group, Version: version, Kind: id.Kind}
	w.mu.Lock()
	f := w.followers[gvk]
	w.mu.Unlock()
	if f == nil || f.IsStopped() || !f.HasSynced() {
		return Stamp{}, false
	}
	o := metadata(gvk)
	err := w.cache.Get(ctx, client.ObjectKey{Namespace: id.Namespace, Name: id.Name}, o)
	if err != nil {
		return Stamp{}, client.IgnoreNotFound(err) == nil
	}
	return StampOf(o), true
}

// Owned gives the live objects with the labels of owner, of all kinds that are followed for any Source, sorted; but for
// those that are annotated to be kept.
func (w *Watch) Owned(ctx context.Context, owner gitsync.Owner) []gitsync.ID {
	w.mu.Lock()
	var kinds []schema.GroupVersionKind
	for gvk, f := range w.followers {
		if !f.IsStopped() && f.HasSynced() {
			kinds = append(kinds, gvk)
		}
	}
	w.mu.Unlock()
	found := map[gitsync.ID]bool{} // a kind may be followed in two versions
	for _, gvk := range kinds {
		list := &metav1.PartialObjectMetadataList{}
		list.SetGroupVersionKind(gvk.GroupVersion().WithKind(gvk.Kind + "List"))
		err := w.cache.List(ctx, list, client.MatchingLabels{gitsync.LabelSourceNamespace: owner.Namespace, gitsync.LabelSourceName: owner.Name})
		if err != nil {
			continue // not followed any more
		}
		for _, o := range list.Items {
			if o.Annotations[gitsync.AnnotationPrune] != "disabled" {
				found[gitsync.ID{Group: gvk.Group, Kind: gvk.Kind, Namespace: o.Namespace, Name: o.Name}] = true
			}
		}
	}
	return slices.SortedFunc(maps.Keys(found), gitsync.CompareID)
}

func metadata(gvk schema.GroupVersionKind) *metav1.PartialObjectMetadata {
	o := &metav1.PartialObjectMetadata{}
	o.SetGroupVersionKind(gvk)
	return o
}

func ownerOf(o metav1.Object) gitsync.Owner {
	l := o.GetLabels()
	return gitsync.Owner{Namespace: l[gitsync.LabelSourceNamespace], Name: l[gitsync.LabelSourceName]}
}

// reduce keeps of an object what a stamp and its owner need.
func reduce(o any) (any, error) {
	m, ok := o.(*metav1.PartialObjectMetadata)
	if !ok || kept(m) != "" {
		return o, nil
	}
	owner, stamp := ownerOf(m), StampOf(m)
	small := &metav1.PartialObjectMetadata{TypeMeta: m.TypeMeta, ObjectMeta: metav1.ObjectMeta{Namespace: m.Namespace, Name: m.Name, UID: m.UID,
		ResourceVersion: m.ResourceVersion, ManagedFields: []metav1.ManagedFieldsEntry{{Manager: stamp.Mark, Operation: marking}},
		Annotations: map[string]string{gitsync.AnnotationPrune: m.Annotations[gitsync.AnnotationPrune]},
		Labels:      map[string]string{gitsync.LabelSourceNamespace: owner.Namespace, gitsync.LabelSourceName: owner.Name}}}
	return small, nil
}
