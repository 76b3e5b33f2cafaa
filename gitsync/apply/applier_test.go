package apply

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/sluice-dev/sluice/gitsync"
	"github.com/sluice-dev/sluice/test/kube"
)

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard())
	kube.Main(m)
}

// world is a namespace with an account that may do what a Source does.
type world struct {
	testing.TB
	admin   client.Client
	applier gitsync.Applier
	ns      string
	have    gitsync.Inventory
}

func newWorld(t testing.TB) *world {
	t.Helper()
	config := kube.Start(t)
	ns := kube.Namespace(t, config)
	admin, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "applier"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{"", "apps", "autoscaling", "networking.istio.io", "sluice.dev"}, Verbs: []string{"*"},
			Resources: []string{"configmaps", "services", "deployments", "horizontalpodautoscalers", "virtualservices", "destinationrules", "rollouts", "secrets"}}}}
	binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "applier"},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "applier"},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: ns, Name: "applier"}}}
	for _, o := range []client.Object{role, binding} {
		if err := admin.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	applier, err := New(config, admin.RESTMapper(), nil).As(ns, "applier")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{TB: t, admin: admin, applier: applier, ns: ns}
	kube.Eventually(t, requestTimeout, func() error { // the server learns of the role a little later than it stores it
		_, refused, err := applier.Look(t.Context(), gitsync.Inventory{}.Union([]gitsync.Object{w.configMap("none", nil)}))
		if err == nil && len(refused) > 0 {
			err = fmt.Errorf("the account has no rights yet: %+v", refused)
		}
		return err
	})
	return w
}

func (w *world) object(version, kind, name string, fields map[string]any) gitsync.Object {
	group, v, found := strings.Cut(version, "/")
	if !found {
		group, v = "", version
	}
	content := map[string]any{"apiVersion": version, "kind": kind, "metadata": map[string]any{"name": name, "namespace": w.ns}}
	maps.Copy(content, fields)
	return gitsync.Object{ID: gitsync.ID{Group: group, Kind: kind, Namespace: w.ns, Name: name}, Version: v, Path: name + ".yaml", Line: 1, Content: content}
}

func (w *world) configMap(name string, data map[string]any) gitsync.Object {
	return w.object("v1", "ConfigMap", name, map[string]any{"data": data})
}

// apply plans and applies as the controller does.
func (w *world) apply(objects ...gitsync.Object) (gitsync.Set, gitsync.Outcome) {
	w.Helper()
	return w.applyAll(false, objects...)
}

// applyAll compares all that is there where it is told to, as the controller does now and then.
func (w *world) applyAll(full bool, objects ...gitsync.Object) (gitsync.Set, gitsync.Outcome) {
	w.Helper()
	live, _, err := w.applier.Look(w.Context(), w.have.Union(objects))
	if err != nil {
		w.Fatalf("Look: %v", err)
	}
	owner := gitsync.Owner{Namespace: w.ns, Name: "shop"}
	set := gitsync.Plan(gitsync.Input{Owner: owner, Commit: gitsync.Commit{ID: "c1", Author: "Ana"}, Domain: "cluster.local", Want: objects, Have: w.have.Settle(owner, live), Live: live})
	set.Full = full
	out, err := w.applier.Apply(w.Context(), set)
	if err != nil {
		w.Fatalf("Apply: %v", err)
	}
	w.have = set.Union.Update(out.Confirmed...)
	return set, out
}

func (w *world) get(o gitsync.Object) *unstructured.Unstructured {
	w.Helper()
	u := blank(o.ID, o.Version)
	if err := w.admin.Get(w.Context(), client.ObjectKeyFromObject(u), u); err != nil {
		w.Fatalf("reading %s: %v", o.ID.Ref(), err)
	}
	return u
}

func TestApply_createsThenLeavesAloneThenDropsFields(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cm := w.configMap("a", map[string]any{"x": "1", "y": "2"})
	_, out := w.apply(cm)
	e, _ := w.have.Find(cm.ID)
	if len(out.Changed) != 1 || e.Origin != gitsync.Created || e.UID == "" {
		t.Fatalf("first: %+v, entry %v; want it Created with its uid", out, e)
	}
	live := w.get(cm)
	if a := live.GetAnnotations(); a[gitsync.AnnotationCommit] != "c1" || a[gitsync.AnnotationAuthor] != "Ana" || live.GetLabels()[gitsync.LabelSourceName] != "shop" {
		t.Errorf("provenance: %v %v", a, live.GetLabels())
	}
	version := live.GetResourceVersion()
	if _, out = w.apply(cm); len(out.Changed) != 0 || len(out.Confirmed) != 1 || w.get(cm).GetResourceVersion() != version {
		t.Errorf("again: %+v, version %s; want nothing changed from %s", out, w.get(cm).GetResourceVersion(), version)
	}
	less := w.configMap("a", map[string]any{"x": "1"})
	if _, out = w.apply(less); len(out.Changed) != 1 {
		t.Errorf("field removed: %+v, want a change", out)
	}
	if data, _, _ := unstructured.NestedStringMap(w.get(cm).Object, "data"); len(data) != 1 {
		t.Errorf("data = %v, want only x: a field removed from Git leaves the object", data)
	}
	managers := w.get(cm).GetManagedFields()
	if len(managers) != 1 || managers[0].Manager != FieldManager || managers[0].Operation != metav1.ManagedFieldsOperationApply {
		t.Errorf("managers = %v, want only our Apply", managers)
	}
}

// The first full comparison after an object was created makes our fields ours in the way of applying. Nobody has changed anything,
// and nobody is told of a change.
func TestApply_whatWasCreatedIsNoDriftLater(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cm := w.configMap("a", map[string]any{"x": "1"})
	w.apply(cm)
	if _, out := w.applyAll(true, cm); len(out.Confirmed) != 1 || len(out.Changed)+len(out.Drifted) != 0 {
		t.Errorf("compared again: %+v; want nothing changed, nothing drifted", out)
	}
	managers := w.get(cm).GetManagedFields()
	if len(managers) != 1 || managers[0].Operation != metav1.ManagedFieldsOperationApply {
		t.Errorf("managers = %v, want only our Apply", managers)
	}
	if err := w.admin.Delete(t.Context(), w.get(cm)); err != nil {
		t.Fatal(err)
	}
	if _, out := w.applyAll(true, cm); len(out.Drifted) != 1 || len(out.Drifted[0].Fields) != 0 {
		t.Errorf("deleted: %+v; want the drift told", out)
	}
}

func TestApply_takesBackForeignEdits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cm := w.configMap("a", map[string]any{"x": "1"})
	w.apply(cm)
	edited := w.get(cm)
	if err := unstructured.SetNestedField(edited.Object, "9", "data", "x"); err != nil {
		t.Fatal(err)
	}
	if err := w.admin.Update(t.Context(), edited, client.FieldOwner("kubectl-edit")); err != nil {
		t.Fatal(err)
	}
	if _, out := w.apply(cm); len(out.Changed) != 1 {
		t.Errorf("after an edit: %+v, want it applied again", out)
	}
	if data, _, _ := unstructured.NestedStringMap(w.get(cm).Object, "data"); data["x"] != "1" {
		t.Errorf("data = %v, want Git's", data)
	}
}

func TestApply_refusalHoldsTheWholeUnitOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	belongs := map[string]any{gitsync.AnnotationRollout: "reviews"}
	cm := w.configMap("in-unit", nil)
	cm.Content["metadata"].(map[string]any)["annotations"] = belongs
	service := w.object("v1", "Service", "reviews", map[string]any{"spec": map[string]any{"ports": []any{map[string]any{"port": int64(99999)}}}})
	rollout := w.object("sluice.dev/v1alpha1", "Rollout", "reviews", map[string]any{"spec": map[string]any{"host": "reviews", "subset": "v1"}})
	other := w.configMap("other", nil)
	_, out := w.apply(cm, service, rollout, other)
	if len(out.Refused) != 1 || out.Refused[0].ID != service.ID || out.Refused[0].Problem.Code != "S409" || out.Refused[0].Problem.Field != "spec.ports[0].port" {
		t.Fatalf("refused = %+v, want the Service by S409 at its port", out.Refused)
	}
	if !slices.Equal(out.Changed, []gitsync.ID{other.ID}) {
		t.Errorf("changed = %v, want only %s", out.Changed, other.ID)
	}
	for _, o := range []gitsync.Object{cm, service, rollout} {
		u := blank(o.ID, o.Version)
		if err := w.admin.Get(t.Context(), client.ObjectKeyFromObject(u), u); !apierrors.IsNotFound(err) {
			t.Errorf("%s: %v, want it not to exist", o.ID.Ref(), err)
		}
	}
}

func TestApply_refusalsHaveCodes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	immutable := w.object("v1", "Secret", "s", map[string]any{"type": "Opaque", "stringData": map[string]any{"k": "topsecret"}})
	w.apply(immutable)
	for _, row := range []struct {
		name string
		o    gitsync.Object
		code string
	}{
		{"kind that is not allowed", w.object("v1", "ServiceAccount", "x", nil), "S406"},
		{"kind that does not exist", w.object("none.example.com/v1", "Thing", "x", nil), "S412"},
		{"type of a Secret", w.object("v1", "Secret", "s", map[string]any{"type": "other", "stringData": map[string]any{"k": "topsecret"}}), "S407"},
		{"rule of a CRD", w.object("sluice.dev/v1alpha1", "Rollout", "x", map[string]any{"spec": map[string]any{"host": "x"}}), "S409"},
	} {
		owner := gitsync.Owner{Namespace: w.ns, Name: "shop"}
		set := gitsync.Plan(gitsync.Input{Owner: owner, Domain: "cluster.local", Want: []gitsync.Object{row.o}})
		out, err := w.applier.Apply(t.Context(), set)
		if err != nil || len(out.Refused) != 1 || out.Refused[0].Problem.Code != row.code || out.Refused[0].Problem.Hint == "" || strings.Contains(out.Refused[0].Problem.String(), "topsecret") {
			t.Errorf("%s: %+v, %v; want %s with a hint and no value", row.name, out.Refused, err, row.code)
		}
	}
}

func TestApply_adoptsWhatExists(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.admin.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "a"}, Data: map[string]string{"old": "1"}}, client.FieldOwner("kubectl-create")); err != nil {
		t.Fatal(err)
	}
	cm := w.configMap("a", map[string]any{"x": "1"})
	set, _ := w.apply(cm)
	before, _ := set.Union.Find(cm.ID)
	after, _ := w.have.Find(cm.ID)
	if before.Origin != gitsync.Adopted || after.Origin != gitsync.Adopted || after.UID == "" {
		t.Errorf("entry before %v, after %v; want Adopted both times", before, after)
	}
	if data, _, _ := unstructured.NestedStringMap(w.get(cm).Object, "data"); len(data) != 1 || data["x"] != "1" {
		t.Errorf("data = %v, want kubectl's fields taken over and gone", data)
	}
}

// An object says who made it from its first moment, through later changes and repairs; one that was there before says nothing.
func TestApply_saysWhoMadeAnObject(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.admin.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "theirs"}}); err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{"1", "2", "2", "3"} {
		ours, theirs := w.configMap("ours", map[string]any{"x": value}), w.configMap("theirs", map[string]any{"x": value})
		w.apply(ours, theirs)
		for o, want := range map[*gitsync.Object]string{&ours: w.ns + "/shop", &theirs: ""} {
			live := w.get(*o)
			if got := live.GetAnnotations()[gitsync.AnnotationMaker]; got != want {
				t.Errorf("%s at %s says %q made it, want %q", o.ID.Name, value, got, want)
			}
			if data, _, _ := unstructured.NestedString(live.Object, "data", "x"); data != value {
				t.Errorf("%s is at %q, want %q", o.ID.Name, data, value)
			}
		}
	}
	stray := w.get(w.configMap("ours", nil))
	stray.SetAnnotations(nil)
	if err := w.admin.Update(t.Context(), stray); err != nil {
		t.Fatal(err)
	}
	w.apply(w.configMap("ours", map[string]any{"x": "4"}))
	if got := w.get(w.configMap("ours", nil)).GetAnnotations()[gitsync.AnnotationMaker]; got != "" {
		t.Errorf("a mark that somebody removed is back: %q", got)
	}
}

func TestApply_leavesReplicasToAnAutoscaler(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	labels := map[string]any{"app": "a"}
	deployment := func(image string) gitsync.Object {
		return w.object("apps/v1", "Deployment", "a", map[string]any{"spec": map[string]any{"replicas": int64(1), "selector": map[string]any{"matchLabels": labels},
			"template": map[string]any{"metadata": map[string]any{"labels": labels}, "spec": map[string]any{"containers": []any{map[string]any{"name": "c", "image": image}}}}}})
	}
	hpa := w.object("autoscaling/v2", "HorizontalPodAutoscaler", "a", map[string]any{"spec": map[string]any{"maxReplicas": int64(9),
		"scaleTargetRef": map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "name": "a"}}})
	w.apply(deployment("one"), hpa)
	scaled := w.get(deployment("one"))
	if err := w.admin.SubResource("scale").Patch(t.Context(), scaled, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"replicas":7}}`))); err != nil {
		t.Fatal(err)
	}
	w.apply(deployment("two"), hpa)
	live := w.get(deployment("two"))
	if n, _, _ := unstructured.NestedInt64(live.Object, "spec", "replicas"); n != 7 {
		t.Errorf("replicas = %d, want the autoscaler's 7", n)
	}
}

func TestPrune_onlyTheObjectThatWasSeen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.configMap("a", nil), w.configMap("b", nil)
	w.apply(a, b)
	removal := func(o gitsync.Object) gitsync.Removal {
		u := w.get(o)
		return gitsync.Removal{ID: o.ID, Version: o.Version, UID: string(u.GetUID()), ResourceVersion: u.GetResourceVersion()}
	}
	stale := removal(a)
	stale.UID = "11111111-1111-1111-1111-111111111111"
	gone, err := w.applier.Prune(t.Context(), []gitsync.Removal{stale, removal(b)})
	if err != nil || !slices.Equal(gone, []gitsync.ID{b.ID}) {
		t.Errorf("gone = %v, %v; want only %s", gone, err, b.ID)
	}
	w.get(a)
}

func TestSession_lateWriteDoesNotBringBackWhatWasDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cm := w.configMap("a", map[string]any{"x": "1"})
	w.apply(cm)
	s := session(&deleting{Client: w.applier.(*Applier).client, after: func(ctx context.Context) {
		if err := w.admin.Delete(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "a"}}); err != nil && !apierrors.IsNotFound(err) {
			t.Error(err)
		}
	}})
	err := s.apply(t.Context(), gitsync.Item{Object: w.configMap("a", map[string]any{"x": "2"})})
	if !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
		t.Errorf("apply after deletion: %v, want a conflict", err)
	}
	u := blank(cm.ID, cm.Version)
	if err := w.admin.Get(t.Context(), client.ObjectKeyFromObject(u), u); !apierrors.IsNotFound(err) {
		t.Errorf("the object is back: %v", err)
	}
}

// deleting lets something happen between reading and writing.
type deleting struct {
	client.Client
	after func(context.Context)
}

// Patch implements client.Client.
func (d *deleting) Patch(ctx context.Context, o client.Object, p client.Patch, opts ...client.PatchOption) error {
	err := d.Client.Patch(ctx, o, p, opts...)
	if len((&client.PatchOptions{}).ApplyOptions(opts).DryRun) > 0 {
		d.after(ctx)
	}
	return err
}

func TestSession_versionThatMovedUnderAMetadataPatchIsAConflict(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.admin.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "a"}, Data: map[string]string{"old": "1"}}, client.FieldOwner("kubectl-create")); err != nil {
		t.Fatal(err)
	}
	edits := 0
	s := session(&editing{Client: w.applier.(*Applier).client, before: func(ctx context.Context) {
		edits++
		patch := fmt.Appendf(nil, `{"metadata":{"annotations":{"seen":"%d"}}}`, edits)
		cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "a"}}
		if err := w.admin.Patch(ctx, cm, client.RawPatch(types.MergePatchType, patch)); err != nil {
			t.Error(err)
		}
	}})
	err := s.apply(t.Context(), gitsync.Item{Object: w.configMap("a", map[string]any{"x": "1"})})
	if edits == 0 || !apierrors.IsConflict(err) {
		t.Errorf("apply over %d edits in between: %v, want a conflict, which is tried again", edits, err)
	}
}

// editing lets something happen right before each metadata patch.
type editing struct {
	client.Client
	before func(context.Context)
}

// Patch implements client.Client.
func (e *editing) Patch(ctx context.Context, o client.Object, p client.Patch, opts ...client.PatchOption) error {
	if p.Type() == types.JSONPatchType {
		e.before(ctx)
	}
	return e.Client.Patch(ctx, o, p, opts...)
}
