package controller

import (
	"context"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/gitsync"
	"github.com/sluice-dev/sluice/gitsync/decode"
)

const definitionFor = time.Minute // how long a definition of the cluster is believed before it is read again

// definitions are those of the cluster that Sources have used.
type definitions struct {
	mu    sync.Mutex
	known map[string]definition // by "Kind.group"; guarded by mu
}

type definition struct {
	decode.Definition
	read time.Time
}

// fitted checks a build. Custom kinds have the scope and the form that their definitions say, those of the same commit
// before those of the cluster. open is true where that may turn out otherwise without a change in Git: a kind that nobody
// defines yet, or content that only a definition of the cluster refuses.
func (p *pass) fitted(ctx context.Context, build gitsync.Build) (out gitsync.Build, open bool) {
	own := map[string]decode.Definition{}
	for _, o := range build.Objects {
		if d, ok := decode.ReadDefinition(o.Content); ok {
			own[d.Kind] = d
		}
	}
	out, open, cached := p.fit(ctx, build, own, false)
	if open && cached {
		out, open, _ = p.fit(ctx, build, own, true)
	}
	return out, open
}

// fit is fitted with what is known of the cluster, or, where fresh is wanted, with what it says now.
func (p *pass) fit(ctx context.Context, build gitsync.Build, own map[string]decode.Definition, fresh bool) (out gitsync.Build, open, cached bool) {
	all := make(map[string]decode.Definition, len(own))
	live := map[string]bool{}
	out = build
	out.Objects = make([]gitsync.Object, 0, len(build.Objects))
	for _, o := range build.Objects {
		kind := o.ID.GroupKind()
		if _, ok := all[kind]; !ok && p.controller.config.Decoder.Custom(o.ID) {
			d, there := own[kind]
			if !there {
				var old bool
				d, there, old = p.defined(ctx, o.ID, o.Version, fresh)
				live[kind], cached = true, cached || old
			}
			open = open || !there
			if there {
				all[kind] = d
			}
		}
		if all[kind].Cluster {
			o = clusterWide(o)
		}
		out.Objects = append(out.Objects, o)
	}
	objects, problems := p.controller.config.Decoder.With(all).Check(out, p.scope())
	out.Objects = objects
	out.Problems = slices.Concat(build.Problems, problems)
	kinds := map[string]bool{}
	for _, o := range objects {
		if live[o.ID.GroupKind()] {
			kinds[o.ID.Ref()] = true
		}
	}
	for _, f := range problems {
		open = open || (kinds[f.Object] && (f.Code == "S502" || f.Code == "S504" || f.Code == "S505"))
	}
	return out, open, cached
}

// clusterWide gives an object without a namespace: the one of the Source that it was given for want of one.
func clusterWide(o gitsync.Object) gitsync.Object {
	u := &unstructured.Unstructured{Object: o.Content}
	u = u.DeepCopy()
	u.SetNamespace("")
	o.Content, o.ID.Namespace = u.Object, ""
	return o
}

// defined gives the definition that the cluster has of a kind; old: it was read before now. One that cannot be read is none:
// the server judges such objects alone.
func (p *pass) defined(ctx context.Context, id gitsync.ID, version string, fresh bool) (d decode.Definition, there, old bool) {
	c, kind := p.controller, id.GroupKind()
	c.definitions.mu.Lock()
	known, ok := c.definitions.known[kind]
	c.definitions.mu.Unlock()
	if ok && !fresh && p.started.Sub(known.read) < definitionFor {
		return known.Definition, true, true
	}
	d, there = p.readDefinition(ctx, schema.GroupKind{Group: id.Group, Kind: id.Kind}, version)
	c.definitions.mu.Lock()
	defer c.definitions.mu.Unlock()
	if c.definitions.known == nil {
		c.definitions.known = map[string]definition{}
	}
	delete(c.definitions.known, kind)
	if there {
		c.definitions.known[kind] = definition{d, p.started}
	}
	return d, there, false
}

func (p *pass) readDefinition(ctx context.Context, kind schema.GroupKind, version string) (decode.Definition, bool) {
	mapper := p.controller.config.Client.RESTMapper()
	mapping, err := mapper.RESTMapping(kind, version)
	if meta.IsNoMatchError(err) {
		mapping, err = mapper.RESTMapping(kind)
	}
	if err != nil {
		return decode.Definition{}, false
	}
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
	err = p.controller.config.Live.Get(ctx, types.NamespacedName{Name: mapping.Resource.Resource + "." + kind.Group}, o)
	if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) { // served by another API server, or not ours to read: its scope is known at least
		return decode.Definition{Kind: kind.Kind + "." + kind.Group, Cluster: mapping.Scope.Name() == meta.RESTScopeNameRoot,
			Versions: map[string]map[string]any{version: nil, mapping.GroupVersionKind.Version: nil}}, true
	}
	if err != nil {
		return decode.Definition{}, false
	}
	return decode.ReadDefinition(o.Object)
}
