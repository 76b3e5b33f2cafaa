package controller

import (
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/rollout"
)

// kept is a cache that holds Rollouts and hands them out without copying, as the real one does.
type kept struct {
	client.Client
	all []v1alpha1.Rollout
}

func (k kept) List(_ context.Context, to client.ObjectList, _ ...client.ListOption) error {
	to.(*v1alpha1.RolloutList).Items = append([]v1alpha1.Rollout(nil), k.all...)
	return nil
}

// BenchmarkScrape is what one look at the metrics of many Rollouts costs, a tenth of them in an attempt: from the cache to the
// text that a Prometheus reads.
func BenchmarkScrape(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		for _, together := range []bool{false, true} {
			b.Run(fmt.Sprintf("rollouts=%d/together=%v", n, together), func(b *testing.B) {
				c := &Controller{config: Config{Client: kept{all: many(n)}, Now: time.Now}, account: account{meters: newMeters()}}
				c.Tell(Telling{Together: together})
				c.queries.start(b.Context())
				for _, ro := range many(n) {
					c.meters.tallies.with(client.ObjectKeyFromObject(&ro), func(t *tally) {
						for _, reason := range []rollout.Reason{rollout.Adopted, rollout.AttemptStarted, rollout.WeightRequested, rollout.Completed} {
							t.moved(rollout.Transition{Reason: reason}, rollout.State{}, rollout.State{})
						}
					})
				}
				r := prometheus.NewRegistry()
				r.MustRegister(c.Collectors()...)
				b.ReportAllocs()
				count := 0
				for b.Loop() {
					families, err := r.Gather()
					if err != nil {
						b.Fatal(err)
					}
					out := expfmt.NewEncoder(io.Discard, expfmt.NewFormat(expfmt.TypeTextPlain))
					count = 0
					for _, f := range families {
						count += len(f.Metric)
						if err := out.Encode(f); err != nil {
							b.Fatal(err)
						}
					}
				}
				b.ReportMetric(float64(count), "series")
			})
		}
	}
}

// many are Rollouts as the API server has them.
func many(n int) []v1alpha1.Rollout {
	out := make([]v1alpha1.Rollout, n)
	for i := range out {
		ro := &out[i]
		ro.Namespace, ro.Name, ro.UID = fmt.Sprintf("team-%03d", i%100), fmt.Sprintf("service-%05d", i), ""
		ro.Spec.Host, ro.Annotations = ro.Name, map[string]string{v1alpha1.AnnotationCommit: "c07aa19f00c07aa19f00c07aa19f00c07aa19f00"}
		ro.Status = &v1alpha1.RolloutStatus{Phase: v1alpha1.PhaseIdle, Stable: v1alpha1.VersionStatus{Name: "v1"},
			Conditions: []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonStable}}}
		if i%10 == 0 {
			at := metav1.NowMicro()
			ro.Status.Phase, ro.Status.Step, ro.Status.Weight, ro.Status.Deadline = v1alpha1.PhaseBaking, 1, 15, &at
			ro.Status.Canary = &v1alpha1.VersionStatus{Name: "v2"}
			ro.Status.Analysis = &v1alpha1.AnalysisStatus{Verdict: "Inconclusive", Metrics: []v1alpha1.MetricStatus{{Name: "errors", Harm: "1.02", Safe: "7.39"}, {Name: "latency", Harm: "1", Safe: "over 1e300"}}}
		}
	}
	return out
}

func TestAckedWeight_isThatOfTheStepBeforeUntilAllHaveIt(t *testing.T) {
	t.Parallel()
	plan := []v1alpha1.PlanStep{{Weight: 15}, {Weight: 50}, {Weight: 100}}
	for name, row := range map[string]struct {
		phase   v1alpha1.Phase
		step    int32
		weight  int32
		settled bool
		observe bool
		want    int32
	}{
		"first step shifts":   {v1alpha1.PhaseShifting, 1, 15, false, false, 0},
		"second step shifts":  {v1alpha1.PhaseShifting, 2, 50, false, false, 15},
		"second step settled": {v1alpha1.PhaseShifting, 2, 50, true, false, 50},
		"bakes":               {v1alpha1.PhaseBaking, 2, 50, true, false, 50},
		"goes back":           {v1alpha1.PhaseRollingBack, 2, 0, false, false, 50},
		"has gone back":       {v1alpha1.PhaseRollingBack, 2, 0, true, false, 0},
		"before the first":    {v1alpha1.PhaseRollingBack, 0, 0, false, false, 0},
		"dry run":             {v1alpha1.PhaseBaking, 2, 50, true, true, 0},
		"rests":               {v1alpha1.PhaseIdle, 0, 0, true, false, 0},
	} {
		st := &v1alpha1.RolloutStatus{Phase: row.phase, Step: row.step, Weight: row.weight, Plan: plan, Observe: row.observe, Traffic: v1alpha1.TrafficStatus{Seq: 7}}
		if row.settled {
			st.SettledSeq = 7
		}
		if got := ackedWeight(st); got != row.want {
			t.Errorf("%s: %d, want %d", name, got, row.want)
		}
	}
}

// An alert reads how far a counter has risen, so that each has to be there before anything is counted.
func TestViolations_areCountedFromZeroForEachRule(t *testing.T) {
	t.Parallel()
	named := map[string]bool{}
	for _, path := range []string{"../check.go", "noted.go"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, rule := range regexp.MustCompile(`"(C[0-9]+)[":]`).FindAllStringSubmatch(string(text), -1) {
			named[rule[1]] = true
		}
	}
	r := prometheus.NewRegistry()
	r.MustRegister(newMeters().violations)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counted := map[string]bool{}
	for _, m := range families[0].Metric {
		counted[m.Label[0].GetValue()] = true
	}
	if diff := cmp.Diff(named, counted); diff != "" {
		t.Errorf("rules (-named +counted)\n%s", diff)
	}
}
