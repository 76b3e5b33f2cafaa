package controller

import (
	"testing"
	"time"

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
