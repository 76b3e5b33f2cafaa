package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	listPage   = 500
	listWithin = 10 * time.Second // all kinds of one list
	catchUp    = time.Second      // for the informers to show what was listed; after that it is listed anew
	lookAgain  = 5 * time.Millisecond
	proveFirst = 100 * time.Millisecond // after a failed barrier before the first stream, then twice as long each time
	proveMost  = 2 * time.Second
)

// proving is what barriers need of the loop.
type proving struct {
	watched []*watch
	flushes []chan struct{} // to be closed when all that has been seen is published
}

// sightings are the versions of one kind's objects as the world has them.
type sightings struct {
	mu sync.Mutex // guards of
	of map[types.NamespacedName]string
}

func (s *sightings) put(o client.Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil {
		s.of = map[types.NamespacedName]string{}
	}
	s.of[client.ObjectKeyFromObject(o)] = o.GetResourceVersion()
}

func (s *sightings) drop(o client.Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.of, client.ObjectKeyFromObject(o))
}

// listed is what a kind really held at one time.
type listed struct {
	kind    string
	seen    *sightings
	version string // of the list
	objects map[types.NamespacedName]string
}

// shows reports whether everything listed was seen, at that version or a newer one, and nothing that was gone by then.
func (s *sightings) shows(l listed) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, version := range l.objects {
		if seen, ok := s.of[name]; !ok {
			return false, nil
		} else if order, err := resourceversion.CompareResourceVersion(seen, version); err != nil || order < 0 {
			return false, err
		}
	}
	for name, seen := range s.of {
		if _, ok := l.objects[name]; ok {
			continue
		}
		if order, err := resourceversion.CompareResourceVersion(seen, l.version); err != nil || order <= 0 {
			return false, err // deleted; what is newer than the list was created since
		}
	}
	return true, nil
}

// Barrier returns when everything that the cluster held at the time of the call is compiled and published. It asks the
// API server itself, not a cache.
func (c *Controller) Barrier(ctx context.Context) error {
	if c.config.Reader == nil {
		return errors.New("proving that the mesh is up to date: there is no way to ask the API server")
	}
	for {
		lists, err := c.list(ctx)
		if err != nil {
			return err
		}
		caught, err := c.catchUp(ctx, lists)
		if err != nil {
			return err
		}
		if caught {
			return c.flush(ctx)
		}
	}
}

// list asks for the metadata of every object of every watched kind but Pods, and for the Secrets that are in use.
func (c *Controller) list(ctx context.Context) ([]listed, error) {
	ctx, cancel := context.WithTimeout(ctx, listWithin)
	defer cancel()
	c.mu.Lock()
	watched := append([]*watch(nil), c.proving.watched...)
	c.mu.Unlock()
	var out []listed
	for _, w := range watched {
		if w.kind() == "Pod" {
			continue
		}
		one := listed{kind: w.kind(), seen: &w.seen, objects: map[types.NamespacedName]string{}}
		for _, namespace := range c.holds(w) {
			if err := c.listIn(ctx, w, namespace, &one); err != nil {
				return nil, err
			}
		}
		out = append(out, one)
	}
	secrets, err := c.secrets.list(ctx)
	return append(out, secrets...), err
}

// holds are the namespaces that are watched for a kind; an empty name: all of them.
func (c *Controller) holds(w *watch) []string {
	if len(c.config.Namespaces) == 0 {
		return []string{""}
	}
	out := slices.Clone(c.config.Namespaces)
	if w.object.GetObjectKind().GroupVersionKind().Group == istioGroup {
		out = append(out, cmp.Or(c.config.RootNamespace, "istio-system"))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// listIn adds what a namespace holds of a kind. The version of several lists is that of the first: whatever is newer was
// made since the call.
func (c *Controller) listIn(ctx context.Context, w *watch, namespace string, into *listed) error {
	version := ""
	page := &metav1.PartialObjectMetadataList{}
	page.SetGroupVersionKind(w.object.GetObjectKind().GroupVersionKind())
	for first := true; first || page.Continue != ""; first = false {
		if err := c.config.Reader.List(ctx, page, client.InNamespace(namespace), client.Limit(listPage), client.Continue(page.Continue)); err != nil {
			return fmt.Errorf("proving that the mesh is up to date: listing %s: %w", w.kind(), err)
		}
		for i := range page.Items {
			into.objects[client.ObjectKeyFromObject(&page.Items[i])] = page.Items[i].ResourceVersion
		}
		version = page.ResourceVersion
	}
	into.version = cmp.Or(into.version, version)
	return nil
}

// catchUp waits until all that was listed was seen; false: not in time.
func (c *Controller) catchUp(ctx context.Context, lists []listed) (bool, error) {
	limit := time.NewTimer(catchUp)
	defer limit.Stop()
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	for {
		shown := true
		for _, l := range lists {
			ok, err := l.seen.shows(l)
			if err != nil {
				return false, fmt.Errorf("comparing versions of %s: %w", l.kind, err)
			}
			shown = shown && ok
		}
		if shown {
			return true, nil
		}
		select {
		case <-again.C:
		case <-limit.C:
			return false, nil
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// flush returns when all that has been seen is published.
func (c *Controller) flush(ctx context.Context) error {
	done := make(chan struct{})
	c.mu.Lock()
	c.proving.flushes = append(c.proving.flushes, done)
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// admit says that streams may be served: when a barrier has passed, where the API server can be asked.
func (c *Controller) admit(ctx context.Context) {
	for wait := proveFirst; c.config.Reader != nil; wait = min(2*wait, proveMost) {
		err := c.Barrier(ctx)
		if err == nil {
			break
		}
		if ctx.Err() == nil {
			c.config.Log.Warn("no proxy is served until it is known that nothing newer exists", "err", err)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
	if c.config.Ready != nil {
		c.config.Ready()
	}
}
