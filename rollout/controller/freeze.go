package controller

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// freezeEvery is how often the namespaces of Rollouts are looked at. Nothing but raises waits for them.
const freezeEvery = 5 * time.Second

// unread is why a namespace that nobody has looked at yet counts as frozen.
const unread = "it is not read yet"

// freezes is why each namespace that holds a Rollout forbids raises; "" where it does not. A pass never waits for the server
// because of it.
type freezes struct {
	mu    sync.Mutex // guards known
	known map[string]freeze
	news  chan struct{} // a namespace was added
}

// freeze is why a namespace forbids raises, "" where it does not, and whether it itself says so.
type freeze struct {
	why  string
	read bool
}

func newFreezes() freezes {
	return freezes{known: map[string]freeze{}, news: make(chan struct{}, 1)}
}

// of gives what is known of a namespace, and has one that is new looked at.
func (f *freezes) of(namespace string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	is, known := f.known[namespace]
	if known {
		return is.why
	}
	f.known[namespace] = freeze{why: unread}
	select {
	case f.news <- struct{}{}:
	default:
	}
	return unread
}

func (f *freezes) namespaces() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.known))
}

// set keeps what a namespace says, and reports whether that changed anything.
func (f *freezes) set(namespace, why string) bool {
	return f.put(namespace, freeze{why: why, read: true})
}

// unreadable says of a namespace that was never read why that is so, and reports whether that changed anything. Of one that
// was read, what it said then goes on.
func (f *freezes) unreadable(namespace string, err error) bool {
	return f.put(namespace, freeze{why: "it cannot be read: " + problem.Clean(err.Error(), maxMessage)})
}

func (f *freezes) put(namespace string, is freeze) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	was := f.known[namespace]
	if was.read && !is.read || was.why == is.why {
		is.why, is.read = was.why, was.read || is.read
		f.known[namespace] = is
		return false
	}
	f.known[namespace] = is
	return true
}

// watchFreezes looks at the namespaces, until ctx ends.
func (c *Controller) watchFreezes(ctx context.Context) {
	timer := time.NewTicker(freezeEvery)
	defer timer.Stop()
	for {
		for _, namespace := range c.freezes.namespaces() {
			if c.refreeze(ctx, namespace) {
				c.wakeAll(ctx, follower{matters: always(func(m concern) bool { return strings.HasPrefix(m.split.Key, namespace+"/") })})
			}
		}
		select {
		case <-c.freezes.news:
		case <-timer.C:
		case <-ctx.Done():
			return
		}
	}
}

// refreeze looks at one namespace, and reports whether there is news.
func (c *Controller) refreeze(ctx context.Context, namespace string) bool {
	why, err := c.freezeOf(ctx, namespace)
	if err != nil {
		log.FromContext(ctx).V(1).Info("a namespace cannot be read", "namespace", namespace, "err", err.Error())
		return c.freezes.unreadable(namespace, err)
	}
	return c.freezes.set(namespace, why)
}

func (c *Controller) freezeOf(ctx context.Context, namespace string) (string, error) {
	ns := &metav1.PartialObjectMetadata{}
	ns.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	ctx, cancel := context.WithTimeout(ctx, c.config.Lead.Patience.Read)
	defer cancel()
	if err := c.config.Live.Get(ctx, types.NamespacedName{Name: namespace}, ns); err != nil && !apierrors.IsNotFound(err) {
		return "", err
	}
	return ns.Annotations[v1alpha1.AnnotationFreeze], nil
}
