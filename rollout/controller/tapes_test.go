package controller_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/rollout/scenario"
	"github.com/sluice-dev/sluice/test/kube"
)

// What a controller decided against the real API server plays again, without it, to the transitions and the state that are stored.
func TestDecisions_playToTheSameEnd(t *testing.T) {
	w := newWorld(t)
	w.run()
	w.rollout("v1")
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonStable)
	w.push("v2", "digest-v2")
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonCompleted)
	w.fleet.set(func(f *fleet) { f.nack = "no cluster" })
	w.push("v3", "digest-v3")
	w.untilPhase(v1alpha1.PhaseRollingBack)
	w.fleet.set(func(f *fleet) { f.nack = "" })
	ro := w.untilPhase(v1alpha1.PhaseRolledBack)

	key := types.NamespacedName{Namespace: w.ns, Name: "reviews"}
	var script string
	kube.Eventually(t, patience, func() (err error) { // a decision is on the tape once its write has returned
		if script, err = w.it.Decisions(key); err == nil && !strings.Contains(script, fmt.Sprintf("\n%d RollingBack > RolledBack", ro.Status.Seq)) {
			err = errors.New("the last decision is not on the tape")
		}
		return err
	})
	play := scenario.NewWorld()
	again, err := play.Play(script)
	if err != nil {
		t.Fatalf("%v\n%s", err, script)
	}
	if diff := cmp.Diff(script, again); diff != "" {
		t.Errorf("(-printed +played):\n%s", diff)
	}
	end := play.State()
	if end.Seq != uint64(ro.Status.Seq) || end.Phase.String() != string(ro.Status.Phase) || end.Stable.Name != "v2" || end.Attempt != 2 ||
		len(end.Rejected) != 1 || end.Rejected[0].Digest != "digest-v3" || end.Rejected[0].At != ro.Status.Rejected[0].At.UTC() {
		t.Errorf("it plays to %+v, %+v; stored is seq %d %s", end.Mark, end.Rejected, ro.Status.Seq, ro.Status.Phase)
	}
	for _, told := range w.reasons() {
		seq, reason, _ := strings.Cut(told, " ")
		if !strings.Contains(script, "\n"+seq+" ") || !strings.Contains(script, " "+reason) {
			t.Errorf("the script lacks %s:\n%s", told, script)
		}
	}
	if none, err := w.it.Decisions(types.NamespacedName{Namespace: w.ns, Name: "ratings"}); err != nil || none != "" {
		t.Errorf("of no Rollout: %q, %v", none, err)
	}
}
