package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// asTable asks the server for the table that kubectl shows.
const asTable = "application/json;as=Table;v=v1;g=meta.k8s.io"

// maxPage is how many objects one request may bring; more come page by page.
const maxPage = 500

// resource is a kind as people name it.
type resource struct {
	plural string
	kind   string
	names  []string // all ways to say it
}

func resources() []resource {
	return []resource{
		{"rollouts", v1alpha1.KindRollout, []string{"rollouts", "rollout", "slr"}},
		{"sources", v1alpha1.KindSource, []string{"sources", "source", "src"}},
		{"notifiers", v1alpha1.KindNotifier, []string{"notifiers", "notifier"}},
		{"metrictemplates", v1alpha1.KindMetricTemplate, []string{"metrictemplates", "metrictemplate", "mtpl"}},
	}
}

// resourceOf finds the kind that people mean by word; a group behind a dot may be ours only.
func resourceOf(word string) (resource, bool) {
	name, group, qualified := strings.Cut(strings.ToLower(word), ".")
	if qualified && group != v1alpha1.Group {
		return resource{}, false
	}
	for _, r := range resources() {
		for _, n := range r.names {
			if n == name {
				return r, true
			}
		}
	}
	return resource{}, false
}

// getOptions are the flags of `sluice get`.
type getOptions struct {
	cluster  *cluster
	print    *genericclioptions.PrintFlags
	all      bool
	labels   string
	fields   string
	noHeader bool
}

func newGet(s Streams) *cobra.Command {
	o := &getOptions{print: genericclioptions.NewPrintFlags("")}
	cmd := &cobra.Command{
		Use:   "get KIND [NAME]",
		Short: "List rollouts, sources, notifiers or metrictemplates",
		Long:  "List objects as kubectl does: rollouts, sources, notifiers, metrictemplates. -o gives the objects themselves.",
		Example: "  sluice get rollouts -A\n" +
			"  sluice get rollout reviews -n bookinfo -o wide\n" +
			"  sluice get sources -o json",
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), s, args) },
	}
	o.cluster = addCluster(cmd)
	f := cmd.Flags()
	f.BoolVarP(&o.all, "all-namespaces", "A", false, "of all namespaces")
	f.StringVarP(&o.labels, "selector", "l", "", "only objects with these labels")
	f.StringVar(&o.fields, "field-selector", "", "only objects with these fields, such as metadata.name=reviews")
	f.BoolVar(&o.noHeader, "no-headers", false, "no line with the names of the columns")
	o.print.AddFlags(cmd)
	f.Lookup("output").Usage = "wide, " + strings.Join(o.print.AllowedFormats(), ", ")
	return cmd
}

func (o *getOptions) run(ctx context.Context, s Streams, args []string) error {
	kind, name, err := subject(args)
	if err != nil {
		return err
	}
	if name != "" && (o.all || o.labels != "" || o.fields != "") {
		return &Exit{Code: ExitUsage, Err: errors.New("a name goes with neither -A nor a selector"), Next: "sluice get " + kind.plural + " " + name}
	}
	printer, err := o.printer()
	if err != nil {
		return err
	}
	if err := o.cluster.connect(); err != nil {
		return err
	}
	if printer == nil {
		return o.table(ctx, s, kind, name)
	}
	return o.objects(ctx, s.Out, kind, name, printer)
}

// subject reads KIND, KIND NAME or KIND/NAME.
func subject(args []string) (resource, string, error) {
	word, name, slashed := strings.Cut(args[0], "/")
	kind, known := resourceOf(word)
	switch {
	case !known:
		return kind, "", &Exit{Code: ExitUsage, Err: fmt.Errorf("%q is not a kind of %s", word, v1alpha1.Group), Next: "sluice get rollouts"}
	case slashed && (len(args) > 1 || name == ""):
		return kind, "", &Exit{Code: ExitUsage, Err: fmt.Errorf("%q: write KIND NAME or KIND/NAME", strings.Join(args, " "))}
	case slashed:
		return kind, name, nil
	case len(args) > 1:
		return kind, args[1], nil
	}
	return kind, "", nil
}

// printer gives the printer that -o asks for; nil for tables.
func (o *getOptions) printer() (printers.ResourcePrinter, error) {
	switch format := *o.print.OutputFormat; format {
	case "", "wide":
		return nil, nil
	}
	p, err := o.print.ToPrinter()
	if err != nil {
		return nil, &Exit{Code: ExitUsage, Err: err}
	}
	return p, nil
}

// request begins a request for one object or a list.
func (o *getOptions) request(kind resource, name string) *rest.Request {
	req := o.cluster.client.Get().Resource(kind.plural)
	if !o.all {
		req = req.Namespace(o.cluster.namespace)
	}
	if name != "" {
		return req.Name(name)
	}
	return req.Param("labelSelector", o.labels).Param("fieldSelector", o.fields).Param("limit", fmt.Sprint(maxPage))
}

func (o *getOptions) table(ctx context.Context, s Streams, kind resource, name string) error {
	out := printers.GetNewTabWriter(s.Out)
	rows, next := 0, ""
	for {
		req := o.request(kind, name).SetHeader("Accept", asTable)
		if next != "" {
			req = req.Param("continue", next)
		}
		raw, err := answer(ctx, req)
		if err != nil {
			return failed("getting "+kind.plural, err)
		}
		table := &metav1.Table{}
		if err := yaml.Unmarshal(raw, table); err != nil || table.Kind != "Table" {
			return &Exit{Code: ExitUsage, Err: fmt.Errorf("getting %s: the server did not answer with a table", kind.plural)}
		}
		if err := decodeRows(table); err != nil {
			return &Exit{Code: ExitUsage, Err: fmt.Errorf("getting %s: %w", kind.plural, err)}
		}
		p := printers.NewTablePrinter(printers.PrintOptions{
			Wide: *o.print.OutputFormat == "wide", WithNamespace: o.all, NoHeaders: o.noHeader || rows > 0,
		})
		rows += len(table.Rows)
		if len(table.Rows) > 0 {
			if err := p.PrintObj(table, out); err != nil {
				return err
			}
		}
		if next = table.Continue; next == "" {
			break
		}
	}
	if rows == 0 {
		fmt.Fprintln(s.Err, o.none(kind))
		return nil
	}
	return out.Flush()
}

// answer gives the body, or the server's own words on why there is none.
func answer(ctx context.Context, req *rest.Request) ([]byte, error) {
	result := req.Do(ctx)
	if err := result.Error(); err != nil {
		return nil, err
	}
	return result.Raw()
}

// decodeRows gives each row its object's metadata, which the namespace column is printed from.
func decodeRows(table *metav1.Table) error {
	for i := range table.Rows {
		row := &table.Rows[i]
		if len(row.Object.Raw) == 0 {
			continue
		}
		meta := &metav1.PartialObjectMetadata{}
		if err := yaml.Unmarshal(row.Object.Raw, meta); err != nil {
			return fmt.Errorf("reading row %d: %w", i+1, err)
		}
		row.Object.Object = meta
	}
	return nil
}

func (o *getOptions) none(kind resource) string {
	if o.all {
		return "no " + kind.plural + " found"
	}
	return fmt.Sprintf("no %s found in namespace %s", kind.plural, o.cluster.namespace)
}

// objects prints one object, or a List of all.
func (o *getOptions) objects(ctx context.Context, out io.Writer, kind resource, name string, p printers.ResourcePrinter) error {
	list := &unstructured.UnstructuredList{Object: map[string]any{"kind": "List", "apiVersion": "v1", "metadata": map[string]any{}}}
	for next := ""; ; {
		req := o.request(kind, name)
		if next != "" {
			req = req.Param("continue", next)
		}
		raw, err := answer(ctx, req)
		if err != nil {
			return failed("getting "+kind.plural, err)
		}
		if name != "" {
			one := &unstructured.Unstructured{}
			if err := one.UnmarshalJSON(raw); err != nil {
				return fmt.Errorf("getting %s: %w", kind.plural, err)
			}
			return p.PrintObj(one, out)
		}
		page := &unstructured.UnstructuredList{}
		if err := page.UnmarshalJSON(raw); err != nil {
			return fmt.Errorf("getting %s: %w", kind.plural, err)
		}
		for i := range page.Items {
			page.Items[i].SetGroupVersionKind(v1alpha1.GroupVersion().WithKind(kind.kind))
		}
		list.Items = append(list.Items, page.Items...)
		if next = page.GetContinue(); next == "" {
			return p.PrintObj(list, out)
		}
	}
}
