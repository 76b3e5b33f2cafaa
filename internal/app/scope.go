package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// meshGroup is the group of the mesh objects, some of which count for every namespace when they are in the mesh's root.
const meshGroup = "networking.istio.io"

// scope are the namespaces that are looked at, Sluice's own among them, sorted; none: all.
func (c Config) scope() []string {
	if len(c.Namespaces) == 0 {
		return nil
	}
	out := append(slices.Clone(c.Namespaces), c.Namespace)
	slices.Sort(out)
	return slices.Compact(out)
}

// checkScope says why the namespaces that are looked at cannot be these; nil: they can.
func (c Config) checkScope() error {
	for _, name := range c.Namespaces {
		if found := validation.IsDNS1123Label(name); len(found) > 0 {
			return fmt.Errorf("namespaces: %q is no name of a namespace: %s", name, strings.Join(found, "; "))
		}
	}
	if len(c.Namespaces) > 0 && c.Git.CrossNamespace {
		return errors.New("namespaces and git.crossNamespace exclude each other: a Source could reach what is not looked at; drop one of them")
	}
	return nil
}

// within is what a cache is told so that it holds these namespaces; none: all.
func within(names []string) map[string]cache.Config {
	if len(names) == 0 {
		return nil
	}
	out := map[string]cache.Config{}
	for _, name := range names {
		out[name] = cache.Config{}
	}
	return out
}

// rooted is a cache that has mesh objects of the mesh's root too, and of the root nothing else.
type rooted struct {
	cache.Cache
	mesh cache.Cache
}

// GetInformer implements cache.Informers.
func (r rooted) GetInformer(ctx context.Context, o client.Object, opts ...cache.InformerGetOption) (cache.Informer, error) {
	if o.GetObjectKind().GroupVersionKind().Group == meshGroup {
		return r.mesh.GetInformer(ctx, o, opts...)
	}
	return r.Cache.GetInformer(ctx, o, opts...)
}

// running is a cache that a manager starts with its own, before everything else.
type running struct{ cache.Cache }

// GetCache is how a manager knows what it is.
func (r running) GetCache() cache.Cache { return r.Cache }

// meshCache is what the mesh is read from: the manager's cache, where that leaves out the mesh's root with one beside it.
func meshCache(mgr ctrl.Manager, c Config) (cache.Cache, error) {
	names := c.scope()
	if len(names) == 0 || slices.Contains(names, c.Mesh.RootNamespace) {
		return mgr.GetCache(), nil
	}
	mesh, err := cache.New(mgr.GetConfig(), cache.Options{Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(), HTTPClient: mgr.GetHTTPClient(),
		DefaultNamespaces: within(append(names, c.Mesh.RootNamespace))})
	if err != nil {
		return nil, fmt.Errorf("making the cache of mesh objects: %w", err)
	}
	if err := mgr.Add(running{mesh}); err != nil {
		return nil, fmt.Errorf("adding the cache of mesh objects: %w", err)
	}
	return rooted{Cache: mgr.GetCache(), mesh: mesh}, nil
}
