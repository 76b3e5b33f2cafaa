package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	example "github.com/sluice-dev/sluice/examples/demo"
)

const (
	lookTimeout = 5 * time.Second
	maxAnswer   = 4 << 20
)

// api is the demo's own view of the API server.
type api struct {
	client client.Client
	config *rest.Config
	http   *http.Client
}

func newAPI(cfg *rest.Config) (*api, error) {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return nil, err
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	c, err := client.New(cfg, client.Options{Scheme: scheme})
	if err != nil {
		return nil, err
	}
	h, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, err
	}
	return &api{client: c, config: cfg, http: h}, nil
}

// look reads the Rollout and the Source of the demo.
func (a *api) look(ctx context.Context) (Look, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	key := client.ObjectKey{Namespace: example.Namespace, Name: example.Rollout}
	var source v1alpha1.Source
	if err := a.client.Get(ctx, key, &source); err != nil {
		return Look{}, fmt.Errorf("looking at the Source: %w", err)
	}
	out := Look{Ready: "Unknown", Revision: source.Status.LastAppliedRevision}
	if c := meta.FindStatusCondition(source.Status.Conditions, v1alpha1.ConditionReady); c != nil && c.Status != metav1.ConditionTrue {
		out.Source = c.Reason + ": " + c.Message
	}
	var ro v1alpha1.Rollout
	if err := a.client.Get(ctx, key, &ro); err != nil {
		return out, fmt.Errorf("looking at the Rollout (the Source says %q): %w", out.Source, err)
	}
	if ro.Status == nil {
		return out, nil
	}
	st := ro.Status
	out.Attempt, out.Weight, out.Stable = st.Attempt, int(st.Weight), st.Stable.Name
	if c := meta.FindStatusCondition(st.Conditions, v1alpha1.ConditionReady); c != nil {
		out.Ready, out.Reason, out.Message = string(c.Status), c.Reason, c.Message
	}
	if st.Analysis != nil && len(st.Analysis.Metrics) > 0 {
		out.Harm, out.Safe = st.Analysis.Metrics[0].Harm, st.Analysis.Metrics[0].Safe
	}
	return out, nil
}

// listing gives the head and the Rollout's line as kubectl get shows them: the API server renders the cells, from the
// columns of the CRD.
func (a *api) listing(ctx context.Context) (head, line string, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	path := fmt.Sprintf("%s/apis/%s/namespaces/%s/rollouts/%s", a.config.Host, v1alpha1.GroupVersion(), example.Namespace, example.Rollout)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	if err != nil {
		return "", "", err
	}
	req.Header.Set("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
	resp, err := a.http.Do(req)
	if err != nil {
		return "", "", fmt.Errorf("asking for the Rollout's line: %w", err)
	}
	defer resp.Body.Close()
	var table metav1.Table
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&table); err != nil {
		return "", "", fmt.Errorf("asking for the Rollout's line: %s: %w", resp.Status, err)
	}
	if len(table.Rows) != 1 {
		return "", "", fmt.Errorf("asking for the Rollout's line: %s with %d rows", resp.Status, len(table.Rows))
	}
	head, line = aligned(table)
	return head, line, nil
}

// aligned gives the head and the first row, of the columns that are shown without -o wide.
func aligned(table metav1.Table) (head, line string) {
	var names, cells []string
	for i, column := range table.ColumnDefinitions {
		if column.Priority > 0 || i >= len(table.Rows[0].Cells) {
			continue
		}
		text := ""
		if cell := table.Rows[0].Cells[i]; cell != nil {
			text = fmt.Sprint(cell)
		}
		names, cells = append(names, strings.ToUpper(column.Name)), append(cells, text)
	}
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 6, 4, 3, ' ', 0)
	fmt.Fprintln(w, strings.Join(names, "\t"))
	fmt.Fprintln(w, strings.Join(cells, "\t"))
	_ = w.Flush() // a strings.Builder takes everything
	lines := strings.Split(trimLines(out.String()), "\n")
	return lines[0], lines[1]
}
