package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
)

// rewatch is the pause before a watch that ended is taken up again.
const rewatch = 500 * time.Millisecond

// errTimeout is the cause of a context that ended because --timeout had passed.
var errTimeout = errors.New("timeout")

// ended is the exit of a verb whose context ended while it waited for what.
func ended(ctx context.Context, what string, timeout time.Duration, next string) error {
	return endedBy(context.Cause(ctx), what, timeout, next)
}

// endedBy is ended of a context that ended by cause.
func endedBy(cause error, what string, timeout time.Duration, next string) error {
	if errors.Is(cause, errTimeout) {
		return &Exit{Code: ExitTimeout, Err: fmt.Errorf("%s after %v", what, timeout), Next: next}
	}
	return &Exit{Code: ExitInterrupted}
}

// observer follows one object across connections that break.
type observer struct {
	cluster *cluster
	plural  string
	name    string
	visit   func(runtime.Object) (done bool, err error)
	seen    bool
}

// observe shows visit an object of our group and each of its changes until visit is done, whose error then counts. An object that is missing or
// goes away is an Exit; the end of ctx gives its cause.
func (c *cluster) observe(ctx context.Context, plural, name string, visit func(runtime.Object) (bool, error)) error {
	w := &observer{cluster: c, plural: plural, name: name, visit: visit}
	for {
		done, err := w.round(ctx)
		switch {
		case done:
			return err
		case context.Cause(ctx) != nil:
			return context.Cause(ctx)
		case err != nil:
			return err
		}
		timer := time.NewTimer(rewatch)
		select {
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		case <-timer.C:
		}
	}
}

// round reads the object and follows its changes until visit is done or the watch breaks.
func (w *observer) round(ctx context.Context) (bool, error) {
	only := metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", w.name).String()}
	list, err := w.cluster.client.Get().Namespace(w.cluster.namespace).Resource(w.plural).VersionedParams(&only, metav1.ParameterCodec).Do(ctx).Get()
	if err != nil {
		err = failed("getting "+w.called(), err)
		if exit, ok := errors.AsType[*Exit](err); ok && exit.Code == ExitUnreachable && w.seen {
			return false, nil // it was there: the server comes back
		}
		return false, err
	}
	items, err := meta.ExtractList(list)
	if err != nil {
		return false, fmt.Errorf("getting %s: %w", w.called(), err)
	}
	if len(items) == 0 {
		return false, w.missing()
	}
	if done, err := w.show(items[0]); done || err != nil {
		return done, err
	}
	at, err := meta.ListAccessor(list)
	if err != nil {
		return false, fmt.Errorf("getting %s: %w", w.called(), err)
	}
	only.ResourceVersion, only.Watch = at.GetResourceVersion(), true
	events, err := w.cluster.client.Get().Namespace(w.cluster.namespace).Resource(w.plural).VersionedParams(&only, metav1.ParameterCodec).Watch(ctx)
	if err != nil {
		return false, nil
	}
	defer events.Stop()
	return w.listen(events)
}

func (w *observer) listen(events watch.Interface) (bool, error) {
	for e := range events.ResultChan() {
		switch e.Type {
		case watch.Deleted:
			return false, w.missing()
		case watch.Added, watch.Modified:
			if done, err := w.show(e.Object); done || err != nil {
				return done, err
			}
		case watch.Error:
			return false, nil // such as an expired resource version
		case watch.Bookmark:
		}
	}
	return false, nil
}

func (w *observer) show(o runtime.Object) (bool, error) {
	w.seen = true
	return w.visit(o)
}

// called names the object, as in "rollout reviews".
func (w *observer) called() string { return strings.TrimSuffix(w.plural, "s") + " " + w.name }

func (w *observer) missing() error {
	text := fmt.Errorf("%s does not exist in namespace %s", w.called(), w.cluster.namespace)
	if w.seen {
		text = fmt.Errorf("%s was deleted", w.called())
	}
	return &Exit{Code: ExitNotFound, Err: text, Next: "sluice get " + w.plural + " -A"}
}
