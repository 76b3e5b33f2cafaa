package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/sluice-dev/sluice/gitsync"
)

// renderOptions are the flags of `sluice render`.
type renderOptions struct {
	rendering
	print  *genericclioptions.PrintFlags
	url    string
	ref    string
	secret string
	domain string
	digest bool
}

func newRender(s Streams) *cobra.Command {
	o := &renderOptions{print: genericclioptions.NewPrintFlags("").WithDefaultOutput("yaml")}
	cmd := &cobra.Command{
		Use:   "render [DIR]",
		Short: "Print the objects that a Source would apply",
		Long: "Render a directory, or a ref of a Git repository, as a Source does: the same files, checks and limits. Prints the\n" +
			"objects, or else what is wrong with them, with file, line and column. No cluster is asked and nothing is applied.\n\n" +
			"Exit code: 0 rendered, 1 something would not be applied, 2 wrong usage, 5 no such ref, 6 no answer, 7 not authorised.",
		Example: "  sluice render deploy\n" +
			"  sluice render deploy --path prod -n bookinfo --digest\n" +
			"  sluice render --git https://git.example.com/shop/deploy.git --ref main --path prod -o json",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), s, args) },
	}
	f := cmd.Flags()
	f.StringVar(&o.url, "git", "", "URL of a repository, in place of a directory")
	f.StringVar(&o.ref, "ref", "", "with --git: branch, tag, full ref name or commit id (default: the remote's HEAD)")
	f.StringVar(&o.secret, "secret", "", "with --git: file with the manifest of the Secret that spec.secretRef would name")
	f.StringSliceVar(&o.git.InsecureHosts, "insecure-host", nil, "with --git: host that may be asked over plain http; repeats")
	f.BoolVar(&o.digest, "digest", false, "give Rollouts the annotation sluice.dev/digest that they would get")
	f.StringVarP(&o.namespace, "namespace", "n", "default", "namespace of the Source, and of objects that name none")
	o.flags(cmd, &o.domain)
	o.print.AddFlags(cmd)
	f.Lookup("output").Usage = strings.Join(o.print.AllowedFormats(), ", ")
	return cmd
}

// flags are those that say how a Source would be set up.
func (r *rendering) flags(cmd *cobra.Command, domain *string) {
	f := cmd.Flags()
	f.StringVar(&r.path, "path", ".", "directory below it, as spec.path")
	f.StringArrayVar(&r.ignore, "ignore", nil, "pattern of files to leave out, as in spec.ignore; repeats")
	f.StringToStringVar(&r.set, "set", nil, "value of a variable, as in spec.substitute.vars: NAME=VALUE; repeats")
	f.StringArrayVar(&r.from, "from", nil, "file with the manifest of a ConfigMap or Secret, as in spec.substitute.from; repeats, a later one counts more")
	f.StringSliceVar(&r.git.Kinds, "kinds", nil, "kinds that the operator allows: Kind.group, Kind, *.group, * (default: those of progressive delivery)")
	f.BoolVar(&r.git.CrossNamespace, "cross-namespace", false, "the operator allows other namespaces, and kinds without one")
	f.StringVar(domain, "domain-suffix", "cluster.local", "suffix of the names of Kubernetes services")
}

func (o *renderOptions) run(ctx context.Context, s Streams, args []string) error {
	switch {
	case o.url != "" && len(args) > 0:
		return &Exit{Code: ExitUsage, Err: errors.New("give a directory or --git, not both"), Next: "sluice render --help"}
	case o.url == "" && (o.ref != "" || o.secret != "" || len(o.git.InsecureHosts) > 0):
		return &Exit{Code: ExitUsage, Err: errors.New("--ref, --secret and --insecure-host belong to --git URL"), Next: "sluice render --help"}
	}
	printer, err := o.print.ToPrinter()
	if err != nil {
		return &Exit{Code: ExitUsage, Err: err}
	}
	out, err := o.render(ctx, args)
	if err != nil {
		return fetchExit(err)
	}
	printProblems(s, out.problems)
	if out.refused() {
		return &Exit{Code: ExitNo, Next: nextExplain(out)}
	}
	if o.digest {
		if err := addDigests(out.objects, o.domain); err != nil {
			return err
		}
	}
	return o.printObjects(s, out, printer)
}

// nextExplain names the first code of what is wrong.
func nextExplain(r rendition) string { return "sluice explain " + r.problems[0].Code }

func (o *renderOptions) render(ctx context.Context, args []string) (rendition, error) {
	if o.url == "" {
		dir := "."
		if len(args) > 0 {
			dir = args[0]
		}
		return o.directory(ctx, dir)
	}
	from, err := remoteOf(o.url, o.secret)
	if err != nil {
		return rendition{}, err
	}
	return o.remote(ctx, from, o.ref)
}

// addDigests annotates Rollouts as a Source would.
func addDigests(objects []gitsync.Object, domain string) error {
	for _, ro := range objects {
		if ro.ID.GroupKind() != "Rollout.sluice.dev" {
			continue
		}
		sum, err := gitsync.Digest(ro, objects, domain)
		if err != nil {
			return fmt.Errorf("digest of %s: %w", ro.ID.Ref(), err)
		}
		u := &unstructured.Unstructured{Object: ro.Content}
		marks := u.GetAnnotations()
		if marks == nil {
			marks = map[string]string{}
		}
		marks[gitsync.AnnotationDigest] = sum
		u.SetAnnotations(marks)
	}
	return nil
}

// printObjects prints each object, or a List where a format is about the whole.
func (o *renderOptions) printObjects(s Streams, r rendition, p printers.ResourcePrinter) error {
	if format := *o.print.OutputFormat; format == "yaml" || format == "name" {
		for _, object := range r.objects {
			if err := p.PrintObj(&unstructured.Unstructured{Object: object.Content}, s.Out); err != nil {
				return err
			}
		}
		return nil
	}
	list := &unstructured.UnstructuredList{Object: map[string]any{"kind": "List", "apiVersion": "v1", "metadata": map[string]any{}}}
	for _, object := range r.objects {
		list.Items = append(list.Items, unstructured.Unstructured{Object: runtime.DeepCopyJSON(object.Content)})
	}
	return p.PrintObj(list, s.Out)
}
