package app

import (
	"context"
	"fmt"
	"hash/fnv"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/gitsync"
)

// liveDigest computes, for Rollouts that no Source applies, the digest that a Source would have written, from the live
// objects of the namespace. A failed read is an error: it never changes a digest. Every pass asks, so that a digest is computed
// only where the Rollout's spec or the version of one of the objects is another one than last time.
type liveDigest struct {
	client client.Client
	domain string

	mu    sync.Mutex // guards known
	known map[types.NamespacedName]knownDigest
}

// knownDigest is a digest and what it was computed of.
type knownDigest struct {
	uid        types.UID
	generation int64
	objects    marks
	digest     string
}

// marks stand for objects at their versions, in any order: how many, and the sum of a hash of each.
type marks struct {
	count int
	sum   uint64
}

// mostDigests is how many are remembered.
const mostDigests = 20_000

func newLiveDigest(c client.Client, domain string) *liveDigest {
	return &liveDigest{client: c, domain: domain, known: map[types.NamespacedName]knownDigest{}}
}

func (d *liveDigest) of(ctx context.Context, ro *v1alpha1.Rollout) (string, error) {
	lists := []client.ObjectList{&appsv1.DeploymentList{}, &corev1.ConfigMapList{}, &v1alpha1.MetricTemplateList{}, destinationRules()}
	is := knownDigest{uid: ro.UID, generation: ro.Generation}
	for _, list := range lists {
		if err := d.read(ctx, list, ro.Namespace); err != nil {
			return "", fmt.Errorf("reading what %s/%s consists of: %w", ro.Namespace, ro.Name, err)
		}
		if err := is.objects.add(list); err != nil {
			return "", err
		}
	}
	key := client.ObjectKeyFromObject(ro)
	if was, known := d.last(key); known && ro.UID != "" && was.uid == is.uid && was.generation == is.generation && was.objects == is.objects {
		return was.digest, nil
	}
	var err error
	if is.digest, err = d.compute(ro, lists); err == nil {
		d.keep(key, is)
	}
	return is.digest, err
}

func (d *liveDigest) last(key types.NamespacedName) (knownDigest, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	out, known := d.known[key]
	return out, known
}

func (d *liveDigest) keep(key types.NamespacedName, is knownDigest) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.known) >= mostDigests {
		clear(d.known)
	}
	d.known[key] = is
}

// add takes in the objects of a list.
func (m *marks) add(list client.ObjectList) error {
	return meta.EachListItem(list, func(o runtime.Object) error {
		object, err := meta.Accessor(o)
		if err != nil {
			return fmt.Errorf("reading an object of a list: %w", err)
		}
		hash := fnv.New64a()
		fmt.Fprintf(hash, "%s/%s", object.GetUID(), object.GetResourceVersion())
		m.count++
		m.sum += hash.Sum64()
		return nil
	})
}

// compute makes the digest of what was read.
func (d *liveDigest) compute(ro *v1alpha1.Rollout, lists []client.ObjectList) (string, error) {
	own, err := objectOf(ro, v1alpha1.GroupVersion().WithKind("Rollout"))
	if err != nil {
		return "", err
	}
	var objects []gitsync.Object
	for _, list := range lists {
		err := meta.EachListItem(list, func(o runtime.Object) error {
			gvk, err := d.client.GroupVersionKindFor(o)
			if err != nil {
				return err
			}
			object, err := objectOf(o.DeepCopyObject().(client.Object), gvk)
			objects = append(objects, object)
			return err
		})
		if err != nil {
			return "", fmt.Errorf("reading what %s/%s consists of: %w", ro.Namespace, ro.Name, err)
		}
	}
	return gitsync.Digest(own, objects, d.domain)
}

func destinationRules() *unstructured.UnstructuredList {
	l := &unstructured.UnstructuredList{}
	l.SetGroupVersionKind(schema.GroupVersionKind{Group: "networking.istio.io", Version: "v1", Kind: "DestinationRuleList"})
	return l
}

// read reads the objects of one kind, which belong to the cache and are not to be changed; of a kind that the cluster does not
// know there are none.
func (d *liveDigest) read(ctx context.Context, list client.ObjectList, namespace string) error {
	err := d.client.List(ctx, list, client.InNamespace(namespace), client.UnsafeDisableDeepCopy)
	if meta.IsNoMatchError(err) {
		return nil
	}
	return err
}

func objectOf(o client.Object, gvk schema.GroupVersionKind) (gitsync.Object, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return gitsync.Object{}, fmt.Errorf("reading %s %s/%s: %w", gvk.Kind, o.GetNamespace(), o.GetName(), err)
	}
	return gitsync.Object{
		ID:      gitsync.ID{Group: gvk.Group, Kind: gvk.Kind, Namespace: o.GetNamespace(), Name: o.GetName()},
		Version: gvk.Version, Content: content,
	}, nil
}
