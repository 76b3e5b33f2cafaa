package apply

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/gitsync"
	"github.com/sluice-dev/sluice/test/kube"
)

// A kind is served a moment after its definition is called established: objects that come with it wait for that.
func TestApply_waitsUntilAKindIsServed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	group := w.ns + ".example.com"
	binding := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: w.ns},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: w.ns, Name: "applier"}}}
	if err := w.admin.Create(t.Context(), binding); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.admin.Delete(context.WithoutCancel(t.Context()), binding) })

	var left atomic.Int32
	left.Store(3)
	config := kube.Start(t)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return through(func(req *http.Request) (*http.Response, error) {
			if !strings.HasPrefix(req.URL.Path, "/apis/"+group+"/v1/namespaces/") || left.Add(-1) < 0 {
				return next.RoundTrip(req)
			}
			return &http.Response{StatusCode: http.StatusNotFound, Status: "404 Not Found", Header: http.Header{"Content-Type": {"text/plain"}},
				Body: io.NopCloser(strings.NewReader("404 page not found\n")), Request: req}, nil
		})
	})
	var err error
	if w.applier, err = New(config, w.admin.RESTMapper(), nil).As(w.ns, "applier"); err != nil {
		t.Fatal(err)
	}
	definition := w.object("apiextensions.k8s.io/v1", "CustomResourceDefinition", "things."+group, map[string]any{"spec": map[string]any{
		"group": group, "scope": "Namespaced",
		"names": map[string]any{"kind": "Thing", "plural": "things", "singular": "thing"},
		"versions": []any{map[string]any{"name": "v1", "served": true, "storage": true,
			"schema": map[string]any{"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}},
	}})
	definition.ID.Namespace = ""
	delete(definition.Content["metadata"].(map[string]any), "namespace")
	thing := w.object(group+"/v1", "Thing", "one", nil)
	kube.Eventually(t, requestTimeout, func() error {
		_, _, err := w.applier.Look(t.Context(), gitsync.Inventory{}.Union([]gitsync.Object{definition}))
		return err
	})
	t.Cleanup(func() { _ = w.admin.Delete(context.WithoutCancel(t.Context()), blank(definition.ID, "v1")) })
	if _, out := w.apply(definition, thing); len(out.Refused) != 0 || left.Load() >= 0 {
		t.Errorf("%+v after %d answers that there is no such kind; want it to wait", out.Refused, 3-left.Load())
	}
	w.get(thing)
}
