package app

import (
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

func known(t *testing.T) map[string]Metric {
	t.Helper()
	all, err := Metrics()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]Metric{}
	for _, m := range all {
		if _, twice := out[m.Name]; twice {
			t.Errorf("%s is measured twice", m.Name)
		}
		out[m.Name] = m
	}
	return out
}

func TestMetrics_pageIsCurrent(t *testing.T) {
	t.Parallel()
	all, err := Metrics()
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(page), Page(all)); diff != "" {
		t.Errorf("docs/metrics.md is not what the registry says (-page +registry); run scripts/generate:\n%s", diff)
	}
}

func TestMetrics_nameTypesAndLabelsAreThoseOfTheRules(t *testing.T) {
	t.Parallel()
	got := known(t)
	of := "namespace rollout"
	for name, want := range map[string]string{
		"build_info": "gauge version commit go", "leader": "gauge", "rollout_info": "gauge " + of + " host stable canary commit",
		"rollout_ready": "gauge " + of + " status reason", "rollout_weight_percent": "gauge " + of + " view", "rollout_step": "gauge " + of,
		"rollout_deadline_timestamp_seconds": "gauge " + of, "rollout_rejected": "gauge " + of, "rollout_brake": "gauge " + of,
		"rollout_transitions_total": "counter " + of + " reason", "rollout_attempts_total": "counter " + of + " outcome", "invariant_violations_total": "counter invariant",
		"rollout_push_to_weight_seconds": "histogram", "rollout_detect_seconds": "histogram", "rollout_zero_seconds": "histogram",
		"rollout_step_seconds": "histogram", "rollout_decision_seconds": "histogram",
		"analysis_verdicts_total": "counter " + of + " verdict", "analysis_requests_total": "counter " + of + " arm",
		"analysis_query_failures_total": "counter reason", "analysis_query_seconds": "histogram",
		"analysis_evidence": "gauge " + of + " metric kind", "analysis_blind": "gauge " + of,
		"source_last_success_timestamp_seconds": "gauge namespace source", "source_suspended": "gauge namespace source",
		"source_objects": "gauge namespace source state", "source_problems": "gauge namespace source code",
		"source_phase_seconds": "histogram phase", "source_fetch_bytes_total": "counter",
		"notify_sends_total": "counter sink result", "notify_send_seconds": "histogram sink result",
		"notify_pending": "gauge sink", "notify_oldest_pending_timestamp_seconds": "gauge sink",
	} {
		m := got["sluice_"+name]
		if text := strings.TrimSpace(m.Type + " " + strings.Join(m.Labels, " ")); text != want {
			t.Errorf("%s is %q, want %q", name, text, want)
		}
		if m.Type == "histogram" && !slices.Equal(m.Buckets, []float64{0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800}) {
			t.Errorf("%s has the buckets %v", name, m.Buckets)
		}
	}
	// A name says what a type is, and the other way round; no label may grow without end.
	for name, m := range got {
		if total := strings.HasSuffix(name, "_total"); total != (m.Type == "counter") {
			t.Errorf("%s is a %s", name, m.Type)
		}
		if !regexp.MustCompile(`^sluice_[a-z0-9_]+$`).MatchString(name) || m.Help == "" {
			t.Errorf("%s (%s): want a name of small letters, and words", name, m.Help)
		}
		for _, l := range m.Labels {
			if l == "commit" && !strings.HasSuffix(name, "_info") || l == "node" || l == "cluster" || l == "uid" || l == "attempt" {
				t.Errorf("%s has the label %s", name, l)
			}
		}
	}
}

func TestSwitch_isOnUntilItIsTurnedOff(t *testing.T) {
	t.Parallel()
	c := Config{}
	if !c.Telemetry.PerRollout.On() {
		t.Error("off by itself")
	}
	if err := c.Read("a.yaml", []byte(fileHead+"metrics: {perRollout: false}\n")); err != nil || c.Telemetry.PerRollout.On() {
		t.Errorf("on although the file says false (%v)", err)
	}
	if err := c.Telemetry.PerRollout.Set("true"); err != nil || !c.Telemetry.PerRollout.On() {
		t.Errorf("off although the flag says true (%v)", err)
	}
	if err := c.Telemetry.PerRollout.Set("maybe"); err == nil {
		t.Error("maybe was taken")
	}
}

func TestProcess_tellsVersionAndCommit(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	registry.MustRegister(process("v1.2.3", "c07aa19f0012", func() bool { return true })...)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, f := range families {
		for _, l := range f.Metric[0].Label {
			got[l.GetName()] = l.GetValue()
		}
	}
	if diff := cmp.Diff(map[string]string{"version": "v1.2.3", "commit": "c07aa19f0012", "go": runtime.Version()}, got); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
}
