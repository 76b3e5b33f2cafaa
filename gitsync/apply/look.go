package apply

import (
	"context"
	"errors"
	"maps"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/gitsync"
)

// Look implements gitsync.Applier: it reads the objects that exist, but for those that are known to be as they were.
func (a *Applier) Look(ctx context.Context, entries []gitsync.Entry) (map[gitsync.ID]gitsync.Live, []gitsync.Refusal, error) {
	found := make([]*gitsync.Live, len(entries))
	refused := make([]*gitsync.Refusal, len(entries))
	group, running := errgroup.WithContext(ctx)
	group.SetLimit(a.parallel)
	for i, e := range entries {
		if live, ok := a.unread(ctx, e); ok {
			found[i] = live
			continue
		}
		group.Go(func() error {
			return a.do(running, func(ctx context.Context) (err error) {
				found[i], err = a.read(ctx, e)
				if apierrors.IsForbidden(err) {
					refused[i] = refusalOf(gitsync.Item{Object: gitsync.Object{ID: e.ID, Version: e.Version}}, err)
					return nil
				}
				return trouble(e.ID, err)
			})
		})
	}
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	out := make(map[gitsync.ID]gitsync.Live, len(entries))
	var refusals []gitsync.Refusal
	for i, e := range entries {
		if found[i] != nil {
			out[e.ID] = *found[i]
		}
		if refused[i] != nil {
			refusals = append(refusals, *refused[i])
		}
	}
	return out, refusals, nil
}

// unread gives what is known of an object that did not change since we applied it.
func (a *Applier) unread(ctx context.Context, e gitsync.Entry) (*gitsync.Live, bool) {
	known := a.recall(e.ID)
	if known.mark == "" {
		return nil, false
	}
	stamp, ok := a.stamps.Stamp(ctx, e.ID, e.Version)
	if !ok || stamp.Mark != known.mark {
		return nil, false
	}
	live := known.live
	live.ResourceVersion = stamp.ResourceVersion
	return &live, true
}

// read gives nil for an object that does not exist. An object whose version is no longer served is read in another one.
func (a *Applier) read(ctx context.Context, e gitsync.Entry) (*gitsync.Live, error) {
	o := blank(e.ID, e.Version)
	err := a.client.Get(ctx, client.ObjectKeyFromObject(o), o)
	if meta.IsNoMatchError(err) {
		if other := a.served(e); other != "" {
			o = blank(e.ID, other)
			err = a.client.Get(ctx, client.ObjectKeyFromObject(o), o)
		}
	}
	if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	live := liveOf(o, e.ID, o.GroupVersionKind().Version)
	if o.GroupVersionKind().Version == e.Version {
		live.Seen = o
	}
	return &live, nil
}

// served gives a version other than that of e in which the cluster serves its kind, or "".
func (a *Applier) served(e gitsync.Entry) string {
	m, err := a.client.RESTMapper().RESTMapping(schema.GroupKind{Group: e.ID.Group, Kind: e.ID.Kind})
	if err != nil || m.GroupVersionKind.Version == e.Version {
		return ""
	}
	return m.GroupVersionKind.Version
}

// liveOf takes over what is planned with; the list of managers is the greater part of an object and nobody reads it later.
func liveOf(o *unstructured.Unstructured, id gitsync.ID, version string) gitsync.Live {
	content := maps.Clone(o.Object)
	if m, ok := content["metadata"].(map[string]any); ok {
		m = maps.Clone(m)
		delete(m, "managedFields")
		content["metadata"] = m
	}
	return gitsync.Live{UID: string(o.GetUID()), ResourceVersion: o.GetResourceVersion(),
		Object: gitsync.Object{ID: id, Version: version, Content: content}}
}

// Prune implements gitsync.Applier: it deletes in order, each object only while it is the one that was looked at. What may
// not be deleted stays and does not stop the others.
func (a *Applier) Prune(ctx context.Context, removals []gitsync.Removal) ([]gitsync.ID, error) {
	var gone []gitsync.ID
	var failed error
	for _, removal := range removals {
		err := a.do(ctx, func(ctx context.Context) error { return a.remove(ctx, removal) })
		switch {
		case err == nil, apierrors.IsNotFound(err), meta.IsNoMatchError(err):
			a.forget(removal.ID)
			gone = append(gone, removal.ID)
		case apierrors.IsConflict(err): // changed since it was looked at: looked at again next time
			a.forget(removal.ID)
		case apierrors.IsForbidden(err):
			failed = errors.Join(failed, trouble(removal.ID, err))
		default:
			return gone, trouble(removal.ID, err)
		}
	}
	return gone, failed
}

func (a *Applier) remove(ctx context.Context, r gitsync.Removal) error {
	err := a.client.Delete(ctx, blank(r.ID, r.Version), deletion(r))
	if meta.IsNoMatchError(err) {
		if other := a.served(gitsync.Entry{ID: r.ID, Version: r.Version}); other != "" {
			return a.client.Delete(ctx, blank(r.ID, other), deletion(r))
		}
	}
	return err
}
