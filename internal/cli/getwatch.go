package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	kubejson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
)

// watcher prints each change of objects until all of them rest.
type watcher struct {
	options *getOptions
	streams Streams
	kind    resource
	name    string
	shown   map[string]string // what was printed of an object, by its name
	resting map[string]bool
	last    *v1alpha1.Rollout // of a watch of one rollout
	rows    *tableRows
}

// watch prints objects and each of their changes until they rest, unless --follow is given.
func (o *getOptions) watch(ctx context.Context, s Streams, kind resource, name string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, o.watching.timeout, errTimeout)
	defer cancel()
	w := &watcher{options: o, streams: s, kind: kind, name: name, shown: map[string]string{}, resting: map[string]bool{}, rows: newTableRows(s.Out, o)}
	for {
		done, err := w.round(ctx)
		switch {
		case context.Cause(ctx) != nil:
			what := kind.plural + " do not rest"
			if name != "" {
				what = strings.TrimSuffix(kind.plural, "s") + " " + name + " does not rest"
			}
			return ended(ctx, what, o.watching.timeout, "sluice get "+kind.plural)
		case err != nil:
			return err
		case done:
			return w.verdict()
		}
		if err := pause(ctx, rewatch); err != nil {
			continue // the next round says how it ended
		}
	}
}

// pause waits, unless the context ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// verdict is the exit of a watch of one rollout; of others there is none.
func (w *watcher) verdict() error {
	if w.last == nil || w.name == "" {
		return nil
	}
	return (&statusOptions{}).verdict(view.Status(w.last))
}

// round lists, prints what is new, and follows until all rest or the watch breaks.
func (w *watcher) round(ctx context.Context) (done bool, err error) {
	plain := *w.options
	if w.name != "" {
		plain.fields = "metadata.name=" + w.name
	}
	found, version, err := plain.fetch(ctx, w.kind, "")
	if err != nil {
		if exit, ok := errors.AsType[*Exit](err); ok && exit.Code == ExitUnreachable && len(w.shown) > 0 {
			return false, nil // it was there: the server comes back
		}
		return false, err
	}
	if w.name != "" && len(found) == 0 {
		missing := &observer{cluster: w.options.cluster, plural: w.kind.plural, name: w.name, seen: len(w.shown) > 0}
		return false, missing.missing()
	}
	for _, one := range found {
		if err := w.show(ctx, one); err != nil {
			return false, err
		}
	}
	if w.rests() {
		return true, nil
	}
	stream, err := plain.request(w.kind, "").Param("limit", "").Param("watch", "true").Param("resourceVersion", version).Stream(ctx)
	if err != nil {
		return false, nil //nolint:nilerr // the next round lists again, and says what is wrong if it still is
	}
	defer stream.Close() //nolint:errcheck // nothing is written
	return w.listen(ctx, stream)
}

// listen prints changes as they come.
func (w *watcher) listen(ctx context.Context, stream io.Reader) (bool, error) {
	in := json.NewDecoder(stream)
	for {
		var event struct {
			Type   string
			Object json.RawMessage
		}
		if err := in.Decode(&event); err != nil {
			return false, nil //nolint:nilerr // the connection ended, as it does from time to time: the next round lists again
		}
		one := map[string]any{}
		if event.Type != "ADDED" && event.Type != "MODIFIED" && event.Type != "DELETED" {
			return false, nil // such as an expired resource version
		}
		if err := kubejson.Unmarshal(event.Object, &one); err != nil {
			return false, fmt.Errorf("watching %s: %w", w.kind.plural, err)
		}
		if event.Type == "DELETED" {
			if err := w.gone(one); err != nil {
				return false, err
			}
		} else if err := w.show(ctx, w.options.tidy(one, w.kind)); err != nil {
			return false, err
		}
		if w.rests() {
			return true, nil
		}
	}
}

func (w *watcher) gone(one map[string]any) error {
	key := keyOf(one)
	delete(w.shown, key)
	delete(w.resting, key)
	if w.name != "" {
		return (&observer{cluster: w.options.cluster, plural: w.kind.plural, name: w.name, seen: true}).missing()
	}
	_, err := fmt.Fprintf(w.streams.Err, "%s was deleted\n", key)
	return err
}

func keyOf(one map[string]any) string {
	u := unstructured.Unstructured{Object: one}
	return u.GetNamespace() + "/" + u.GetName()
}

// show prints an object that has changed, and notes whether it rests.
func (w *watcher) show(ctx context.Context, one map[string]any) error {
	u := unstructured.Unstructured{Object: one}
	key := keyOf(one)
	w.resting[key] = w.atRest(one)
	if w.shown[key] == u.GetResourceVersion() {
		return nil
	}
	w.shown[key] = u.GetResourceVersion()
	if !w.options.output.people() {
		return w.options.output.document(w.streams.Out, one)
	}
	return w.rows.print(ctx, w.kind, u.GetNamespace(), u.GetName())
}

// rests reports that there is nothing more to wait for.
func (w *watcher) rests() bool {
	for _, rests := range w.resting {
		if !rests {
			return false
		}
	}
	return !w.options.watching.follow
}

// atRest reports that an object changes no more by itself.
func (w *watcher) atRest(one map[string]any) bool {
	if w.kind.kind == v1alpha1.KindRollout {
		ro := &v1alpha1.Rollout{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(one, ro); err != nil {
			return false
		}
		w.last = ro
		return view.Status(ro).Standing != view.Moving
	}
	if _, has := one["status"]; !has {
		return w.kind.kind == v1alpha1.KindMetricTemplate
	}
	var object struct {
		Status struct {
			ObservedGeneration int64              `json:"observedGeneration"`
			Conditions         []metav1.Condition `json:"conditions"`
		} `json:"status"`
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(one, &object); err != nil {
		return false
	}
	generation, _, _ := unstructured.NestedInt64(one, "metadata", "generation")
	moving := v1alpha1.Condition(object.Status.Conditions, v1alpha1.ConditionReconciling)
	ready := v1alpha1.Condition(object.Status.Conditions, v1alpha1.ConditionReady)
	return object.Status.ObservedGeneration >= generation && moving == nil && ready != nil
}

// tableRows prints rows of tables below one line of names, each when it comes.
type tableRows struct {
	options *getOptions
	tab     interface {
		io.Writer
		Flush() error
	}
	rows int
	last map[string]string
}

func newTableRows(out io.Writer, o *getOptions) *tableRows {
	return &tableRows{options: o, tab: printers.GetNewTabWriter(out), last: map[string]string{}}
}

// print asks the server for the row of an object and prints it, unless it looks as it did.
func (r *tableRows) print(ctx context.Context, kind resource, namespace, name string) error {
	req := r.options.cluster.client.Get().Resource(kind.plural).Namespace(namespace).Name(name).SetHeader("Accept", asTable)
	raw, err := answer(ctx, req)
	if err != nil {
		return nil //nolint:nilerr // it is gone, or the server is: the watch will tell
	}
	table := &metav1.Table{}
	if err := unmarshal(raw, table); err != nil {
		return err
	}
	if err := decodeRows(table); err != nil {
		return err
	}
	cells := fmt.Sprint(cellsOf(table, r.options.output.format == "wide"))
	if r.last[namespace+"/"+name] == cells || len(table.Rows) == 0 {
		return nil
	}
	r.last[namespace+"/"+name] = cells
	p := printers.NewTablePrinter(printers.PrintOptions{
		Wide: r.options.output.format == "wide", WithNamespace: r.options.all, NoHeaders: r.options.noHeader || r.rows > 0,
	})
	r.rows++
	if err := p.PrintObj(table, r.tab); err != nil {
		return err
	}
	return r.tab.Flush()
}

// cellsOf are the cells of a table that are printed, but for ages.
func cellsOf(table *metav1.Table, wide bool) []any {
	var out []any
	for _, row := range table.Rows {
		for i, cell := range row.Cells {
			if c := table.ColumnDefinitions[i]; c.Type != "date" && (wide || c.Priority == 0) {
				out = append(out, cell)
			}
		}
	}
	return out
}
