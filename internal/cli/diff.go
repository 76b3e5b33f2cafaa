package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
	"github.com/sluice-dev/sluice/gitsync"
	"github.com/sluice-dev/sluice/gitsync/apply"
	"github.com/sluice-dev/sluice/internal/cli/lint"
	"github.com/sluice-dev/sluice/xds/manifest"
)

// diffOptions are the flags of `sluice diff`.
type diffOptions struct {
	rendering
	cluster *cluster
	base    string
	output  *output
	domain  string
	root    string
}

func newDiff(s Streams) *cobra.Command {
	o := &diffOptions{}
	cmd := &cobra.Command{
		Use:   "diff [PATH]",
		Short: "Say what a directory would change, in the cluster or against another revision",
		Long: "Compare what a Source would apply from a directory with the live objects, by a dry run of the server; or, with --base,\n" +
			"with another revision of the repository, without a cluster. Says what changes traffic, what starts an attempt, and\n" +
			"which of Envoy's resources and answers change.\n\n" +
			"Exit code: 0 no difference, 1 differences, 2 usage or a file that would not be applied, 6 no answer, 7 not authorised.",
		Example: "  sluice diff deploy -n bookinfo\n" +
			"  sluice diff deploy --base origin/main -o json",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) > 0 {
				dir = args[0]
			}
			return o.run(cmd.Context(), s, dir)
		},
	}
	o.cluster = addCluster(cmd)
	o.flags(cmd, &o.domain)
	f := cmd.Flags()
	f.StringVar(&o.base, "base", "", "revision of the directory's repository to compare with, in place of the cluster")
	o.output = addOutput(cmd)
	f.StringVar(&o.root, "mesh-root-namespace", "istio-system", "namespace whose DestinationRules hold for the whole mesh")
	return cmd
}

// side is one of the two states.
type side struct {
	name    string
	objects []gitsync.Object
	around  []gitsync.Object // what else is there that traffic depends on
}

func (o *diffOptions) run(ctx context.Context, s Streams, dir string) error {
	if err := o.output.ready(); err != nil {
		return err
	}
	o.namespace = cmp.Or(*o.cluster.flags.Namespace, "default")
	if o.base == "" {
		if err := o.cluster.connect(); err != nil {
			return err
		}
		o.namespace = o.cluster.namespace
	}
	wanted, err := o.directory(ctx, dir)
	if err != nil {
		return fetchExit(err)
	}
	printProblems(s, wanted.problems)
	if wanted.refused() {
		return &Exit{Code: ExitUsage, Err: errors.New("not all of it would be applied"), Next: nextExplain(wanted)}
	}
	var from, to side
	if o.base != "" {
		from, to, err = o.revisions(ctx, s, dir, wanted)
	} else {
		from, to, err = o.live(ctx, wanted)
	}
	if err != nil {
		return err
	}
	return o.print(s, o.compare(from, to))
}

func (o *diffOptions) compare(from, to side) view.DiffView {
	v := view.DiffView{APIVersion: view.APIVersion, Kind: view.KindDiffView, From: from.name, To: to.name, Objects: []view.ObjectChange{}, Proxies: []view.ProxyChange{}}
	v.Objects = append(v.Objects, objectChanges(from.objects, to.objects, o.domain)...)
	if len(v.Objects) > 0 {
		keepStable(from.objects, to.objects)
		options := lint.Options{Partial: true, DomainSuffix: o.domain, RootNamespace: o.root}
		v.Proxies = append(v.Proxies, proxyChanges(lint.Proxies(from.mesh(), options), lint.Proxies(to.mesh(), options))...)
	}
	return v
}

// mesh is what the compiler reads of a side.
func (d side) mesh() *manifest.Mesh {
	m := manifest.New()
	for _, o := range slices.Concat(d.objects, d.around) {
		m.Add(manifest.Item{Path: o.Path, Content: o.Content})
	}
	return m
}

// keepStable gives Rollouts whose version changes the stable version from before: a change starts an attempt at weight 0
// and moves nothing by itself.
func keepStable(from, to []gitsync.Object) {
	before := byID(from)
	for _, o := range to {
		was, had := before[o.ID]
		if o.ID.GroupKind() != "Rollout.sluice.dev" || !had {
			continue
		}
		subset, _, _ := unstructured.NestedString(was.Content, "spec", "subset")
		if was.Content["status"] == nil && o.Content["status"] == nil && subset != "" {
			o.Content["status"] = map[string]any{"stable": map[string]any{"name": subset}}
		}
	}
}

// revisions compares files with a revision of their repository.
func (o *diffOptions) revisions(ctx context.Context, s Streams, dir string, wanted rendition) (from, to side, err error) {
	d, err := openDir(dir)
	if err != nil {
		return from, to, err
	}
	tree, err := openRevision(ctx, d.tree.top, o.base)
	if err != nil {
		return from, to, &Exit{Code: ExitUsage, Err: err, Next: "git -C " + dir + " log --oneline"}
	}
	base, err := o.tree(ctx, tree, path.Join(d.path, o.path))
	if err != nil {
		return from, to, err
	}
	if base.refused() {
		fmt.Fprintf(s.Err, "%s itself has problems; what of it can be read is compared\n", view.Short(base.commit.ID))
	}
	return side{name: o.base + "@" + view.Short(base.commit.ID), objects: base.objects}, side{name: dir, objects: wanted.objects}, nil
}

// live compares with the cluster: what the server would store is asked by a dry run.
func (o *diffOptions) live(ctx context.Context, wanted rendition) (from, to side, err error) {
	client, err := dynamic.NewForConfig(o.cluster.config)
	if err != nil {
		return from, to, err
	}
	mapper, err := o.cluster.flags.ToRESTMapper()
	if err != nil {
		return from, to, failed("learning the kinds of the cluster", err)
	}
	from.name, to.name = "the cluster", "the files"
	for _, object := range wanted.objects {
		mapped, err := mapper.RESTMapping(schema.GroupKind{Group: object.ID.Group, Kind: object.ID.Kind}, object.Version)
		if meta.IsNoMatchError(err) {
			to.objects = append(to.objects, object)
			continue
		}
		if err != nil {
			return from, to, failed("finding the kind of "+object.ID.Ref(), err)
		}
		api := client.Resource(mapped.Resource).Namespace(object.ID.Namespace)
		was, is, err := dryRun(ctx, api, object)
		if err != nil {
			return from, to, failed("trying "+object.ID.Ref(), err)
		}
		if was != nil {
			from.objects = append(from.objects, *was)
		}
		to.objects = append(to.objects, *is)
	}
	removed, err := o.superfluous(ctx, client, mapper, wanted)
	if err != nil {
		return from, to, err
	}
	from.objects = append(from.objects, removed...)
	from.around, err = o.surroundings(ctx, client, slices.Concat(from.objects, to.objects))
	to.around = from.around
	return from, to, err
}

// dryRun gives an object as it is, nil if it is not, and as it would be.
func dryRun(ctx context.Context, api dynamic.ResourceInterface, object gitsync.Object) (was, is *gitsync.Object, err error) {
	live, err := api.Get(ctx, object.ID.Name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, nil, err
	}
	if err == nil {
		found := asObject(live)
		was = &found
	}
	content := &unstructured.Unstructured{Object: runtime.DeepCopyJSON(object.Content)}
	if was != nil {
		stamp(content, live)
	}
	stored, err := api.Apply(ctx, object.ID.Name, content, metav1.ApplyOptions{FieldManager: apply.FieldManager, Force: true, DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return nil, nil, err
	}
	made := asObject(stored)
	made.Path = object.Path
	return was, &made, nil
}

// stamp puts on what is tried what only Sources write on objects: without it, it would go, as nothing says it any more.
func stamp(content, live *unstructured.Unstructured) {
	with := func(mine, theirs map[string]string) map[string]string {
		out := maps.Clone(mine)
		for key, value := range theirs {
			if gitsync.ValidKey(key) {
				continue
			}
			if out == nil {
				out = map[string]string{}
			}
			out[key] = value
		}
		return out
	}
	if labels := with(content.GetLabels(), live.GetLabels()); labels != nil {
		content.SetLabels(labels)
	}
	if annotations := with(content.GetAnnotations(), live.GetAnnotations()); annotations != nil {
		content.SetAnnotations(annotations)
	}
}

// superfluous gives the live objects that the Source of these objects has applied and the files lack. Whether they are
// removed is for the Source to prove.
func (o *diffOptions) superfluous(ctx context.Context, client dynamic.Interface, mapper meta.RESTMapper, wanted rendition) ([]gitsync.Object, error) {
	sources := &v1alpha1.SourceList{}
	if err := o.cluster.client.Get().Namespace(o.namespace).Resource("sources").Do(ctx).Into(sources); err != nil {
		return nil, failed("listing sources", err)
	}
	want := byID(wanted.objects)
	var out []gitsync.Object
	for _, src := range sources.Items {
		have, err := gitsync.ParseInventory(src.Status.Inventory)
		if err != nil || !slices.ContainsFunc(have, func(e gitsync.Entry) bool { _, ok := want[e.ID]; return ok }) {
			continue
		}
		for _, e := range have {
			if _, ok := want[e.ID]; ok {
				continue
			}
			mapped, err := mapper.RESTMapping(schema.GroupKind{Group: e.ID.Group, Kind: e.ID.Kind}, e.Version)
			if meta.IsNoMatchError(err) {
				continue
			}
			if err != nil {
				return nil, failed("finding the kind of "+e.ID.Ref(), err)
			}
			live, err := client.Resource(mapped.Resource).Namespace(e.ID.Namespace).Get(ctx, e.ID.Name, metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				continue
			}
			if err != nil {
				return nil, failed("getting "+e.ID.Ref(), err)
			}
			out = append(out, asObject(live))
		}
	}
	return out, nil
}

// surroundings are the other objects of the namespaces concerned that traffic depends on.
func (o *diffOptions) surroundings(ctx context.Context, client dynamic.Interface, known []gitsync.Object) ([]gitsync.Object, error) {
	namespaces := map[string]bool{o.namespace: true}
	for _, object := range known {
		namespaces[object.ID.Namespace] = true
	}
	have := byID(known)
	mesh := schema.GroupVersion{Group: "networking.istio.io", Version: "v1"}
	var out []gitsync.Object
	for _, namespace := range slices.Sorted(maps.Keys(namespaces)) {
		for _, kind := range []schema.GroupVersionResource{
			{Version: "v1", Resource: "services"}, mesh.WithResource("gateways"), mesh.WithResource("destinationrules"), mesh.WithResource("virtualservices"),
			mesh.WithResource("serviceentries"), mesh.WithResource("sidecars"), v1alpha1.GroupVersion().WithResource("rollouts"),
		} {
			list, err := client.Resource(kind).Namespace(namespace).List(ctx, metav1.ListOptions{})
			if apierrors.IsNotFound(err) {
				continue
			}
			if err != nil {
				return nil, failed("listing "+kind.Resource, err)
			}
			for i := range list.Items {
				if found := asObject(&list.Items[i]); have[found.ID].Content == nil {
					out = append(out, found)
				}
			}
		}
	}
	return out, nil
}

func (o *diffOptions) print(s Streams, v view.DiffView) error {
	err := o.output.show(s, v, v.Text)
	if err == nil && !v.Empty() {
		return &Exit{Code: ExitNo}
	}
	return err
}
