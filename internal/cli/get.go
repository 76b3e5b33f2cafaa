package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kubejson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/api/problem"
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
		{"fleetreports", v1alpha1.KindFleetReport, []string{"proxies", "proxy", "fleetreports", "fleetreport"}},
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
	output   *output
	look     *look
	all      bool
	labels   string
	fields   string
	noHeader bool
	managed  bool
	watching watching
}

// watching are the flags of a verb that can go on looking.
type watching struct {
	on      bool
	follow  bool
	timeout time.Duration
}

func newGet(s Streams) *cobra.Command {
	o := &getOptions{}
	cmd := &cobra.Command{
		Use:   "get KIND [NAME]",
		Short: "List rollouts, sources, notifiers, metrictemplates or proxies",
		Long: "List objects as kubectl does: rollouts, sources, notifiers, metrictemplates. -o gives the objects themselves.\n" +
			"proxies are those that are not in sync, as the replicas report them; -o gives the reports.\n\n" +
			"With --watch, a line for each change until everything rests. For one rollout on a terminal, a view of it instead, with the\n" +
			"keys p promote, r roll back, e evidence, q quit; its last frame stays.\n\n" +
			"Exit code: 0 printed; 2 wrong usage; 5 not found; 6 no answer; 7 not authorised. With --watch of one rollout also\n" +
			"1 it cannot start, 3 rolled back, 4 paused; 124 --timeout, 130 interrupted.",
		Example: "  sluice get rollouts -A\n" +
			"  sluice get rollout reviews -n bookinfo -o wide\n" +
			"  sluice get rollout reviews --watch\n" +
			"  sluice get sources -o json\n" +
			"  sluice get rollouts -o custom-columns=NAME:.metadata.name,WEIGHT:.status.weight\n" +
			"  sluice get proxies",
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd.Context(), s, args, cmd.Flags().Changed("namespace"))
		},
	}
	o.cluster, o.output, o.look = addCluster(cmd), addOutput(cmd, "wide"), addLook(cmd)
	f := cmd.Flags()
	f.BoolVarP(&o.all, "all-namespaces", "A", false, "of all namespaces")
	f.StringVarP(&o.labels, "selector", "l", "", "only objects with these labels")
	f.StringVar(&o.fields, "field-selector", "", "only objects with these fields, such as metadata.name=reviews")
	f.BoolVar(&o.noHeader, "no-headers", false, "no line with the names of the columns")
	f.BoolVar(&o.managed, "show-managed-fields", false, "with -o: keep metadata.managedFields")
	f.BoolVarP(&o.watching.on, "watch", "w", false, "go on until everything rests")
	f.BoolVar(&o.watching.follow, "follow", false, "with --watch: go on when everything rests, too")
	f.DurationVar(&o.watching.timeout, "timeout", 30*time.Minute, "with --watch: at most this long")
	cmd.ValidArgsFunction = o.complete
	return cmd
}

// complete completes KIND, then NAME.
func (o *getOptions) complete(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 && !strings.Contains(typed, "/") {
		var out []string
		for _, r := range resources() {
			out = append(out, r.names[0])
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
	word, _, _ := strings.Cut(append(args, typed)[0], "/")
	kind, known := resourceOf(word)
	if !known || kind.kind == v1alpha1.KindFleetReport {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return o.cluster.nameOf(kind.plural, len(args))(cmd, args, typed)
}

func (o *getOptions) run(ctx context.Context, s Streams, args []string, within bool) error {
	kind, name, err := subject(args)
	if err != nil {
		return err
	}
	if err := o.check(kind, name); err != nil {
		return err
	}
	screen, err := o.look.on(s)
	if err != nil {
		return err
	}
	if err := o.cluster.connect(); err != nil {
		return err
	}
	switch {
	case kind.kind == v1alpha1.KindFleetReport:
		return o.proxies(ctx, s, name, within)
	case o.watching.on && kind.kind == v1alpha1.KindRollout && name != "" && o.output.format == "" && screen.live:
		return o.live(ctx, s, screen, name)
	case o.watching.on:
		return o.watch(ctx, s, kind, name)
	case o.output.people():
		return o.table(ctx, s, kind, name)
	}
	return o.objects(ctx, s, kind, name)
}

// check refuses flags that do not go together.
func (o *getOptions) check(kind resource, name string) error {
	if err := o.output.ready(); err != nil {
		return err
	}
	o.output.stream = o.watching.on
	switch {
	case name != "" && (o.all || o.labels != "" || o.fields != ""):
		return &Exit{Code: ExitUsage, Err: errors.New("a name goes with neither -A nor a selector"), Next: "sluice get " + kind.names[0] + " " + name}
	case o.watching.on && kind.kind == v1alpha1.KindFleetReport:
		return &Exit{Code: ExitUsage, Err: errors.New("proxies cannot be watched; their reports can"), Next: "kubectl get fleetreports -A --watch"}
	case o.watching.follow && !o.watching.on, o.watching.timeout <= 0:
		return &Exit{Code: ExitUsage, Err: errors.New("--follow and --timeout belong to --watch, and --timeout is above 0"), Next: "sluice get " + kind.names[0] + " --watch"}
	case o.managed && o.output.people():
		return &Exit{Code: ExitUsage, Err: errors.New("--show-managed-fields belongs to -o json, yaml and templates"), Next: "sluice get " + kind.names[0] + " -o yaml --show-managed-fields"}
	}
	return nil
}

// subject reads KIND, KIND NAME or KIND/NAME.
func subject(args []string) (resource, string, error) {
	word, name, slashed := strings.Cut(args[0], "/")
	kind, known := resourceOf(word)
	switch {
	case !known:
		return kind, "", unknownKind(word)
	case slashed && (len(args) > 1 || name == ""):
		return kind, "", &Exit{Code: ExitUsage, Err: fmt.Errorf("%q: write KIND NAME or KIND/NAME", strings.Join(args, " "))}
	case slashed:
		return kind, name, nil
	case len(args) > 1:
		return kind, args[1], nil
	}
	return kind, "", nil
}

// unknownKind names the kind that was probably meant.
func unknownKind(word string) error {
	var all []string
	for _, r := range resources() {
		all = append(all, r.names...)
	}
	next := "sluice get rollouts"
	if near := problem.Nearest(word, all); near != "" {
		next = "sluice get " + near
	}
	return &Exit{Code: ExitUsage, Err: fmt.Errorf("%q is not a kind of %s", word, v1alpha1.Group), Next: next}
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
			Wide: o.output.format == "wide", WithNamespace: o.all, NoHeaders: o.noHeader || rows > 0,
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
		for n, cell := range row.Cells {
			if text, ok := cell.(string); ok {
				row.Cells[n] = problem.Clean(text, 4*problem.MaxMessage)
				if n < len(table.ColumnDefinitions) && table.ColumnDefinitions[n].Name == "REVISION" {
					row.Cells[n] = shortRevision(text)
				}
			}
		}
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
func (o *getOptions) objects(ctx context.Context, s Streams, kind resource, name string) error {
	found, _, err := o.fetch(ctx, kind, name)
	if err != nil {
		return err
	}
	if name != "" {
		return o.output.document(s.Out, found[0])
	}
	items := make([]any, 0, len(found))
	for _, one := range found {
		items = append(items, one)
	}
	return o.output.document(s.Out, map[string]any{"kind": "List", "apiVersion": "v1", "metadata": map[string]any{}, "items": items})
}

// fetch reads one object or all of them, and the version of the list.
func (o *getOptions) fetch(ctx context.Context, kind resource, name string) (found []map[string]any, version string, err error) {
	for next := ""; ; {
		req := o.request(kind, name)
		if next != "" {
			req = req.Param("continue", next)
		}
		raw, err := answer(ctx, req)
		if err != nil {
			return nil, "", failed("getting "+kind.plural, err)
		}
		page := map[string]any{}
		if err := kubejson.Unmarshal(raw, &page); err != nil {
			return nil, "", fmt.Errorf("getting %s: %w", kind.plural, err)
		}
		if name != "" {
			return []map[string]any{o.tidy(page, kind)}, "", nil
		}
		items, _ := page["items"].([]any)
		for _, item := range items {
			if one, ok := item.(map[string]any); ok {
				found = append(found, o.tidy(one, kind))
			}
		}
		list := unstructured.Unstructured{Object: page}
		version, _, _ = unstructured.NestedString(list.Object, "metadata", "resourceVersion")
		if next, _, _ = unstructured.NestedString(list.Object, "metadata", "continue"); next == "" {
			return found, version, nil
		}
	}
}

// tidy names the kind, and leaves out who manages which field.
func (o *getOptions) tidy(one map[string]any, kind resource) map[string]any {
	u := &unstructured.Unstructured{Object: one}
	u.SetGroupVersionKind(v1alpha1.GroupVersion().WithKind(kind.kind))
	if !o.managed {
		u.SetManagedFields(nil)
	}
	return u.Object
}
