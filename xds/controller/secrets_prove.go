package controller

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// list asks for the metadata of every Secret that is followed and could be read: what proxies have of one is replaced
// only when it is known that nothing newer exists. One that may not be read any more proves nothing, and holds nothing up.
func (s *secrets) list(ctx context.Context) ([]listed, error) {
	var out []listed
	for name, w := range s.followed() {
		page := &metav1.PartialObjectMetadataList{}
		page.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("SecretList"))
		err := s.reader.List(ctx, page, client.InNamespace(name.Namespace),
			client.MatchingFieldsSelector{Selector: fields.OneTermEqualSelector(metav1.ObjectNameField, name.Name)})
		if apierrors.IsForbidden(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("proving that the mesh is up to date: asking for Secret %s: %w", name, err)
		}
		one := listed{kind: "Secret", seen: &w.seen, version: page.ResourceVersion, objects: map[types.NamespacedName]string{}}
		for i := range page.Items {
			one.objects[client.ObjectKeyFromObject(&page.Items[i])] = page.Items[i].ResourceVersion
		}
		out = append(out, one)
	}
	return out, nil
}

// followed are the watches that have shown what the server holds.
func (s *secrets) followed() map[types.NamespacedName]*secretWatch {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[types.NamespacedName]*secretWatch{}
	for name, w := range s.watched {
		if w.synced() {
			out[name] = w
		}
	}
	return out
}
