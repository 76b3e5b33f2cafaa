package controller

import (
	"fmt"
	"slices"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/gitsync/decode"
	"github.com/sluice-dev/sluice/test/gitserver"
	"github.com/sluice-dev/sluice/test/kube"
)

// tenant is another namespace of the same controller and Git server.
func (w *world) tenant(ns string) *world {
	other := &world{TB: w.TB, ns: ns, client: w.client, git: w.git, controller: w.controller}
	other.prepare()
	return other
}

// What a repository of one tenant names outside of its namespace is refused by the operator's lists, and, where these let it
// through, by the rights of the account that is acted as.
func TestTenants_aRepositoryReachesItsNamespaceOnly(t *testing.T) {
	t.Parallel()
	delicate := []string{"ConfigMap", "ClusterRoleBinding.rbac.authorization.k8s.io", "CustomResourceDefinition.apiextensions.k8s.io"}
	for _, row := range []struct {
		name   string
		policy decode.Policy
		scope  func(s *v1alpha1.SourceSpec, theirs string)
		reason string
		codes  []string // of the binding, the definition, the other namespace
	}{
		{"by the lists", decode.Policy{}, func(*v1alpha1.SourceSpec, string) {}, v1alpha1.ReasonNotAllowed, []string{"S401", "S401", "S402"}},
		{"by the scope", decode.Policy{Kinds: delicate}, func(*v1alpha1.SourceSpec, string) {}, v1alpha1.ReasonNotAllowed, []string{"S402", "S402", "S402"}},
		{"by the account's rights", decode.Policy{Kinds: delicate, CrossNamespace: true}, func(s *v1alpha1.SourceSpec, theirs string) { s.Namespaces = append(s.Namespaces, theirs) }, v1alpha1.ReasonForbidden, []string{"S406", "S406", "S406"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			theirs := kube.Namespace(t, kube.Start(t))
			w := newWorldWith(t, special{policy: row.policy, namespaces: []string{theirs}})
			binding, definition := w.ns+"-binding", "things."+w.ns+".example.com"
			commit := w.push("first", map[string]string{
				"app/good.yaml": configMap("good", "one"),
				"app/binding.yaml": "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: " + binding + "}\n" +
					"roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}\n" +
					"subjects: [{kind: ServiceAccount, namespace: " + w.ns + ", name: applier}]\n",
				"app/crd.yaml": crdYAML(w.ns+".example.com", "Namespaced"),
				"app/cm.yaml":  "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: planted, namespace: " + theirs + "}\ndata: {k: v}\n",
			})
			w.source(func(s *v1alpha1.SourceSpec) { s.Namespaces = []string{w.ns}; row.scope(s, theirs) })
			s := w.ready(row.reason, commit)
			got := map[string]string{}
			for _, f := range s.Problems {
				got[f.Path] += f.Code
			}
			want := map[string]string{"app/binding.yaml": row.codes[0], "app/crd.yaml": row.codes[1], "app/cm.yaml": row.codes[2]}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("problems %v, want %v", got, want)
			}
			if w.data("good")["k"] != "one" {
				t.Error("the tenant's own object is not applied")
			}
			for _, err := range []error{
				w.client.Get(t.Context(), types.NamespacedName{Name: binding}, &rbacv1.ClusterRoleBinding{}),
				w.client.Get(t.Context(), types.NamespacedName{Name: definition}, definitionOf()),
			} {
				if !apierrors.IsNotFound(err) {
					t.Errorf("a thing of the cluster: %v, want it not there", err)
				}
			}
			w.ns = theirs
			if got := w.data("planted"); got != nil {
				t.Errorf("planted in another namespace: %v", got)
			}
		})
	}
}

func TestTenants_hangingRemotesOfOneDelayNoOther(t *testing.T) {
	t.Parallel()
	theirs := kube.Namespace(t, kube.Start(t))
	w := newWorldWith(t, special{namespaces: []string{theirs}})
	commit := w.push("first", map[string]string{"app/a.yaml": configMap("a", "one")})
	w.git.SetFault("/hang", gitserver.Fault{Stall: true})
	names := []string{"h0", "h1", "h2", "h3", "h4"}
	for _, name := range names {
		src := &v1alpha1.Source{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: name}, Spec: v1alpha1.SourceSpec{
			URL: w.git.URL("hang" + name), Ref: v1alpha1.SourceRef{Branch: "main"}, Path: "app", Interval: v1alpha1.DurationOf(time.Hour)}}
		if err := w.client.Create(t.Context(), src); err != nil {
			t.Fatal(err)
		}
	}
	asked := func() (n int) {
		for _, name := range names {
			n += min(1, w.git.Count("/hang"+name+".git/info/refs"))
		}
		return n
	}
	kube.Eventually(t, soon, func() error {
		if n := asked(); n < perNamespace {
			return fmt.Errorf("%d remotes are asked", n)
		}
		return nil
	})
	other := w.tenant(theirs)
	other.source(nil)
	other.ready(v1alpha1.ReasonApplied, commit)
	if n := asked(); n != perNamespace {
		t.Errorf("%d Sources of one namespace are at work when the other is done, want %d and the fifth to wait", n, perNamespace)
	}
	w.git.LiftFault("/hang") // there are no such repositories
	kube.Eventually(t, soon, func() error {
		failed := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return w.of(name).Status.Failures == 0 })
		if len(failed) < len(names) {
			return fmt.Errorf("only %v went on", failed)
		}
		return nil
	})
}
