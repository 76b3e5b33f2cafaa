package chart_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/helm"
	"github.com/sluice-dev/sluice/test/poll"
)

// ours are one object of every kind that people could be granted, by its resource, and of some that nobody is.
func ours(ns, actor string) map[schema.GroupVersionResource]client.Object {
	meta := metav1.ObjectMeta{Namespace: ns, Name: "sample"}
	of := func(resource string) schema.GroupVersionResource {
		return schema.GroupVersionResource{Group: v1alpha1.Group, Version: "v1alpha1", Resource: resource}
	}
	return map[schema.GroupVersionResource]client.Object{
		of("rollouts"):        &v1alpha1.Rollout{ObjectMeta: meta, Spec: v1alpha1.RolloutSpec{Host: "reviews", Subset: "v1"}},
		of("sources"):         &v1alpha1.Source{ObjectMeta: meta, Spec: v1alpha1.SourceSpec{URL: "https://git.example.com/a.git"}},
		of("notifiers"):       &v1alpha1.Notifier{ObjectMeta: meta, Spec: v1alpha1.NotifierSpec{Webhook: &v1alpha1.WebhookSink{URL: "https://hook.example.com", Unsigned: true}}},
		of("metrictemplates"): &v1alpha1.MetricTemplate{ObjectMeta: meta, Spec: v1alpha1.MetricTemplateSpec{Ratio: &v1alpha1.RatioTemplate{Bad: `a{version="{{subset}}",result="bad"}`, Total: `a{version="{{subset}}"}`}}},
		of("rolloutactions"):  &v1alpha1.RolloutAction{ObjectMeta: meta, Spec: v1alpha1.RolloutActionSpec{Rollout: "sample", Verb: v1alpha1.ActionPause, Actor: actor}},
		of("fleetreports"):    &v1alpha1.FleetReport{ObjectMeta: meta},
		{Group: "", Version: "v1", Resource: "secrets"}:                   &corev1.Secret{ObjectMeta: meta},
		{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}: &coordinationv1.Lease{ObjectMeta: meta},
	}
}

// name is what the API server knows the office itself by.
func (o *office) name(t *testing.T) string {
	t.Helper()
	review := &authenticationv1.SelfSubjectReview{}
	if err := o.admin.Create(t.Context(), review); err != nil {
		t.Fatal(err)
	}
	return review.Status.UserInfo.Username
}

// tried does one verb to the objects of a resource, without an effect that lasts.
func tried(t *testing.T, c dynamic.ResourceInterface, verb string, o *unstructured.Unstructured) error {
	t.Helper()
	dry, patch := []string{metav1.DryRunAll}, []byte(`{"metadata":{"annotations":{"tried":"yes"}}}`)
	var err error
	switch verb {
	case "get":
		_, err = c.Get(t.Context(), o.GetName(), metav1.GetOptions{})
	case "list":
		_, err = c.List(t.Context(), metav1.ListOptions{})
	case "watch":
		w, failed := c.Watch(t.Context(), metav1.ListOptions{})
		if err = failed; err == nil {
			w.Stop()
		}
	case "create":
		fresh := &unstructured.Unstructured{Object: map[string]any{"apiVersion": o.GetAPIVersion(), "kind": o.GetKind(), "metadata": map[string]any{"generateName": "tried-"}}}
		if spec, found := o.Object["spec"]; found {
			fresh.Object["spec"] = spec
		}
		_, err = c.Create(t.Context(), fresh, metav1.CreateOptions{DryRun: dry})
	case "update":
		_, err = c.Update(t.Context(), o, metav1.UpdateOptions{DryRun: dry})
	case "patch":
		_, err = c.Patch(t.Context(), o.GetName(), types.MergePatchType, patch, metav1.PatchOptions{DryRun: dry})
	case "patch status":
		_, err = c.Patch(t.Context(), o.GetName(), types.MergePatchType, patch, metav1.PatchOptions{DryRun: dry}, "status")
	case "delete":
		err = c.Delete(t.Context(), o.GetName(), metav1.DeleteOptions{DryRun: dry})
	case "deletecollection":
		err = c.DeleteCollection(t.Context(), metav1.DeleteOptions{DryRun: dry}, metav1.ListOptions{})
	default:
		t.Fatalf("nobody knows how to try %q", verb)
	}
	return err
}

// rulesOf is what a role of the chart grants: verbs of resources, as "rollouts get".
func rulesOf(t *testing.T, role string) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for _, o := range helm.Objects(t, render(t, nil)) {
		if o.GetKind() != "ClusterRole" || o.GetName() != "sluice-"+role {
			continue
		}
		is := &rbacv1.ClusterRole{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, is); err != nil {
			t.Fatal(err)
		}
		for _, r := range is.Rules {
			for _, resource := range r.Resources {
				for _, verb := range r.Verbs {
					out[resource+" "+verb] = true
				}
			}
		}
	}
	return out
}

// TestRoles_eachRightIsOneDeed does, as a person with one role of the chart, every deed that there is. What the role grants is done, every
// grant of it by a deed of its own, so none is without use; all else is refused.
func TestRoles_eachRightIsOneDeed(t *testing.T) {
	o := newOffice(t)
	samples := map[schema.GroupVersionResource]*unstructured.Unstructured{}
	for resource, object := range ours(o.ns, o.name(t)) {
		if err := o.admin.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = o.admin.Delete(t.Context(), object) }) // what is left ends with the server
		raw, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		u := &unstructured.Unstructured{}
		gvk, err := o.admin.GroupVersionKindFor(object)
		if err != nil || json.Unmarshal(raw, &u.Object) != nil {
			t.Fatal(err)
		}
		u.SetGroupVersionKind(gvk)
		samples[resource] = u
	}
	for _, role := range []string{"tenant", "viewer", "approver"} {
		t.Run(role, func(t *testing.T) {
			user, granted := "person-"+role, rulesOf(t, role)
			if len(granted) < 5 {
				t.Fatalf("the role grants %v", granted)
			}
			o.as(t, user, role)
			cfg := rest.CopyConfig(o.cfg)
			cfg.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:authenticated"}}
			cfg.QPS = -1
			c, err := dynamic.NewForConfig(cfg)
			if err != nil {
				t.Fatal(err)
			}
			used := o.everything(t, c, samples, granted, user)
			for verb := range wishes() {
				if used["rollouts "+string(verb)] = granted["rollouts "+string(verb)]; granted["rollouts "+string(verb)] {
					o.wish(t, user, verb)
				}
			}
			for right := range granted {
				if !used[right] {
					t.Errorf("%s: no deed needs %q", role, right)
				}
			}
			t.Logf("%d rights, each used by a deed: %s", len(granted), strings.Join(slices.Sorted(maps.Keys(granted)), ", "))
		})
	}
}

// everything tries all verbs on all samples, and says which were granted.
func (o *office) everything(t *testing.T, c dynamic.Interface, samples map[schema.GroupVersionResource]*unstructured.Unstructured, granted map[string]bool, user string) map[string]bool {
	t.Helper()
	used := map[string]bool{}
	for resource, sample := range samples {
		if resource.Resource == "rolloutactions" {
			sample = sample.DeepCopy()
			if err := unstructured.SetNestedField(sample.Object, user, "spec", "actor"); err != nil {
				t.Fatal(err)
			}
		}
		for _, verb := range []string{"get", "list", "watch", "create", "update", "patch", "patch status", "delete", "deletecollection"} {
			right := resource.Resource + " " + verb
			try := func() error { return tried(t, c.Resource(resource).Namespace(o.ns), verb, sample) }
			if !granted[right] {
				if err := try(); !apierrors.IsForbidden(err) {
					t.Errorf("%s could %s: %v", user, right, err)
				}
				continue
			}
			if err := poll.Until(20*time.Second, func() error { // a binding counts a moment after it was made
				if err := try(); apierrors.IsForbidden(err) {
					return err
				}
				return nil
			}); err != nil {
				t.Errorf("%s cannot %s: %v", user, right, err)
			}
			used[right] = true
		}
	}
	return used
}

// wishes are the verbs that are granted on Rollouts, and asked for by RolloutActions.
func wishes() map[v1alpha1.ActionVerb]bool {
	return map[v1alpha1.ActionVerb]bool{v1alpha1.ActionPromote: true, v1alpha1.ActionPromoteFull: true, v1alpha1.ActionSkip: true, v1alpha1.ActionApprove: true, v1alpha1.ActionPause: true,
		v1alpha1.ActionResume: true, v1alpha1.ActionAbort: true, v1alpha1.ActionRollback: true, v1alpha1.ActionRetry: true}
}

// wish asks for an action as a person who has all verbs, and as one who has all but this, whom the policy refuses.
func (o *office) wish(t *testing.T, user string, verb v1alpha1.ActionVerb) {
	t.Helper()
	var others []string
	for other := range wishes() {
		if other != verb {
			others = append(others, string(other))
		}
	}
	few := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: o.ns + "-all-but-" + strings.ToLower(string(verb))}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{v1alpha1.Group}, Resources: []string{"rolloutactions"}, Verbs: []string{"create"}},
		{APIGroups: []string{v1alpha1.Group}, Resources: []string{"rollouts"}, Verbs: others},
	}}
	if err := o.admin.Create(t.Context(), few); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.admin.Delete(t.Context(), few) }) // what is left ends with the server
	lacking := "no-" + strings.ToLower(string(verb))
	all, none := o.as(t, user, ""), o.as(t, lacking, "all-but-"+strings.ToLower(string(verb)))
	if err := poll.Until(20*time.Second, func() error { return o.asked(t, all, verb, user) }); err != nil {
		t.Errorf("%s by %s: %v", verb, user, err)
	}
	err := poll.Until(20*time.Second, func() error { // roles and the policy count a moment after they were made
		if err := o.asked(t, none, verb, lacking); err == nil || !strings.Contains(err.Error(), "no role grants that verb") {
			return fmt.Errorf("%s without that verb: %w", verb, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// asked asks for an action with all that any verb wants to be told.
func (o *office) asked(t *testing.T, c client.Client, verb v1alpha1.ActionVerb, actor string) error {
	t.Helper()
	a := &v1alpha1.RolloutAction{ObjectMeta: metav1.ObjectMeta{Namespace: o.ns, GenerateName: "asked-"},
		Spec: v1alpha1.RolloutActionSpec{Rollout: "reviews", Verb: verb, Actor: actor, IfAttempt: 1, Reason: "for the test"}}
	if verb == v1alpha1.ActionSkip {
		a.Spec.Step = "2"
	}
	return c.Create(t.Context(), a, client.DryRunAll)
}
