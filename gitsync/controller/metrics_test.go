package controller

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/gitserver"
	"github.com/sluice-dev/sluice/test/kube"
)

// measured gives the series of a Controller by name and labels: values of counters and gauges, counts of histograms.
func measured(t *testing.T, c *Controller) map[string]float64 {
	t.Helper()
	r := prometheus.NewRegistry()
	r.MustRegister(c.Collectors()...)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			name := strings.TrimPrefix(f.GetName(), "sluice_source_")
			for _, l := range m.Label {
				name += " " + l.GetValue()
			}
			out[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return out
}

func TestMetrics_followASource(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at := " " + w.ns + " shop"
	wait := func(want map[string]float64) {
		t.Helper()
		kube.Eventually(t, soon, func() error {
			got := measured(t, w.controller)
			for name, value := range want {
				if got[name] != value {
					return fmt.Errorf("%s = %v, want %v; all: %v", name, got[name], value, got)
				}
			}
			return nil
		})
	}
	first := w.push("first", map[string]string{"app/a.yaml": configMap("a", "one"), "app/b.yaml": "kind: [\n"})
	w.source(nil)
	w.ready(v1alpha1.ReasonContentInvalid, first)
	wait(map[string]float64{"objects" + at + " applied": 1, "problems S501" + at: 1, "polls_total New": 1})
	if got := measured(t, w.controller)["last_success_timestamp_seconds"+at]; got == 0 || got > float64(time.Now().Unix()) {
		t.Errorf("the last success of a Source that never was ready is %v, want when it was made", got)
	}

	second := w.push("second", map[string]string{"app/b.yaml": configMap("b", "one")})
	w.hint(second)
	w.ready(v1alpha1.ReasonApplied, second)
	wait(map[string]float64{"objects" + at + " applied": 2, "objects" + at + " pending": 0, "polls_total New": 2, "hooks_total Generic 202": 1, "push_to_applied_seconds": 1, "suspended" + at: 0})
	if measured(t, w.controller)["last_success_timestamp_seconds"+at] == 0 {
		t.Error("no time of the last success")
	}

	w.git.SetFault("/app.git", gitserver.Fault{Status: 503})
	w.hint("")
	wait(map[string]float64{"polls_total " + v1alpha1.ReasonUnreachable: 1})
	if err := w.client.Delete(t.Context(), &v1alpha1.Source{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "shop"}}); err != nil {
		t.Fatal(err)
	}
	kube.Eventually(t, soon, func() error {
		for name := range measured(t, w.controller) {
			if strings.Contains(name, w.ns) {
				return fmt.Errorf("%s stays after the Source is gone", name)
			}
		}
		return nil
	})
}

// A Source that does not come to rest has a last success from the first pass of a process on, so that the alert on it sees it.
func TestLastSuccess_isKnownAfterARestart(t *testing.T) {
	t.Parallel()
	made, turned, known, now := time.Unix(1000, 0), time.Unix(2000, 0), time.Unix(3000, 0), time.Unix(4000, 0)
	for _, c := range []struct {
		name     string
		ready    metav1.ConditionStatus // empty: there is none
		reason   string
		failures int32
		applied  string
		known    time.Time
		want     time.Time
	}{
		{name: "is ready", ready: metav1.ConditionTrue, reason: v1alpha1.ReasonApplied, applied: "main@sha1:1", known: known, want: now},
		{name: "fails for a while", ready: metav1.ConditionFalse, reason: v1alpha1.ReasonUnreachable, failures: 5, applied: "main@sha1:1", known: known, want: known},
		{name: "was ready until a restart, the remote is away", ready: metav1.ConditionTrue, reason: v1alpha1.ReasonApplied, failures: 1, applied: "main@sha1:1", want: now},
		{name: "had failed before a restart", ready: metav1.ConditionFalse, reason: v1alpha1.ReasonUnreachable, failures: 1, applied: "main@sha1:1", want: turned},
		{name: "was under way before a restart", ready: metav1.ConditionUnknown, reason: v1alpha1.ReasonApplying, applied: "main@sha1:1", want: turned},
		{name: "never worked", ready: metav1.ConditionFalse, reason: v1alpha1.ReasonContentInvalid, want: made},
		{name: "is new", want: made},
	} {
		src := &v1alpha1.Source{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(made)}}
		src.Status.Failures, src.Status.LastAppliedRevision = c.failures, c.applied
		if c.ready != "" {
			src.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: c.ready, Reason: c.reason, LastTransitionTime: metav1.NewTime(turned)}}
		}
		if got := lastSuccess(src, c.known, now); !got.Equal(c.want) {
			t.Errorf("%s: %d, want %d", c.name, got.Unix(), c.want.Unix())
		}
	}
}

func TestRun_saysHowACommitCameIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := types.NamespacedName{Namespace: w.ns, Name: "shop"}
	first := w.push("first", map[string]string{"app/a.yaml": configMap("a", "one")})
	w.source(nil)
	w.ready(v1alpha1.ReasonApplied, first)
	before := time.Now()
	second := w.push("second", map[string]string{"app/a.yaml": configMap("a", "two")})
	w.hint(second)
	w.ready(v1alpha1.ReasonApplied, second)
	kube.Eventually(t, soon, func() error {
		run, known := w.controller.Run(key, second)
		order := []time.Time{before, run.Heard, run.Fetch.From, run.Fetch.To, run.Render.From, run.Render.To, run.Apply.From, run.Apply.To, time.Now()}
		if !known || !slices.IsSortedFunc(order, time.Time.Compare) || run.Heard.Equal(run.Fetch.From) {
			return fmt.Errorf("run %+v (known: %v), want the hint, then fetch, render, apply", run, known)
		}
		return nil
	})
	if run, known := w.controller.Run(key, first); !known || !run.Heard.Equal(run.Fetch.From) {
		t.Errorf("run %+v (known: %v), want one that a look found", run, known)
	}
	if _, known := w.controller.Run(key, ""); known {
		t.Error("no commit is known")
	}
}
