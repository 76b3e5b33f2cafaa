package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// AnnotationEpoch is where the lease keeps the newest epoch that was taken.
const AnnotationEpoch = "sluice.dev/epoch"

// statusPage is how many Rollouts one read of the list brings.
const statusPage = 250

// ErrFenced is that another process leads: it took a higher epoch.
var ErrFenced = errors.New("another process took a higher epoch: this one writes nothing any more")

// fence numbers the time in which this process leads. Its epoch is higher than all before it, stored on the lease before
// anything else is written, and carried by every status write. A lease alone is no lock: whoever was stopped for longer
// than it lasts believes to have it. Such a process meets a higher epoch, or a conflict, and ends.
type fence struct {
	config *Config
	lost   chan struct{} // closed when a higher epoch was met

	mu    sync.Mutex // guards the rest
	epoch int64      // 0: not taken yet
	over  bool
}

func newFence(c *Config) *fence { return &fence{config: c, lost: make(chan struct{})} }

// take gives the epoch of this process. The first call takes it, and every call until one has.
func (f *fence) take(ctx context.Context) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		return 0, ErrFenced
	}
	if f.epoch != 0 {
		return f.epoch, nil
	}
	epoch, err := f.next(ctx)
	if err != nil {
		return 0, fmt.Errorf("taking an epoch on lease %s: %w", f.config.Lead.Lease, err)
	}
	f.epoch = epoch
	return epoch, nil
}

// next stores an epoch above all that are known, if nobody changed the lease meanwhile.
func (f *fence) next(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, f.config.Lead.Patience.Write)
	defer cancel()
	lease, err := f.lease(ctx)
	if err != nil {
		return 0, err
	}
	newest, err := f.newest(ctx)
	if err != nil {
		return 0, err
	}
	if kept, ok := lease.Annotations[AnnotationEpoch]; ok {
		n, err := strconv.ParseInt(kept, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("annotation %s: %w: remove it; the Rollouts know their epochs", AnnotationEpoch, err)
		}
		newest = max(newest, n)
	}
	metav1.SetMetaDataAnnotation(&lease.ObjectMeta, AnnotationEpoch, strconv.FormatInt(newest+1, 10))
	if lease.ResourceVersion == "" {
		err = f.config.Client.Create(ctx, lease)
	} else {
		err = f.config.Client.Update(ctx, lease)
	}
	return newest + 1, err
}

// lease reads the lease from the server. One that does not exist is made by the write: nobody but this process leads.
func (f *fence) lease(ctx context.Context) (*coordinationv1.Lease, error) {
	key := f.config.Lead.Lease
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
	err := f.config.Live.Get(ctx, key, lease)
	return lease, client.IgnoreNotFound(err)
}

// newest is the highest epoch that any status has, as the server knows it.
func (f *fence) newest(ctx context.Context) (int64, error) {
	out := int64(0)
	for _, namespace := range f.config.Lead.Namespaces {
		n, err := f.newestIn(ctx, namespace)
		if err != nil {
			return 0, err
		}
		out = max(out, n)
	}
	return out, nil
}

// newestIn is the highest epoch in a namespace; an empty name: in all.
func (f *fence) newestIn(ctx context.Context, namespace string) (int64, error) {
	out, page := int64(0), &v1alpha1.RolloutList{}
	for {
		err := f.config.Live.List(ctx, page, client.InNamespace(namespace), client.Limit(statusPage), client.Continue(page.Continue))
		if apierrors.IsResourceExpired(err) { // the list took too long for the server to remember it: from its start again
			page = &v1alpha1.RolloutList{}
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("reading the epochs of all Rollouts: %w", err)
		}
		for i := range page.Items {
			if s := page.Items[i].Status; s != nil {
				out = max(out, s.Epoch)
			}
		}
		if page.Continue == "" {
			return out, nil
		}
	}
}

// met looks at the epoch of an object. A higher one ends this process's time.
func (f *fence) met(s *v1alpha1.RolloutStatus) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s != nil && s.Epoch > f.epoch {
		f.stop()
	}
	if f.over {
		return ErrFenced
	}
	return nil
}

// end ends this process's time for another reason.
func (f *fence) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stop()
}

// stop wants the lock to be held.
func (f *fence) stop() {
	if !f.over {
		f.over = true
		close(f.lost)
	}
}

// carrying is a patch of a status that names its epoch, whether or not that changes.
type carrying struct {
	client.Patch
	epoch int64
}

// Data implements client.Patch.
func (c carrying) Data(o client.Object) ([]byte, error) {
	data, err := c.Patch.Data(o)
	if err != nil {
		return nil, err
	}
	body := map[string]json.RawMessage{}
	if err := json.Unmarshal(data, &body); err != nil {
		return nil, fmt.Errorf("reading a patch: %w", err)
	}
	status := map[string]json.RawMessage{}
	if raw, ok := body["status"]; ok {
		if err := json.Unmarshal(raw, &status); err != nil {
			return nil, fmt.Errorf("reading a patch of the status: %w", err)
		}
	}
	status["epoch"] = json.RawMessage(strconv.FormatInt(c.epoch, 10))
	if body["status"], err = json.Marshal(status); err != nil {
		return nil, err
	}
	return json.Marshal(body)
}
