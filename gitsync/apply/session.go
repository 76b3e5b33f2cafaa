package apply

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"

	"github.com/fluxcd/pkg/ssa"
	"github.com/fluxcd/pkg/ssa/jsondiff"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/gitsync"
)

const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// conditional is the client that the library works with for one object. It makes the library's writes conditional on
// what the library read: a patch carries the version that was seen, and an object that was not there is created, so
// that a late request never brings back what was deleted.
type conditional struct {
	client.Client
	exists  bool
	created bool
	live    *unstructured.Unstructured // as last read or written
	dry     *unstructured.Unstructured // what the server made of the last dry run
	replay  bool                       // answer the next read and the next dry run from memory; writes are conditional anyway
}

func session(c client.Client) *conditional {
	return &conditional{Client: c, live: &unstructured.Unstructured{}}
}

// resumed gives a session that goes on from what was seen of the item's object when it was planned, where that is known: it is
// not read a second time. What has changed since then is a conflict when it is written.
func resumed(c client.Client, it gitsync.Item) *conditional {
	s := session(c)
	seen, ok := it.Seen.(*unstructured.Unstructured)
	if s.replay = it.Absent || ok && seen.GroupVersionKind().Version == it.Object.Version; s.replay && ok {
		s.exists, s.live = true, seen
	}
	return s
}

// manager gives the library for this object. It never waits for readiness, so it needs no poller.
func (c *conditional) manager() *ssa.ResourceManager {
	return ssa.NewResourceManager(c, nil, ssa.Owner{Field: FieldManager, Group: "source.sluice.dev"})
}

// diff reports whether the live object is already as the item wants it, with no field left over from another way of
// applying; else the fields that differ.
func (c *conditional) diff(ctx context.Context, it gitsync.Item) (same bool, fields []string, err error) {
	opts := ssa.DefaultDiffOptions()
	opts.DriftIgnoreRules = ignored(it)
	entry, before, after, err := c.manager().Diff(ctx, desired(it), opts)
	if err != nil {
		return false, nil, err
	}
	if before != nil && after != nil {
		fields = gitsync.Differences(before.Object, after.Object, gitsync.MaxDriftFields)
	}
	return entry.Action == ssa.UnchangedAction && c.exists && !inherited(c.live), fields, nil
}

// again gives a session that goes on from what this one has read, without reading it once more.
func (c *conditional) again() *conditional {
	return &conditional{Client: c.Client, exists: c.exists, live: c.live, dry: c.dry, replay: true}
}

// apply writes the item where it differs.
func (c *conditional) apply(ctx context.Context, it gitsync.Item) error {
	opts := ssa.DefaultApplyOptions()
	opts.DriftIgnoreRules = ignored(it)
	opts.Cleanup = ssa.ApplyCleanupOptions{Annotations: []string{lastApplied}, FieldManagers: inheritedManagers()}
	_, err := c.manager().Apply(ctx, desired(it), opts)
	return err
}

// desired gives a copy of the item's content that the library may change.
func desired(it gitsync.Item) *unstructured.Unstructured {
	content, _ := runtime.DeepCopyJSONValue(it.Object.Content).(map[string]any)
	o := &unstructured.Unstructured{Object: content}
	o.SetNamespace(it.Object.ID.Namespace)
	return o
}

// ignored leaves replicas to an autoscaler.
func ignored(it gitsync.Item) []jsondiff.IgnoreRule {
	if !it.Scaled {
		return nil
	}
	return []jsondiff.IgnoreRule{{Paths: []string{"/spec/replicas"}, Selector: &jsondiff.Selector{Kind: it.Object.ID.Kind}}}
}

// inheritedManagers are those whose fields become ours: our own from creating, and kubectl's.
func inheritedManagers() []ssa.FieldManager {
	return []ssa.FieldManager{
		{Name: FieldManager, ExactMatch: true, OperationType: metav1.ManagedFieldsOperationUpdate},
		{Name: "kubectl", OperationType: metav1.ManagedFieldsOperationUpdate},
		{Name: "before-first-apply", OperationType: metav1.ManagedFieldsOperationUpdate},
	}
}

// inherited reports whether the live object has fields that only another way of applying owns.
func inherited(o *unstructured.Unstructured) bool {
	patches, err := ssa.PatchReplaceFieldsManagers(o, inheritedManagers(), FieldManager)
	return err != nil || len(patches) > 0 || o.GetAnnotations()[lastApplied] != ""
}

// Get implements client.Client and remembers what was read.
func (c *conditional) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	if c.replay {
		return c.answer(obj, key)
	}
	err := c.Client.Get(ctx, key, obj, opts...)
	switch {
	case err == nil:
		c.exists = true
		c.see(obj)
	case apierrors.IsNotFound(err):
		c.exists = false
	default:
		return fmt.Errorf("reading: %w", err)
	}
	return err
}

// answer reads from memory.
func (c *conditional) answer(obj client.Object, key client.ObjectKey) error {
	if !c.exists {
		return apierrors.NewNotFound(schema.GroupResource{Resource: obj.GetObjectKind().GroupVersionKind().Kind}, key.Name)
	}
	return copyInto(obj, c.live)
}

func copyInto(obj client.Object, from *unstructured.Unstructured) error {
	u, ok := obj.(*unstructured.Unstructured)
	if !ok {
		return fmt.Errorf("reading into %T: want unstructured content", obj)
	}
	u.Object = from.DeepCopy().Object
	return nil
}

func (c *conditional) see(obj client.Object) {
	if u, ok := obj.(*unstructured.Unstructured); ok {
		c.live = u.DeepCopy()
	}
}

// Patch implements client.Client.
func (c *conditional) Patch(ctx context.Context, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
	if patch.Type() == types.JSONPatchType {
		return c.patchMetadata(ctx, obj, patch, opts)
	}
	all := (&client.PatchOptions{}).ApplyOptions(opts)
	dry := len(all.DryRun) > 0
	if dry && c.replay && c.dry != nil {
		c.replay = false
		return copyInto(obj, c.dry)
	}
	opts = append(opts, client.FieldValidation(metav1.FieldValidationStrict))
	c.mark(obj)
	if !dry && !c.exists {
		if err := c.Create(ctx, obj, client.FieldOwner(FieldManager), client.FieldValidation(metav1.FieldValidationStrict)); err != nil {
			return err
		}
		c.created, c.exists = true, true
		c.see(obj)
		return nil
	}
	if !dry {
		obj.SetResourceVersion(c.live.GetResourceVersion())
	}
	if err := c.Client.Patch(ctx, obj, patch, opts...); err != nil {
		return err
	}
	if u, ok := obj.(*unstructured.Unstructured); ok && dry {
		c.dry = u.DeepCopy()
		return nil
	}
	c.see(obj)
	return nil
}

// mark says on an object that is created who made it, and keeps saying so. What was there already gets no such mark, whoever
// made it since it was last looked at: a create of it would be refused.
func (c *conditional) mark(obj client.Object) {
	labels := obj.GetLabels()
	maker := gitsync.Owner{Namespace: labels[gitsync.LabelSourceNamespace], Name: labels[gitsync.LabelSourceName]}.String()
	if c.exists {
		maker = c.live.GetAnnotations()[gitsync.AnnotationMaker]
	}
	if maker == "" {
		return
	}
	annotations := maps.Clone(obj.GetAnnotations())
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[gitsync.AnnotationMaker] = maker
	obj.SetAnnotations(annotations)
}

// patchMetadata adds a test of the version to a JSON patch.
func (c *conditional) patchMetadata(ctx context.Context, obj client.Object, patch client.Patch, opts []client.PatchOption) error {
	data, err := patch.Data(obj)
	if err != nil {
		return fmt.Errorf("reading a patch: %w", err)
	}
	var steps []any
	if err := json.Unmarshal(data, &steps); err != nil {
		return fmt.Errorf("reading a patch: %w", err)
	}
	test := map[string]any{"op": "test", "path": "/metadata/resourceVersion", "value": c.live.GetResourceVersion()}
	data, err = json.Marshal(append([]any{test}, steps...))
	if err != nil {
		return fmt.Errorf("writing a patch: %w", err)
	}
	if err := c.Client.Patch(ctx, obj, client.RawPatch(types.JSONPatchType, data), opts...); err != nil {
		return c.conflictOr(ctx, obj, err)
	}
	c.see(obj)
	return nil
}

// conflictOr tells why a patch with a test was refused: the server answers a failed test with the same 422 as a bad patch,
// so a version that has moved is a conflict, and anything else is err.
func (c *conditional) conflictOr(ctx context.Context, obj client.Object, err error) error {
	if !apierrors.IsInvalid(err) {
		return err
	}
	now := &unstructured.Unstructured{}
	now.SetGroupVersionKind(c.live.GroupVersionKind())
	if again := c.Client.Get(ctx, client.ObjectKeyFromObject(obj), now); again != nil || now.GetResourceVersion() == c.live.GetResourceVersion() {
		return err
	}
	resource := schema.GroupResource{Group: c.live.GroupVersionKind().Group, Resource: c.live.GetKind()}
	return apierrors.NewConflict(resource, obj.GetName(), err)
}

func deletion(r gitsync.Removal) *client.DeleteOptions {
	uid := types.UID(r.UID)
	policy := metav1.DeletePropagationBackground
	return &client.DeleteOptions{PropagationPolicy: &policy, Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &r.ResourceVersion}}
}
