package mixin

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/rules"
	"sigs.k8s.io/yaml"
)

const files = "../../charts/sluice/files/"

// suite is a file in promtool's format, as far as it is used.
type suite struct {
	RuleFiles []string `json:"rule_files"`
	Every     duration `json:"evaluation_interval"`
	Tests     []story  `json:"tests"`
}

type story struct {
	Name     string        `json:"name"`
	Interval duration      `json:"interval"`
	Series   []inputSeries `json:"input_series"`
	Alerts   []expectation `json:"alert_rule_test"`
}

type inputSeries struct {
	Series string `json:"series"`
	Values string `json:"values"`
}

type expectation struct {
	At    duration `json:"eval_time"`
	Alert string   `json:"alertname"`
	Want  []alert  `json:"exp_alerts"`
}

type alert struct {
	Labels      map[string]string `json:"exp_labels"`
	Annotations map[string]string `json:"exp_annotations"`
}

// duration is one as Prometheus writes it.
type duration struct{ time.Duration }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *duration) UnmarshalText(text []byte) error {
	read, err := model.ParseDuration(string(text))
	d.Duration = time.Duration(read)
	return err
}

func read(t *testing.T) suite {
	t.Helper()
	text, err := os.ReadFile(files + "alerts_test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var s suite
	if err := yaml.UnmarshalStrict(text, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// group loads the rules for a storage.
func group(t *testing.T, every time.Duration, load *promqltest.LazyLoader) *rules.Group {
	t.Helper()
	m := rules.NewManager(&rules.ManagerOptions{
		QueryFunc: rules.EngineQueryFunc(load.QueryEngine(), load.Storage()), Appendable: load.Storage(), Context: t.Context(),
		NotifyFunc: func(context.Context, string, ...*rules.Alert) {}, Logger: slog.New(slog.DiscardHandler),
	})
	groups, errs := m.LoadGroups(every, labels.EmptyLabels(), "", nil, false, files+"alerts.yaml")
	if len(errs) > 0 || len(groups) != 1 {
		t.Fatalf("%d groups: %v", len(groups), errs)
	}
	for _, g := range groups {
		return g
	}
	return nil
}

func TestAlerts_fireAsTheirFileSays(t *testing.T) {
	s := read(t)
	fired, quiet := map[string]bool{}, map[string]bool{}
	for _, one := range s.Tests {
		t.Run(one.Name, func(t *testing.T) {
			for _, e := range one.Alerts {
				if len(e.Want) > 0 {
					fired[e.Alert] = true
				} else {
					quiet[e.Alert] = true
				}
			}
			one.play(t, s.Every.Duration)
		})
	}
	load, err := promqltest.NewLazyLoader("load 1m\n", promqltest.LazyLoaderOpts{EnableAtModifier: true, EnableNegativeOffset: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = load.Close() }()
	for _, r := range group(t, s.Every.Duration, load).Rules() {
		if !fired[r.Name()] || !quiet[r.Name()] {
			t.Errorf("%s: fires in a test: %v, does not in one: %v; want both", r.Name(), fired[r.Name()], quiet[r.Name()])
		}
		a, ok := r.(*rules.AlertingRule)
		if !ok {
			t.Errorf("%s is no alert", r.Name())
			continue
		}
		want := "https://github.com/sluice-dev/sluice/blob/main/docs/telemetry.md#" + strings.ToLower(r.Name())
		if got := a.Annotations().Get("runbook_url"); got != want {
			t.Errorf("%s leads to %q, want %q", r.Name(), got, want)
		}
	}
}

// play lets time pass and compares what fires with what is to.
func (s story) play(t *testing.T, every time.Duration) {
	t.Helper()
	input := fmt.Sprintf("load %s\n", model.Duration(s.Interval.Duration))
	end := time.Duration(0)
	for _, one := range s.Series {
		input += "  " + one.Series + " " + one.Values + "\n"
	}
	for _, e := range s.Alerts {
		end = max(end, e.At.Duration)
	}
	load, err := promqltest.NewLazyLoader(input, promqltest.LazyLoaderOpts{EnableAtModifier: true, EnableNegativeOffset: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = load.Close() }()
	g := group(t, every, load)
	for _, r := range g.Rules() {
		if a, ok := r.(*rules.AlertingRule); ok {
			a.SetRestored(true)
		}
	}
	for at := time.Duration(0); at <= end; at += every {
		ts := time.Unix(0, 0).UTC().Add(at)
		load.WithSamplesTill(ts, func(err error) {
			if err != nil {
				t.Fatal(err)
			}
			g.Eval(t.Context(), ts)
			for _, r := range g.Rules() {
				if r.LastError() != nil {
					t.Fatalf("%s: %v", r.Name(), r.LastError())
				}
			}
		})
		for _, e := range s.Alerts {
			if e.At.Duration == at {
				e.compare(t, g)
			}
		}
	}
}

func (e expectation) compare(t *testing.T, g *rules.Group) {
	t.Helper()
	var got []map[string]string
	known := false
	for _, r := range g.Rules() {
		a, ok := r.(*rules.AlertingRule)
		if !ok || a.Name() != e.Alert {
			continue
		}
		known = true
		for _, one := range a.ActiveAlerts() {
			if one.State != rules.StateFiring {
				continue
			}
			all := one.Labels.Map()
			delete(all, "alertname")
			if len(e.Want) > 0 && e.Want[0].Annotations != nil {
				for k, v := range one.Annotations.Map() {
					all["annotation "+k] = v
				}
			}
			got = append(got, all)
		}
	}
	if !known {
		t.Errorf("there is no alert %s", e.Alert)
	}
	var want []map[string]string
	for _, w := range e.Want {
		all := maps.Clone(w.Labels)
		for k, v := range w.Annotations {
			all["annotation "+k] = v
		}
		want = append(want, all)
	}
	order := func(a, b map[string]string) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) }
	slices.SortFunc(got, order)
	slices.SortFunc(want, order)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s after %s (-want +got)\n%s", e.Alert, e.At, diff)
	}
}
