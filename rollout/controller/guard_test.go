package controller

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/rollout"
	"github.com/sluice-dev/sluice/rollout/scenario"
	"github.com/sluice-dev/sluice/test/kube"
)

// TestGuards_letEveryStepPass stores what the engine decides in all its scenarios, one write after the other, in the real
// API server: its schema and its guard rules stand in the way of none.
func TestGuards_letEveryStepPass(t *testing.T) {
	t.Parallel()
	cfg := kube.Start(t)
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(cfg, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	ns := kube.Namespace(t, cfg)
	files, err := filepath.Glob("../scenario/testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			script, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			w := scenario.NewWorld()
			if _, err := w.Play(string(script)); err != nil {
				t.Fatal(err)
			}
			ro := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}}
			ro.Spec = v1alpha1.RolloutSpec{Host: "reviews", Subset: "v1"}
			if err := c.Create(t.Context(), ro); err != nil {
				t.Fatal(err)
			}
			for _, st := range w.Stored() {
				keep(t, c, ro, st)
			}
		})
	}
}

func keep(t *testing.T, c client.Client, ro *v1alpha1.Rollout, st rollout.State) {
	t.Helper()
	if st.Since.IsZero() {
		st.Since = ro.CreationTimestamp.UTC()
	}
	before := ro.DeepCopy()
	ro.Status = &v1alpha1.RolloutStatus{}
	store(st, ro.Status)
	if err := c.Status().Patch(t.Context(), ro, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		t.Fatalf("storing seq %d, %s %s: %v", st.Seq, st.Phase, st.Reason, err)
	}
	got, err := stateOf(ro.Status)
	if err != nil {
		t.Fatal(err)
	}
	if got.Seq != st.Seq || got.Phase != st.Phase || !reflect.DeepEqual(got.Traffic, st.Traffic) || got.Progress.Clocks != trimmed(st.Progress.Clocks) ||
		len(got.Gates) != len(st.Gates) || len(got.Rejected) != len(st.Rejected) || got.Progress.Hold != st.Progress.Hold {
		t.Fatalf("the server kept %+v of %+v", got, st)
	}
}

func trimmed(c rollout.Clocks) rollout.Clocks {
	return rollout.Clocks{Phase: c.Phase.Truncate(time.Millisecond), Step: c.Step.Truncate(time.Millisecond), Blind: c.Blind.Truncate(time.Millisecond),
		Empty: c.Empty.Truncate(time.Millisecond), Few: c.Few.Truncate(time.Millisecond), Gate: c.Gate.Truncate(time.Millisecond)}
}
