package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/app"
	"github.com/sluice-dev/sluice/test/child"
	"github.com/sluice-dev/sluice/test/load"
	"github.com/sluice-dev/sluice/test/poll"
)

// defaults is a Rollout that leaves the analysis as it is.
const defaults = `apiVersion: sluice.dev/v1alpha1
kind: Rollout
metadata: {name: reviews}
spec:
  host: reviews.NAMESPACE.svc.cluster.local
  subset: SUBSET
  steps: [{weight: 15}, {weight: 50}, {weight: 100}]
`

// scraped is how often Prometheus reads the gateway where detection is measured: its default.
const scraped = 5 * time.Second

// TestDetection_withLoadReports measures what is found at 15 % of 100 requests a second with the defaults, from the
// first bad answer that a client got. That it is found in the first step, and why, is asserted; how soon is logged, as machines
// differ.
func TestDetection_withLoadReports(t *testing.T) {
	t.Parallel()
	if apart(t, false) {
		return
	}
	s := theSite(t)
	t.Run("half of the answers", func(t *testing.T) {
		t.Parallel()
		detects(t, s, bad{fault: 500, reasons: []string{"HardFail", "RegressionDetected"}}) // half is on the edge of the first
	})
	t.Run("one answer in twenty", func(t *testing.T) {
		t.Parallel()
		detects(t, s, bad{fault: 50, reasons: []string{"RegressionDetected"}})
	})
	t.Run("both versions fail together", func(t *testing.T) {
		t.Parallel()
		incident(t, s)
	})
}

// TestDetection_byPrometheusAlone is the same where reports of proxies are not judged.
func TestDetection_byPrometheusAlone(t *testing.T) {
	t.Parallel()
	if apart(t, true) {
		return
	}
	detects(t, theSite(t), bad{fault: 500, reasons: []string{"HardFail", "RegressionDetected"}})
}

// apart runs the test in a process with a site of its own, as one process has one API server, unless this is that process.
func apart(t *testing.T, byMetrics bool) bool {
	t.Helper()
	if *scrape == scraped && *deaf == byMetrics {
		return false
	}
	path := filepath.Join(t.TempDir(), "out")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v", "-test.timeout", "12m", "-scrape", scraped.String(), fmt.Sprintf("-deaf=%t", byMetrics))
	cmd.Stdout, cmd.Stderr = out, out
	proc, err := child.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-proc.Done():
	case <-time.After(13 * time.Minute):
		t.Error(proc.Kill())
	}
	text := child.Tail(path, 64<<10)
	if !strings.Contains(text, "\nPASS\n") {
		t.Errorf("%v\n%s", proc.Ended(), text)
	}
	for line := range strings.Lines(text) {
		if _, told, found := strings.Cut(line, "measured: "); found {
			t.Log(strings.TrimSpace(told))
		}
	}
	return true
}

// known is how long Prometheus has read a service before a release of it is measured: it takes some scrapes to know how often
// it does.
const known = 25 * time.Second

// bad is a version that fails.
type bad struct {
	fault   int64 // per mille of its answers
	reasons []string
}

// detects releases a bad version and says how it was found.
func detects(t *testing.T, s *site, b bad) {
	t.Helper()
	sh, users := opened(t, s)
	if *deaf {
		sh.rests(known)
	}
	sh.versions["v2"].errors.Store(b.fault)
	start := app.Now()
	sh.rollout.subset = "v2"
	sh.push("reviews: v2", nil)
	f := sh.found(users.Record(), start)
	t.Logf("measured: %g%% bad, load reports %t: %s %.1f s after the first bad answer, weight 0 after %.1f s, last answer of v2 after %.1f s, %d of its %d answers bad, load of the machine %s",
		float64(b.fault)/10, !*deaf, f.reason, f.decided.Seconds(), f.zero.Seconds(), f.last.Seconds(), f.bad, f.answers, machine())
	if !slices.Contains(b.reasons, f.reason) || f.highest != 15 {
		t.Errorf("rolled back for %s, after %d%% at most; want one of %s at 15%%", f.reason, f.highest, b.reasons)
	}
	if n := users.Record().Tally(start, time.Time{}).FailedBut("v2"); n != 0 {
		t.Errorf("%d requests failed that v2 did not fail", n)
	}
}

// incident has both versions fail three in ten of their requests for 20 s, as when what they both call is down.
func incident(t *testing.T, s *site) {
	sh, users := opened(t, s)
	sh.rollout.subset = "v2"
	sh.push("reviews: v2", nil)
	sh.until("15%", 30*time.Second, func(st *v1alpha1.RolloutStatus) bool { return st.Phase == v1alpha1.PhaseBaking && st.Weight == 15 })
	sh.lasts(12 * time.Second) // the warm-up is over
	start := app.Now()
	for _, name := range []string{"v1", "v2"} {
		sh.versions[name].errors.Store(300)
	}
	sh.lasts(20 * time.Second)
	for _, name := range []string{"v1", "v2"} {
		sh.versions[name].errors.Store(0)
	}
	sh.lasts(8 * time.Second) // it is scraped and judged
	tally := users.Record().Tally(start, time.Time{})
	t.Logf("measured: in the shared incident %d of %d answers of v1 failed, %d of %d of v2: not rolled back", tally.Failed("v1"), tally.Requests("v1"), tally.Failed("v2"), tally.Requests("v2"))
	if tally.Failed("v1") < 100 || tally.Failed("v2") < 20 {
		t.Errorf("too few failures to show anything: %+v", tally)
	}
}

// rests lets time pass in which nothing is released.
func (sh *shop) rests(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-sh.t.Context().Done():
	}
}

// lasts wants the attempt to stay at 15 % for so long.
func (sh *shop) lasts(d time.Duration) {
	sh.t.Helper()
	end := time.After(d)
	for ticks := time.NewTicker(time.Second); ; {
		select {
		case <-end:
			ticks.Stop()
			return
		case <-ticks.C:
		}
		if ro, err := sh.get(); err == nil && (ro.Status.Weight != 15 || ro.Status.Outcome != v1alpha1.OutcomeOpen) {
			sh.t.Fatalf("it did not stay at 15%%: %s", brief(ro.Status))
		}
	}
}

// opened is a shop with v1 and 100 users' requests a second, and its Rollout at its defaults.
func opened(t *testing.T, s *site) (*shop, *load.Generator) {
	t.Helper()
	sh := openShop(t, s)
	sh.rollout.text = defaults
	sh.adopt()
	return sh, sh.visit(100)
}

// finding is how a bad version was found. Times are since its first bad answer, by the client.
type finding struct {
	reason  string
	decided time.Duration // the rollback is stored
	zero    time.Duration // the proxy has acknowledged weight 0
	last    time.Duration // the last answer of the version
	highest int           // weight that was asked for
	bad     int
	answers int
}

// found waits until v2 was rolled back.
func (sh *shop) found(record *load.Record, start time.Time) finding {
	sh.t.Helper()
	var out finding
	err := poll.Until(2*time.Minute, func() error {
		ro, err := sh.get()
		if err != nil {
			return err
		}
		first, bad := record.First(start, time.Time{}, load.FailedOf("v2"))
		if !bad {
			return fmt.Errorf("no answer of v2 was bad: %s", brief(ro.Status))
		}
		events := sh.site.eventsOf(sh.namespace, "reviews", start)
		out.highest = 0
		for _, e := range events {
			out.highest = max(out.highest, e.Weight)
		}
		back := slices.IndexFunc(events, func(e app.Event) bool {
			return e.Kind == app.EventTransition && e.Phase == string(v1alpha1.PhaseRollingBack)
		})
		zero := -1
		if back >= 0 { // which is told after it is stored: proxies may have been faster
			zero = slices.IndexFunc(events, func(e app.Event) bool { return e.Kind == app.EventAcked && e.Weight == 0 && e.Seq >= events[back].Seq })
		}
		if zero < 0 {
			return fmt.Errorf("v2 is not at 0 again: %s", brief(ro.Status))
		}
		out.decided, out.reason, out.zero = events[back].At.Sub(first.End), events[back].Reason, events[zero].At.Sub(first.End)
		last, _ := record.Last(start, time.Time{}, load.Of("v2"))
		tally := record.Tally(start, time.Time{})
		out.last, out.bad, out.answers = last.End.Sub(first.End), tally.Failed("v2"), tally.Requests("v2")
		return nil
	})
	if err != nil {
		sh.t.Fatal(err)
	}
	return out
}

// machine is the load of the machine, as the measured times depend on it.
func machine() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(text))[:1], " ")
}
