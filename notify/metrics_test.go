package notify_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/notify"
)

// series gives what a Worker shows: values of counters and gauges, counts of histograms; of times only that there is one.
func series(t *testing.T, k *notify.Worker) map[string]float64 {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(k.Collectors()...)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			name := strings.TrimPrefix(f.GetName(), "sluice_notify_")
			for _, l := range m.Label {
				name += " " + l.GetValue()
			}
			out[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			if strings.HasPrefix(name, "oldest") {
				out[name] = 1
			}
		}
	}
	return out
}

func TestMetrics_sayWhatBecameOfNotes(t *testing.T) {
	w := newWorld("chat", "team")
	w.notifiers["team"].Spec.Webhook, w.notifiers["team"].Spec.Slack = nil, &v1alpha1.SlackSink{}
	refuse := true
	w.answer = func(notifier string, _ notify.Note) error {
		switch {
		case notifier == "team":
			return &notify.Failure{Hope: notify.None, Reason: v1alpha1.ReasonRefused, Err: errors.New("no")}
		case refuse:
			return errors.New("later")
		}
		return nil
	}
	running(t, w, func(t *testing.T, k *notify.Worker, pass func(time.Duration)) {
		k.Stored(outbox([]string{"chat", "team"}, 5))
		pass(100 * time.Millisecond)
		want := map[string]float64{
			"sends_total retry webhook": 1, "send_seconds retry webhook": 1, "pending webhook": 1, "oldest_pending_timestamp_seconds webhook": 1,
			"sends_total gaveUp slack": 1, "send_seconds gaveUp slack": 1, "pending slack": 0,
		}
		if diff := cmp.Diff(want, series(t, k)); diff != "" {
			t.Errorf("while one is refused (-want +got)\n%s", diff)
		}
		w.mu.Lock()
		refuse = false
		w.mu.Unlock()
		pass(time.Minute)
		want["sends_total sent webhook"], want["send_seconds sent webhook"], want["pending webhook"] = 1, 1, 0
		delete(want, "oldest_pending_timestamp_seconds webhook")
		if diff := cmp.Diff(want, series(t, k)); diff != "" {
			t.Errorf("after it was taken (-want +got)\n%s", diff)
		}
	})
}
