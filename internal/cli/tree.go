package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	lgtree "charm.land/lipgloss/v2/tree"
	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
	"github.com/sluice-dev/sluice/internal/cli/grove"
)

// treeOptions are the flags of `sluice tree`.
type treeOptions struct {
	cluster *cluster
	output  *output
	look    *look
	domain  string
}

func newTree(s Streams) *cobra.Command {
	o := &treeOptions{}
	cmd := &cobra.Command{
		Use:   "tree NAME",
		Short: "Show what hangs together: source, rollout, routes, versions, endpoints, proxies",
		Long: "Show what hangs together with a rollout: the Source that it comes from, the routes that it divides, its versions with\n" +
			"their shares and endpoints, and the proxies of each replica. -o mermaid draws a flowchart for a page.\n\n" +
			"Exit code: 0 printed, 2 usage, 5 not found, 6 no answer, 7 not authorised.",
		Example: "  sluice tree reviews -n bookinfo\n" +
			"  sluice tree reviews -o mermaid > reviews.mmd\n" +
			"  sluice tree reviews -o json",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), s, args[0]) },
	}
	o.cluster, o.output, o.look = addCluster(cmd), addOutput(cmd, "mermaid"), addLook(cmd)
	cmd.Flags().StringVar(&o.domain, "domain-suffix", "cluster.local", "suffix of the names of Kubernetes services")
	cmd.ValidArgsFunction = o.cluster.nameOf("rollouts", 0)
	return cmd
}

func (o *treeOptions) run(ctx context.Context, s Streams, arg string) error {
	name, err := rolloutName(arg)
	if err != nil {
		return err
	}
	if err := o.output.ready(); err != nil {
		return err
	}
	on, err := o.look.on(s)
	if err != nil {
		return err
	}
	if err := o.cluster.connect(); err != nil {
		return err
	}
	ro := &v1alpha1.Rollout{}
	if err := o.cluster.client.Get().Namespace(o.cluster.namespace).Resource("rollouts").Name(name).Do(ctx).Into(ro); err != nil {
		return failed("getting rollout "+name, err)
	}
	v, err := o.tree(ctx, ro)
	if err != nil {
		return err
	}
	return o.output.show(s, v, func() string {
		if o.output.format == "mermaid" {
			return v.Mermaid()
		}
		return drawTree(v.Root, on)
	})
}

// tree reads what hangs together with ro.
func (o *treeOptions) tree(ctx context.Context, ro *v1alpha1.Rollout) (view.TreeView, error) {
	st := view.Status(ro)
	v := view.TreeView{APIVersion: view.APIVersion, Kind: view.KindTreeView, Rollout: st.Rollout}
	g, err := o.cluster.grove(ctx, ro, o.domain)
	if err != nil {
		return v, err
	}
	node := view.Leaf(view.TreeRollout, ro.Name, st.Reason)
	if st.Place != nil {
		node.Weight = &st.Place.Weight
	}
	node.Children = append(node.Children, g.RouteNodes()...)
	node.Children = append(node.Children, g.Host())
	proxies, err := o.proxies(ctx, ro)
	if err != nil {
		return v, err
	}
	node.Children = append(node.Children, proxies...)
	v.Root = node
	if name := ro.Labels[v1alpha1.LabelSourceName]; name != "" {
		source := view.Leaf(view.TreeSource, cmp.Or(ro.Labels[v1alpha1.LabelSourceNamespace], ro.Namespace)+"/"+name, "n/a")
		if src := o.cluster.sourceOf(ctx, ro); src != nil {
			source.State = shortRevision(src.Status.LastAppliedRevision)
			if ready := v1alpha1.Condition(src.Status.Conditions, v1alpha1.ConditionReady); ready != nil {
				source.State = ready.Reason + "  " + source.State
			}
		}
		source.Children = []view.TreeNode{node}
		v.Root = source
	}
	return v, nil
}

// grove reads the objects of the rollout's namespace. Kinds that the cluster lacks, or that may not be read, are none.
func (c *cluster) grove(ctx context.Context, ro *v1alpha1.Rollout, domain string) (grove.Grove, error) {
	g := grove.Grove{Rollout: ro, Domain: domain}
	client, err := dynamic.NewForConfig(c.config)
	if err != nil {
		return g, err
	}
	mesh := schema.GroupVersion{Group: "networking.istio.io", Version: "v1"}
	discovery := schema.GroupVersion{Group: "discovery.k8s.io", Version: "v1"}
	for _, kind := range []struct {
		of   schema.GroupVersionResource
		into *[]unstructured.Unstructured
	}{
		{mesh.WithResource("virtualservices"), &g.Routes}, {mesh.WithResource("destinationrules"), &g.Rules},
		{mesh.WithResource("serviceentries"), &g.Entries}, {mesh.WithResource("workloadentries"), &g.Others}, {discovery.WithResource("endpointslices"), &g.Slices},
		{schema.GroupVersionResource{Version: "v1", Resource: "pods"}, &g.Pods},
	} {
		list, err := client.Resource(kind.of).Namespace(ro.Namespace).List(ctx, metav1.ListOptions{})
		switch {
		case apierrors.IsNotFound(err), apierrors.IsForbidden(err):
		case err != nil:
			return g, failed("listing "+kind.of.Resource, err)
		default:
			*kind.into = list.Items
		}
	}
	return g, nil
}

// proxies are the replicas that report the split of ro, each with its proxies that do not run it.
func (o *treeOptions) proxies(ctx context.Context, ro *v1alpha1.Rollout) ([]view.TreeNode, error) {
	list := &v1alpha1.FleetReportList{}
	if err := o.cluster.client.Get().Resource("fleetreports").Do(ctx).Into(list); err != nil {
		var exit *Exit
		if err := failed("listing fleetreports", err); errors.As(err, &exit) && exit.Code != ExitUnauthorized && exit.Code != ExitNotFound {
			return nil, err
		}
		return []view.TreeNode{view.Leaf(view.TreeProxies, "n/a", "their reports may not be read")}, nil
	}
	var out []view.TreeNode
	for _, s := range view.Fleet(list.Items).Splits {
		if s.Split != ro.Namespace+"/"+ro.Name {
			continue
		}
		node := view.Leaf(view.TreeProxies, "of "+s.Replica, fmt.Sprintf("%d of %d run seq %d", s.Acked, s.Connected, s.Seq))
		weight := s.Weight
		node.Weight = &weight
		for _, id := range s.Pending {
			node.Children = append(node.Children, view.Leaf(view.TreeProxy, id, "pending"))
		}
		if n := s.FirstNack; n != nil {
			node.Children = append(node.Children, view.Leaf(view.TreeProxy, n.Node, "rejected: "+n.Message))
		}
		out = append(out, node)
	}
	if len(out) == 0 {
		out = append(out, view.Leaf(view.TreeProxies, "n/a", "no replica reports it"))
	}
	return out, nil
}

// drawTree draws a node and what hangs below it.
func drawTree(root view.TreeNode, on screen) string {
	t := growTree(root, on)
	if on.ascii {
		t.Enumerator(func(children lgtree.Children, i int) string {
			if i == children.Length()-1 {
				return "`--"
			}
			return "|--"
		}).Indenter(func(children lgtree.Children, i int) string {
			if i == children.Length()-1 {
				return "   "
			}
			return "|  "
		})
	}
	return t.String() + "\n"
}

func growTree(n view.TreeNode, on screen) *lgtree.Tree {
	t := lgtree.Root(onScreen(n.Label(), on))
	for _, child := range n.Children {
		if len(child.Children) == 0 {
			t.Child(onScreen(child.Label(), on))
			continue
		}
		t.Child(growTree(child, on))
	}
	return t
}

// shortRevision is a revision with seven characters of its commit, as commits are named everywhere.
func shortRevision(revision string) string {
	ref, commit, ok := strings.Cut(revision, "@")
	if !ok {
		return revision
	}
	return ref + "@" + view.Short(commit[strings.Index(commit, ":")+1:])
}
