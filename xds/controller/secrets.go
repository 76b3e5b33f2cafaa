package controller

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/istio"
)

// secretWait is how long a class is held back for Secrets that have not been read yet. What it was published before
// stays. After that, one that cannot be read counts as missing.
const secretWait = 5 * time.Second

// SecretReader lists and watches objects of the cluster, as client.WithWatch does.
type SecretReader interface {
	List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error
	Watch(ctx context.Context, list client.ObjectList, opts ...client.ListOption) (apiwatch.Interface, error)
}

// secrets follows the Secrets that objects name, each by a watch of its own that asks for that name only. So the rights
// to these names are enough, and no other Secret ever reaches this process.
type secrets struct {
	reader SecretReader // nil: every Secret counts as missing
	log    *slog.Logger
	now    func() time.Time
	set    func(types.NamespacedName, *corev1.Secret) // nil: it does not exist
	wake   func()

	running sync.WaitGroup
	mu      sync.Mutex // guards what follows
	watched map[types.NamespacedName]*secretWatch
}

// secretWatch is the watch of one Secret.
type secretWatch struct {
	stop   context.CancelFunc
	since  time.Time
	synced func() bool // what the server says has been seen
	failed bool        // the server refuses to tell
	seen   sightings
}

// want makes the watches those of the given names.
func (s *secrets) want(ctx context.Context, names []types.NamespacedName) {
	if s.reader == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, w := range s.watched {
		if !slices.Contains(names, name) {
			w.stop()
			delete(s.watched, name)
			s.set(name, nil)
		}
	}
	for _, name := range names {
		if s.watched[name] == nil {
			s.watched[name] = s.begin(ctx, name)
		}
	}
}

// begin watches one Secret until it is stopped or ctx ends.
func (s *secrets) begin(ctx context.Context, name types.NamespacedName) *secretWatch {
	ctx, stop := context.WithCancel(ctx)
	only := []client.ListOption{client.InNamespace(name.Namespace), client.MatchingFieldsSelector{Selector: fields.OneTermEqualSelector(metav1.ObjectNameField, name.Name)}}
	source := &toolscache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			list := &corev1.SecretList{}
			return list, s.reader.List(ctx, list, append(slices.Clone(only), &client.ListOptions{Raw: &o})...)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (apiwatch.Interface, error) {
			return s.reader.Watch(ctx, &corev1.SecretList{}, append(slices.Clone(only), &client.ListOptions{Raw: &o})...)
		},
	}
	informer := toolscache.NewSharedIndexInformer(source, &corev1.Secret{}, 0, toolscache.Indexers{})
	w := &secretWatch{stop: stop, since: s.now(), synced: func() bool { return false }}
	take := func(o any) {
		if secret, ok := o.(*corev1.Secret); ok && ctx.Err() == nil {
			s.set(name, secret)
			w.seen.put(secret)
		}
	}
	told, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc: take, UpdateFunc: func(_, o any) { take(o) },
		DeleteFunc: func(any) {
			if ctx.Err() == nil {
				s.set(name, nil)
				w.seen.drop(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name}})
			}
		},
	})
	if err == nil {
		w.synced = told.HasSynced
		err = informer.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *toolscache.Reflector, err error) { s.refused(w, name, err) })
	}
	if err != nil { // only an informer that runs already says so
		panic("watching a Secret: " + err.Error())
	}
	s.running.Go(func() { informer.RunWithContext(ctx) })
	s.running.Go(func() {
		if toolscache.WaitForCacheSync(ctx.Done(), told.HasSynced) {
			s.wake()
		}
	})
	return w
}

// refused notes that a Secret cannot be read now; its watch tries on.
func (s *secrets) refused(w *secretWatch, name types.NamespacedName, err error) {
	s.mu.Lock()
	told := w.failed || w.synced()
	w.failed = true
	s.mu.Unlock()
	if !told {
		s.log.Warn("reading a Secret that an object names; it counts as missing until it can be read", "namespace", name.Namespace, "reason", name.Name, "err", err)
		s.wake()
	}
}

// settled reports whether it is known what all of the Secrets hold, or long enough that it is not.
func (s *secrets) settled(names []types.NamespacedName) bool {
	if s.reader == nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return !slices.ContainsFunc(names, func(name types.NamespacedName) bool {
		w := s.watched[name]
		return w == nil || !w.synced() && !w.failed && s.now().Sub(w.since) < secretWait
	})
}

// close ends all watches and waits for them.
func (s *secrets) close() {
	s.mu.Lock()
	for _, w := range s.watched {
		w.stop()
	}
	s.mu.Unlock()
	s.running.Wait()
}

// follow watches the Secrets that the classes need, and gives the classes that have to wait for some.
func (s *secrets) follow(ctx context.Context, in istio.Input, classes []ir.ProxyClass) map[ir.ProxyClass]bool {
	var all []types.NamespacedName
	by := map[ir.ProxyClass][]types.NamespacedName{}
	for _, of := range classes {
		for _, n := range istio.SecretNames(in, of) {
			by[of] = append(by[of], types.NamespacedName{Namespace: n.Namespace, Name: n.Name})
		}
		all = append(all, by[of]...)
	}
	s.want(ctx, all)
	waiting := map[ir.ProxyClass]bool{}
	for _, of := range classes {
		waiting[of] = !s.settled(by[of])
	}
	return waiting
}
