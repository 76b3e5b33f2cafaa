package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
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

// line gives the Rollout's line as kubectl get shows it: the API server renders it, from the columns of the CRD.
func (a *api) line(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	path := fmt.Sprintf("%s/apis/%s/namespaces/%s/rollouts/%s", a.config.Host, v1alpha1.GroupVersion(), example.Namespace, example.Rollout)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
	resp, err := a.http.Do(req)
	if err != nil {
		return "", fmt.Errorf("asking for the Rollout's line: %w", err)
	}
	defer resp.Body.Close()
	var table metav1.Table
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&table); err != nil || len(table.Rows) != 1 {
		return "", fmt.Errorf("asking for the Rollout's line: %s with %d rows: %w", resp.Status, len(table.Rows), err)
	}
	return tableLine(table), nil
}

// tableLine joins the cells of the first row that are shown without -o wide.
func tableLine(table metav1.Table) string {
	var cells []string
	for i, column := range table.ColumnDefinitions {
		if column.Priority > 0 || i >= len(table.Rows[0].Cells) {
			continue
		}
		text := ""
		if cell := table.Rows[0].Cells[i]; cell != nil {
			text = fmt.Sprint(cell)
		}
		if text == "" {
			text = "<none>"
		}
		cells = append(cells, text)
	}
	return strings.Join(cells, " ")
}
