package chart_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/helm"
	"github.com/sluice-dev/sluice/test/kube"
	"github.com/sluice-dev/sluice/test/poll"
)

// office is the chart's policy and roles on the real API server.
type office struct {
	admin client.Client
	cfg   *rest.Config
	ns    string
}

// newOffice installs roles and policy under a name of its own, and takes them away after the test.
func newOffice(t *testing.T) *office {
	t.Helper()
	cfg := kube.Start(t)
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	admin, err := client.New(cfg, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	o := &office{admin: admin, cfg: cfg, ns: kube.Namespace(t, cfg)}
	text, err := helm.Run(t, "template", o.ns, chart, "--namespace", o.ns, "--set", "crds.install=false")
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range helm.Objects(t, text) {
		switch object.GetKind() {
		case "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "ServiceAccount":
			o.confine(t, object)
			if err := admin.Create(t.Context(), object); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = admin.Delete(t.Context(), object) }) // the server ends with the tests anyway
		}
	}
	return o
}

// confine makes the policy count in this namespace alone: the server has other tests' actions too.
func (o *office) confine(t *testing.T, object *unstructured.Unstructured) {
	t.Helper()
	if object.GetKind() != "ValidatingAdmissionPolicyBinding" {
		return
	}
	here := map[string]any{corev1.LabelMetadataName: o.ns}
	if err := unstructured.SetNestedMap(object.Object, here, "spec", "matchResources", "namespaceSelector", "matchLabels"); err != nil {
		t.Fatal(err)
	}
}

// as acts as a user who is bound to a role of the chart, or to none.
func (o *office) as(t *testing.T, user, role string) client.Client {
	t.Helper()
	if role != "" {
		binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: o.ns, Name: user},
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: o.ns + "-" + role},
			Subjects: []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: user}}}
		if err := o.admin.Create(t.Context(), binding); err != nil {
			t.Fatal(err)
		}
	}
	cfg := rest.CopyConfig(o.cfg)
	cfg.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:authenticated"}}
	c, err := client.New(cfg, client.Options{Scheme: o.admin.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (o *office) ask(t *testing.T, c client.Client, verb v1alpha1.ActionVerb, actor string) error {
	t.Helper()
	return c.Create(t.Context(), &v1alpha1.RolloutAction{ObjectMeta: metav1.ObjectMeta{Namespace: o.ns, GenerateName: "ask-"},
		Spec: v1alpha1.RolloutActionSpec{Rollout: "reviews", Verb: verb, Actor: actor, IfAttempt: 1}})
}

// Actions are made in the own name, by whom a role grants the verb.
func TestPolicy_actionsAreDoneInTheOwnName(t *testing.T) {
	o := newOffice(t)
	ana, ben := o.as(t, "ana", "approver"), o.as(t, "ben", "tenant")
	few := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: o.ns + "-few"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{v1alpha1.Group}, Resources: []string{"rolloutactions"}, Verbs: []string{"create"}},
		{APIGroups: []string{v1alpha1.Group}, Resources: []string{"rollouts"}, ResourceNames: []string{"reviews"}, Verbs: []string{"pause"}},
	}}
	if err := o.admin.Create(t.Context(), few); err != nil {
		t.Fatal(err)
	}
	cas := o.as(t, "cas", "few")
	// The policy counts a moment after it was stored.
	err := poll.Until(20*time.Second, func() error {
		if err := o.ask(t, ana, v1alpha1.ActionPause, "somebody"); err == nil {
			return fmt.Errorf("an action in a foreign name was taken")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		who   client.Client
		verb  v1alpha1.ActionVerb
		actor string
		says  string // empty: it is taken
	}{
		{ana, v1alpha1.ActionPromote, "ana", ""},
		{ana, v1alpha1.ActionPromote, "ben", "spec.actor must be ana, who asks"},
		{ben, v1alpha1.ActionPromote, "ben", "cannot create resource"},
		{cas, v1alpha1.ActionPause, "cas", ""},
		{cas, v1alpha1.ActionResume, "cas", "cas may not resume rollout reviews"},
	} {
		err := o.ask(t, c.who, c.verb, c.actor)
		if c.says == "" && err != nil {
			t.Errorf("%s by %s: %v", c.verb, c.actor, err)
		}
		if c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s by %s: %v, want %q", c.verb, c.actor, err, c.says)
		}
	}
}

// Who edits a namespace writes Rollouts, and neither their status nor reports nor leases.
func TestPolicy_tenantsWriteNoStatus(t *testing.T) {
	o := newOffice(t)
	ben := o.as(t, "ben", "tenant")
	ro := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: o.ns, Name: "reviews"}, Spec: v1alpha1.RolloutSpec{Host: "reviews", Subset: "v1"}}
	if err := poll.Until(20*time.Second, func() error { return ben.Create(t.Context(), ro) }); err != nil {
		t.Fatal(err)
	}
	forged := ro.DeepCopy()
	forged.Status = &v1alpha1.RolloutStatus{Phase: v1alpha1.PhaseIdle}
	for what, err := range map[string]error{
		"a status":  ben.Status().Update(t.Context(), forged),
		"a report":  ben.Create(t.Context(), &v1alpha1.FleetReport{ObjectMeta: metav1.ObjectMeta{Namespace: o.ns, Name: "x"}}),
		"an action": o.ask(t, ben, v1alpha1.ActionPause, "ben"),
	} {
		if err == nil || !strings.Contains(err.Error(), "forbidden") {
			t.Errorf("a tenant wrote %s: %v", what, err)
		}
	}
}
