package controller

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/gitsync"
)

func TestBackoff_table(t *testing.T) {
	t.Parallel()
	for i, want := range []time.Duration{5, 10, 20, 40, 80, 160, 300, 300} {
		if got := backoff(i+1, gitsync.Unreachable, 0, 0.5); got != want*time.Second {
			t.Errorf("failure %d: %s, want %s", i+1, got, want*time.Second)
		}
	}
	for _, row := range []struct {
		reason gitsync.Reason
		asked  time.Duration
		u      float64
		want   time.Duration
	}{
		{gitsync.Unreachable, 0, 0, 4 * time.Second}, {gitsync.Unreachable, 0, 1, 6 * time.Second}, {gitsync.Throttled, time.Minute, 0.5, time.Minute},
		{gitsync.AuthFailed, 0, 0.5, 5 * time.Minute}, {gitsync.HistoryRewritten, 0, 0.5, 5 * time.Minute},
	} {
		if got := backoff(1, row.reason, row.asked, row.u); got != row.want {
			t.Errorf("%s after %s with %g: %s, want %s", row.reason, row.asked, row.u, got, row.want)
		}
	}
}

func TestInterval_spreads(t *testing.T) {
	t.Parallel()
	for u, want := range map[float64]time.Duration{0: 27 * time.Second, 0.5: 30 * time.Second, 1: 33 * time.Second} {
		if got := interval(30*time.Second, u); got.Round(time.Millisecond) != want {
			t.Errorf("interval with %g: %s, want %s", u, got, want)
		}
	}
}

// After a start what was applied before is looked at within ten seconds, what is new or changed at once.
func TestBegin_spreadsFirstLooks(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	for name, row := range map[string]struct {
		status v1alpha1.SourceStatus
		u      float64
		want   time.Duration // 0: due at once
	}{
		"never applied":   {v1alpha1.SourceStatus{ObservedGeneration: 2}, 0.7, 0},
		"applied":         {v1alpha1.SourceStatus{ObservedGeneration: 2, LastAppliedRevision: "main@sha1:0"}, 0.7, 7 * time.Second},
		"applied, late":   {v1alpha1.SourceStatus{ObservedGeneration: 2, LastAppliedRevision: "main@sha1:0"}, 1, 10 * time.Second},
		"a spec since":    {v1alpha1.SourceStatus{ObservedGeneration: 1, LastAppliedRevision: "main@sha1:0"}, 0.7, 0},
		"asked meanwhile": {v1alpha1.SourceStatus{ObservedGeneration: 2, LastAppliedRevision: "main@sha1:0", LastHandledReconcile: "before"}, 0.7, 0},
	} {
		src := &v1alpha1.Source{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "app", Generation: 2}, Status: row.status}
		c := &Controller{config: Config{Now: func() time.Time { return now }, Random: func() float64 { return row.u }}}
		p := &pass{controller: c, src: src, memory: &memory{}, started: now}
		p.begin()
		wait, look := c.due(p)
		if look != (row.want == 0) || wait != row.want {
			t.Errorf("%s: wait %s, look %v; want %s", name, wait, look, row.want)
		}
		p.begin()
		if again, _ := c.due(p); row.want > 0 && again != wait {
			t.Errorf("%s: %s when begun again, want %s as before", name, again, wait)
		}
	}
}

func TestAnnounced_looksThreeTimes(t *testing.T) {
	t.Parallel()
	for looks, want := range map[int]time.Duration{0: 0, 1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 4: 0} {
		got, again := announced(looks)
		if got != want || again != (want > 0) {
			t.Errorf("after %d looks: %s %v, want %s", looks, got, again, want)
		}
	}
}

func TestGrave_toleratesWhatIsYoung(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	for _, row := range []struct {
		reason   gitsync.Reason
		failures int
		since    time.Duration
		want     bool
	}{
		{gitsync.Unreachable, 1, 0, false}, {gitsync.Unreachable, 2, 59 * time.Second, false}, {gitsync.Unreachable, 3, 0, true}, {gitsync.Unreachable, 1, time.Minute, true},
		{gitsync.AuthFailed, 1, 0, true}, {gitsync.RedirectRefused, 1, 0, true},
	} {
		m := &memory{fetching: streak{row.failures, now.Add(-row.since)}}
		if got := m.grave(row.reason, now); got != row.want {
			t.Errorf("%s, %d failures for %s: %v, want %v", row.reason, row.failures, row.since, got, row.want)
		}
	}
}
