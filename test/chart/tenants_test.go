package chart_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/kube"
	"github.com/sluice-dev/sluice/test/poll"
)

// team gives a user the chart's tenant and approver roles in a namespace, as a platform team does for each of its teams.
func (o *office) team(t *testing.T, user, ns string) client.Client {
	t.Helper()
	for _, role := range []string{"tenant", "approver"} {
		binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: user + "-" + role},
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: o.ns + "-" + role},
			Subjects: []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: user}}}
		if err := o.admin.Create(t.Context(), binding); err != nil {
			t.Fatal(err)
		}
	}
	return o.as(t, user, "")
}

// deeds are what a team does in a namespace.
func deeds(ns, actor string) map[string]func(t *testing.T, c client.Client) error {
	create := func(o client.Object) func(t *testing.T, c client.Client) error {
		return func(t *testing.T, c client.Client) error {
			t.Helper()
			o := o.DeepCopyObject().(client.Object)
			o.SetNamespace(ns)
			o.SetGenerateName("by-" + actor + "-")
			return c.Create(t.Context(), o, client.DryRunAll)
		}
	}
	list := func(l client.ObjectList) func(t *testing.T, c client.Client) error {
		return func(t *testing.T, c client.Client) error {
			t.Helper()
			return c.List(t.Context(), l, client.InNamespace(ns))
		}
	}
	return map[string]func(t *testing.T, c client.Client) error{
		"make a Rollout":           create(&v1alpha1.Rollout{Spec: v1alpha1.RolloutSpec{Host: "reviews", Subset: "v1"}}),
		"make a Source":            create(&v1alpha1.Source{Spec: v1alpha1.SourceSpec{URL: "https://git.example.com/a.git"}}),
		"make a Notifier":          create(&v1alpha1.Notifier{Spec: v1alpha1.NotifierSpec{Webhook: &v1alpha1.WebhookSink{URL: "https://hook.example.com", Unsigned: true}}}),
		"ask for an action":        create(&v1alpha1.RolloutAction{Spec: v1alpha1.RolloutActionSpec{Rollout: "reviews", Verb: v1alpha1.ActionPause, Actor: actor}}),
		"read Rollouts":            list(&v1alpha1.RolloutList{}),
		"read Sources":             list(&v1alpha1.SourceList{}),
		"read Notifiers":           list(&v1alpha1.NotifierList{}),
		"read what was asked for":  list(&v1alpha1.RolloutActionList{}),
		"read metrics' templates":  list(&v1alpha1.MetricTemplateList{}),
		"delete somebody's Source": func(t *testing.T, c client.Client) error { t.Helper(); return remove(t, c, &v1alpha1.Source{}, ns) },
		"delete somebody's Rollout": func(t *testing.T, c client.Client) error {
			t.Helper()
			return remove(t, c, &v1alpha1.Rollout{}, ns)
		},
	}
}

// remove asks for the end of an object that is there.
func remove(t *testing.T, c client.Client, o client.Object, ns string) error {
	t.Helper()
	o.SetNamespace(ns)
	o.SetName("theirs")
	return c.Delete(t.Context(), o, client.DryRunAll)
}

// Each team does in its namespace all that the roles are for, and in the other's nothing; neither reads a Secret, acts as an
// account, or writes what the controller does.
func TestTenants_twoTeamsThatCannotTouchEachOther(t *testing.T) {
	o := newOffice(t)
	cfg := kube.Start(t)
	own := map[string]string{"ana": o.ns, "ben": kube.Namespace(t, cfg)} // the policy counts in the first
	teams := map[string]client.Client{}
	for user, ns := range own {
		teams[user] = o.team(t, user, ns)
		meta := metav1.ObjectMeta{Namespace: ns, Name: "theirs"}
		for _, one := range []client.Object{
			&v1alpha1.Source{ObjectMeta: meta, Spec: v1alpha1.SourceSpec{URL: "https://git.example.com/theirs.git"}},
			&v1alpha1.Rollout{ObjectMeta: meta, Spec: v1alpha1.RolloutSpec{Host: "reviews", Subset: "v1"}},
		} {
			if err := o.admin.Create(t.Context(), one); err != nil {
				t.Fatal(err)
			}
		}
	}
	for user, c := range teams {
		for whose, ns := range own {
			for what, do := range deeds(ns, user) {
				if user == whose {
					if err := poll.Until(20*time.Second, func() error { return do(t, c) }); err != nil { // bindings count a moment later
						t.Errorf("%s cannot %s in the own namespace: %v", user, what, err)
					}
				} else if err := do(t, c); !apierrors.IsForbidden(err) {
					t.Errorf("%s could %s in the namespace of %s: %v", user, what, whose, err)
				}
			}
			o.nothingElse(t, c, user, ns)
		}
	}
}

// nothingElse checks what no team may do anywhere by the chart's roles.
func (o *office) nothingElse(t *testing.T, c client.Client, user, ns string) {
	t.Helper()
	forged := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "theirs"}}
	status := client.RawPatch("application/merge-patch+json", []byte(`{"status":{"weight":100}}`))
	for what, err := range map[string]error{
		"read Secrets":     c.List(t.Context(), &corev1.SecretList{}, client.InNamespace(ns)),
		"make a report":    c.Create(t.Context(), &v1alpha1.FleetReport{ObjectMeta: metav1.ObjectMeta{Namespace: o.ns, Name: "x"}}, client.DryRunAll),
		"write a status":   c.Status().Patch(t.Context(), forged, status, client.DryRunAll),
		"read all of them": c.List(t.Context(), &v1alpha1.RolloutList{}),
	} {
		if !apierrors.IsForbidden(err) {
			t.Errorf("%s could %s (%s): %v", user, what, ns, err)
		}
	}
	if ns != o.ns || user != "ana" {
		return
	}
	const other = "ben"
	kube.Eventually(t, 20*time.Second, func() error { // the policy counts a moment after it was made
		err := c.Create(t.Context(), &v1alpha1.RolloutAction{ObjectMeta: metav1.ObjectMeta{Namespace: ns, GenerateName: "as-other-"},
			Spec: v1alpha1.RolloutActionSpec{Rollout: "theirs", Verb: v1alpha1.ActionPause, Actor: other}}, client.DryRunAll)
		if err == nil || !strings.Contains(err.Error(), "spec.actor must be "+user) {
			return fmt.Errorf("%s asked in the name of %s: %w", user, other, err)
		}
		return nil
	})
}
