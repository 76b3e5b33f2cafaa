package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kuberesource "k8s.io/cli-runtime/pkg/resource"
	"k8s.io/client-go/dynamic"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
	"github.com/sluice-dev/sluice/gitsync"
)

// traceOptions are the flags of `sluice trace`.
type traceOptions struct {
	cluster *cluster
	output  *output
	domain  string
}

func newTrace(s Streams) *cobra.Command {
	o := &traceOptions{}
	cmd := &cobra.Command{
		Use:   "trace KIND/NAME",
		Short: "Say which commit an object came from and how far it got",
		Long: "Follow an object of the cluster: the Source and the commit that brought it, the Rollouts that it belongs to, and the\n" +
			"proxies that run their traffic.\n\n" +
			"Exit code: 0 it came from Git, 1 it did not, 2 usage, 5 not found, 6 no answer, 7 not authorised.",
		Example: "  sluice trace rollout/reviews -n bookinfo\n" +
			"  sluice trace deployment/reviews-v2 -o json",
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), s, args) },
	}
	o.cluster = addCluster(cmd)
	o.output = addOutput(cmd)
	cmd.ValidArgsFunction = o.cluster.kindAndName("rollouts", "sources", "notifiers", "metrictemplates")
	cmd.Flags().StringVar(&o.domain, "domain-suffix", "cluster.local", "suffix of the names of Kubernetes services")
	return cmd
}

func (o *traceOptions) run(ctx context.Context, s Streams, args []string) error {
	if err := o.output.ready(); err != nil {
		return err
	}
	if len(args) == 1 && !strings.Contains(args[0], "/") {
		return &Exit{Code: ExitUsage, Err: fmt.Errorf("%q: write KIND/NAME", args[0]), Next: "sluice trace rollout/" + args[0]}
	}
	if err := o.cluster.connect(); err != nil {
		return err
	}
	object, err := o.find(args)
	if err != nil {
		return err
	}
	v, err := o.trace(ctx, object)
	if err != nil {
		return err
	}
	err = o.output.show(s, v, v.Text)
	if err == nil && v.Source == nil {
		return &Exit{Code: ExitNo}
	}
	return err
}

// ours names a kind of ours by its group, for another tool may serve one of the same name: rollouts are everybody's.
func ours(args []string) []string {
	kind, name, err := subject(args)
	if err != nil || name == "" {
		return args
	}
	return []string{kind.plural + "." + v1alpha1.Group + "/" + name}
}

// find reads the object by any name of its kind that the server knows.
func (o *traceOptions) find(args []string) (*unstructured.Unstructured, error) {
	infos, err := kuberesource.NewBuilder(o.cluster.flags).Unstructured().NamespaceParam(o.cluster.namespace).DefaultNamespace().
		ResourceTypeOrNameArgs(false, ours(args)...).SingleResourceType().Flatten().Do().Infos()
	what := "getting " + strings.Join(args, " ")
	if err != nil {
		return nil, failed(what, err)
	}
	if len(infos) != 1 {
		return nil, &Exit{Code: ExitUsage, Err: fmt.Errorf("%s: want one object, these are %d", what, len(infos))}
	}
	found, ok := infos[0].Object.(*unstructured.Unstructured)
	if !ok {
		return nil, fmt.Errorf("%s: the server sent a %T", what, infos[0].Object)
	}
	return found, nil
}

func (o *traceOptions) trace(ctx context.Context, object *unstructured.Unstructured) (view.TraceView, error) {
	found := asObject(object)
	v := view.TraceView{APIVersion: view.APIVersion, Kind: view.KindTraceView, Object: found.ID.Ref(), Rollouts: []view.TraceRollout{}, Proxies: []view.ExceptionView{}}
	if err := o.origin(ctx, object, &v); err != nil {
		return v, err
	}
	rollouts, err := o.rollouts(ctx, found)
	if err != nil {
		return v, err
	}
	reports := &v1alpha1.FleetReportList{}
	if err := o.cluster.client.Get().Resource("fleetreports").Do(ctx).Into(reports); err != nil {
		return v, failed("listing fleetreports", err)
	}
	fleet := view.Fleet(concerned(reports.Items, rollouts))
	for i := range rollouts {
		v.Rollouts = append(v.Rollouts, view.Traced(&rollouts[i], fleet))
	}
	if len(rollouts) > 0 {
		v.Proxies = fleet.Exceptions
	}
	return v, nil
}

// concerned gives the reports of replicas whose proxies have to do with one of the Rollouts.
func concerned(reports []v1alpha1.FleetReport, rollouts []v1alpha1.Rollout) []v1alpha1.FleetReport {
	return slices.DeleteFunc(slices.Clone(reports), func(r v1alpha1.FleetReport) bool {
		return !slices.ContainsFunc(r.Status.Splits, func(s v1alpha1.FleetSplit) bool {
			return slices.ContainsFunc(rollouts, func(ro v1alpha1.Rollout) bool { return s.Split == ro.Namespace+"/"+ro.Name })
		})
	})
}

// origin tells which Source and commit the object's marks name, and what that Source says of the commit.
func (o *traceOptions) origin(ctx context.Context, object *unstructured.Unstructured, v *view.TraceView) error {
	labels, marks := object.GetLabels(), object.GetAnnotations()
	if labels[v1alpha1.LabelSourceName] == "" {
		return nil
	}
	v.Source = &view.TraceSource{Namespace: labels[v1alpha1.LabelSourceNamespace], Name: labels[v1alpha1.LabelSourceName], Path: marks[v1alpha1.AnnotationPath]}
	v.Commit = &view.TraceCommit{ID: marks[v1alpha1.AnnotationCommit], Author: marks[v1alpha1.AnnotationCommitAuthor], Subject: marks[v1alpha1.AnnotationCommitSubject]}
	if at, err := time.Parse(time.RFC3339, marks[v1alpha1.AnnotationCommitTime]); err == nil {
		v.Commit.Time = &at
	}
	src := &v1alpha1.Source{}
	err := o.cluster.client.Get().Namespace(v.Source.Namespace).Resource("sources").Name(v.Source.Name).Do(ctx).Into(src)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return failed("getting source "+v.Source.Name, err)
	}
	v.Source.URL, v.Source.Revision = src.Spec.URL, src.Status.LastAppliedRevision
	if ready := v1alpha1.Condition(src.Status.Conditions, v1alpha1.ConditionReady); ready != nil {
		v.Source.Reason = ready.Reason
	}
	v.Commit.Verifies = src.Spec.Verify != nil
	if applied := src.Status.Commit; applied != nil && applied.ID == v.Commit.ID && applied.Signer != "" {
		v.Commit.Signer = &applied.Signer
	}
	return nil
}

// rollouts gives those that an object belongs to, by the relations that a Source goes by.
func (o *traceOptions) rollouts(ctx context.Context, object gitsync.Object) ([]v1alpha1.Rollout, error) {
	list := &v1alpha1.RolloutList{}
	if err := o.cluster.client.Get().Namespace(object.ID.Namespace).Resource("rollouts").Do(ctx).Into(list); err != nil {
		return nil, failed("listing rollouts", err)
	}
	if object.ID.GroupKind() == "Rollout.sluice.dev" {
		return slices.DeleteFunc(list.Items, func(ro v1alpha1.Rollout) bool { return ro.Name != object.ID.Name }), nil
	}
	relatives, err := o.relatives(ctx, object.ID.Namespace)
	if err != nil {
		return nil, err
	}
	relatives = append(slices.DeleteFunc(relatives, func(r gitsync.Object) bool { return r.ID == object.ID }), object)
	return slices.DeleteFunc(list.Items, func(ro v1alpha1.Rollout) bool { return !o.belongs(ro, object.ID, relatives) }), nil
}

// belongs reports whether an object is of the unit of a Rollout.
func (o *traceOptions) belongs(ro v1alpha1.Rollout, id gitsync.ID, relatives []gitsync.Object) bool {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&ro)
	if err != nil {
		return false
	}
	own := gitsync.Object{ID: gitsync.ID{Group: v1alpha1.Group, Kind: v1alpha1.KindRollout, Namespace: ro.Namespace, Name: ro.Name}, Version: v1alpha1.Version, Content: content}
	for _, u := range gitsync.Units(append(slices.Clone(relatives), own), nil, o.domain) {
		if len(u.Rollouts) > 0 && slices.Contains(u.Objects, id) {
			return true
		}
	}
	return false
}

// relatives are the objects of a namespace by which others are related to Rollouts. Kinds that the cluster lacks are none.
func (o *traceOptions) relatives(ctx context.Context, namespace string) ([]gitsync.Object, error) {
	client, err := dynamic.NewForConfig(o.cluster.config)
	if err != nil {
		return nil, err
	}
	mesh := schema.GroupVersion{Group: "networking.istio.io", Version: "v1"}
	apps := schema.GroupVersion{Group: "apps", Version: "v1"}
	var out []gitsync.Object
	for _, kind := range []schema.GroupVersionResource{
		{Version: "v1", Resource: "services"}, apps.WithResource("deployments"), apps.WithResource("statefulsets"),
		mesh.WithResource("destinationrules"), mesh.WithResource("virtualservices"), mesh.WithResource("serviceentries"),
	} {
		list, err := client.Resource(kind).Namespace(namespace).List(ctx, metav1.ListOptions{})
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, failed("listing "+kind.Resource, err)
		}
		for i := range list.Items {
			out = append(out, asObject(&list.Items[i]))
		}
	}
	return out, nil
}

// asObject gives an object of the cluster as the wing for Git knows it.
func asObject(u *unstructured.Unstructured) gitsync.Object {
	gvk := u.GroupVersionKind()
	return gitsync.Object{ID: gitsync.ID{Group: gvk.Group, Kind: gvk.Kind, Namespace: u.GetNamespace(), Name: u.GetName()}, Version: gvk.Version, Content: u.Object}
}
