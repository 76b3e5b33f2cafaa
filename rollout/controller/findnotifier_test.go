package controller

import (
	"context"
	"errors"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// nearAndFar answers reads of Notifiers by namespace; what is not in it does not exist.
type nearAndFar struct {
	client.Client
	all map[string]error // nil: it exists, and is about all namespaces
}

func (n nearAndFar) Get(_ context.Context, key client.ObjectKey, o client.Object, _ ...client.GetOption) error {
	err, known := n.all[key.Namespace]
	if !known {
		return apierrors.NewNotFound(schema.GroupResource{Group: v1alpha1.Group, Resource: "notifiers"}, key.Name)
	}
	if found, ok := o.(*v1alpha1.Notifier); ok {
		found.Spec.Namespaces = v1alpha1.ScopeAll
	}
	return err
}

// TestNotifier_thatCannotBeReadIsTakenToExist: in the Rollout's namespace, and in the controller's.
func TestNotifier_thatCannotBeReadIsTakenToExist(t *testing.T) {
	t.Parallel()
	silent := errors.New("connection refused")
	for _, row := range []struct {
		name    string
		all     map[string]error
		missing bool
	}{
		{"nowhere", nil, true},
		{"near", map[string]error{"shop": nil}, false},
		{"far", map[string]error{"sluice": nil}, false},
		{"near cannot be read", map[string]error{"shop": silent}, false},
		{"far cannot be read", map[string]error{"sluice": silent}, false},
	} {
		c := &Controller{config: Config{Client: nearAndFar{all: row.all}}}
		c.config.Lead.Lease.Namespace = "sluice"
		p := &pass{controller: c, given: &given{key: types.NamespacedName{Namespace: "shop", Name: "reviews"}, object: &v1alpha1.Rollout{}}}
		p.object.Spec.Notify = []v1alpha1.NotifyRef{{Name: "team"}}
		p.readNotifiers(t.Context())
		if missing := len(p.unheard) > 0; missing != row.missing {
			t.Errorf("%s: %q, want that it is missing: %v", row.name, p.unheard, row.missing)
		}
	}
}
