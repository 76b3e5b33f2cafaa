package app

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/gitsync"
)

// liveDigest computes, for Rollouts that no Source applies, the digest that a Source would have written, from the live
// objects of the namespace. A failed read is an error: it never changes a digest.
type liveDigest struct {
	client client.Client
	domain string
}

func (d liveDigest) of(ctx context.Context, ro *v1alpha1.Rollout) (string, error) {
	gvk := v1alpha1.GroupVersion().WithKind("Rollout")
	own, err := objectOf(ro, gvk)
	if err != nil {
		return "", err
	}
	var objects []gitsync.Object
	for _, list := range []client.ObjectList{&appsv1.DeploymentList{}, &corev1.ConfigMapList{}, &v1alpha1.MetricTemplateList{}, destinationRules()} {
		found, err := d.list(ctx, list, ro.Namespace)
		if err != nil {
			return "", fmt.Errorf("reading what %s/%s consists of: %w", ro.Namespace, ro.Name, err)
		}
		objects = append(objects, found...)
	}
	return gitsync.Digest(own, objects, d.domain)
}

func destinationRules() *unstructured.UnstructuredList {
	l := &unstructured.UnstructuredList{}
	l.SetGroupVersionKind(schema.GroupVersionKind{Group: "networking.istio.io", Version: "v1", Kind: "DestinationRuleList"})
	return l
}

// list gives the objects of one kind; of a kind that the cluster does not know there are none.
func (d liveDigest) list(ctx context.Context, list client.ObjectList, namespace string) ([]gitsync.Object, error) {
	if err := d.client.List(ctx, list, client.InNamespace(namespace)); err != nil {
		if meta.IsNoMatchError(err) {
			return nil, nil
		}
		return nil, err
	}
	var out []gitsync.Object
	err := meta.EachListItem(list, func(o runtime.Object) error {
		gvk, err := d.client.GroupVersionKindFor(o)
		if err != nil {
			return err
		}
		object, err := objectOf(o.(client.Object), gvk)
		out = append(out, object)
		return err
	})
	return out, err
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
