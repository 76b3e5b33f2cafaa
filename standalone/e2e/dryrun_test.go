package e2e

import (
	"math"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/app"
	"github.com/sluice-dev/sluice/test/load"
)

// ownWeights is a route whose weights somebody else sets.
const ownWeights = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: ["reviews.NAMESPACE.example"]
  gateways: [shop]
  http:
  - retries: {attempts: 0}
    route:
    - {destination: {host: reviews.NAMESPACE.svc.cluster.local, subset: v1}, weight: 60}
    - {destination: {host: reviews.NAMESPACE.svc.cluster.local, subset: v2}, weight: 20}
    - {destination: {host: reviews.NAMESPACE.svc.cluster.local, subset: v3}, weight: 20}
`

// TestDryRun_movesNothing watches weights that somebody else sets. A version that does harm ends as rolled back, one that does
// none as completed, with verdict and numbers shown meanwhile. Nothing moves: not in the status, not in Envoy, not for users.
func TestDryRun_movesNothing(t *testing.T) {
	t.Parallel()
	s := theSite(t)
	sh := openShop(t, s)
	sh.rollout.extra, sh.rollout.route = "  dryRun: true\n", ownWeights
	sh.adopt()
	want := map[string]int{"v1": 60, "v2": 20, "v3": 20}
	dumpShows(t, s, sh, want)
	users, start := sh.visit(400), app.Now()

	sh.versions["v3"].errors.Store(200)
	sh.rollout.subset = "v3"
	sh.push("reviews: v3", nil)
	bad := sh.until("the end of the version that does harm", time.Minute, func(st *v1alpha1.RolloutStatus) bool { return st.Phase == v1alpha1.PhaseRolledBack }).Status
	if bad.Attempt != 1 || bad.Outcome != v1alpha1.OutcomeRolledBack || bad.Stable.Name != "v1" || len(bad.Rejected) != 1 || !bad.History[0].DryRun {
		t.Errorf("%s\nrejected %+v, history %+v", brief(bad), bad.Rejected, bad.History)
	}
	t.Logf("%s: %s", bad.History[0].Reason, bad.History[0].Text)

	sh.rollout.subset = "v2"
	sh.push("reviews: v2", nil)
	shown := sh.until("a verdict with numbers", time.Minute, func(st *v1alpha1.RolloutStatus) bool {
		return st.Attempt == 2 && st.Observe && st.Analysis != nil && st.Analysis.Verdict != "" && len(st.Analysis.Metrics) > 0 && st.Analysis.Metrics[0].Canary.Requests > 0
	}).Status
	t.Log(brief(shown))
	good := sh.until("the end of the version that does none", 90*time.Second, func(st *v1alpha1.RolloutStatus) bool { return st.Attempt == 2 && st.Phase == v1alpha1.PhaseIdle }).Status
	if good.Outcome != v1alpha1.OutcomeCompleted || good.Stable.Name != "v2" || !good.History[0].DryRun {
		t.Errorf("%s\nhistory %+v", brief(good), good.History)
	}
	dumpShows(t, s, sh, want)
	for _, e := range s.eventsOf(sh.namespace, "reviews", start) {
		if e.Weight != 0 {
			t.Errorf("a weight was asked for: %+v", e)
		}
	}
	unmoved(t, users.Record(), start)
}

// unmoved checks that users met the versions as the route's own weights say, throughout.
func unmoved(t *testing.T, record *load.Record, start time.Time) {
	t.Helper()
	tally := record.Tally(start, time.Time{})
	for version, want := range map[string]float64{"v1": 0.6, "v2": 0.2, "v3": 0.2} {
		if got := tally.Share(version); math.Abs(got-want) > 5*math.Sqrt(want*(1-want)/float64(max(tally.Total, 1))) { // once in two million
			t.Errorf("%.3f of %d requests met %s, want %v", got, tally.Total, version, want)
		}
	}
	if n := tally.FailedBut("v3"); n != 0 {
		t.Errorf("%d requests failed that v3 did not fail", n)
	}
}

// byReports judges by what proxies report of their requests alone: no Prometheus is asked anything.
const byReports = `apiVersion: sluice.dev/v1alpha1
kind: Rollout
metadata: {name: reviews}
spec:
  host: reviews.NAMESPACE.svc.cluster.local
  subset: SUBSET
  dryRun: true
  analysis:
    bake: 3s
    metrics:
    - {name: errors, disabled: true}
    - {name: latency, disabled: true}
    - {name: attempts, promotion: required, window: 1s, warmup: 1s, harmful: {ratio: "2", rate: 2%}}
`

// TestDryRun_hearsWhatProxiesReport: a dry run renders no split, and Envoy reports all its clusters all the same. So harm is found and
// none is shown without any metric, and still nothing moves.
func TestDryRun_hearsWhatProxiesReport(t *testing.T) {
	t.Parallel()
	s := theSite(t)
	sh := openShop(t, s)
	sh.rollout.text, sh.rollout.route = byReports, ownWeights
	sh.adopt()
	users, start := sh.visit(400), app.Now()

	sh.versions["v3"].errors.Store(600)
	sh.rollout.subset = "v3"
	began := app.Now()
	sh.push("reviews: v3", nil)
	bad := sh.until("the end of the version that does harm", time.Minute, func(st *v1alpha1.RolloutStatus) bool { return st.Phase == v1alpha1.PhaseRolledBack }).Status
	t.Logf("measured: found %s after the push: %s: %s", app.Now().Sub(began).Round(100*time.Millisecond), bad.History[0].Reason, bad.History[0].Text)
	if bad.Outcome != v1alpha1.OutcomeRolledBack || bad.Stable.Name != "v1" || !bad.History[0].DryRun {
		t.Errorf("%s\nhistory %+v", brief(bad), bad.History)
	}

	sh.rollout.subset = "v2"
	sh.push("reviews: v2", nil)
	good := sh.until("the end of the version that does none", 90*time.Second, func(st *v1alpha1.RolloutStatus) bool { return st.Attempt == 2 && st.Phase == v1alpha1.PhaseIdle }).Status
	if good.Outcome != v1alpha1.OutcomeCompleted || good.Stable.Name != "v2" || !good.History[0].DryRun {
		t.Errorf("%s\nhistory %+v", brief(good), good.History)
	}
	dumpShows(t, s, sh, map[string]int{"v1": 60, "v2": 20, "v3": 20})
	unmoved(t, users.Record(), start)
}
