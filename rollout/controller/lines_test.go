package controller

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/rollout"
	"github.com/sluice-dev/sluice/trace"
)

func TestLogged_saysOfATransitionWhoseItIs(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	base := logr.FromSlogHandler(slog.NewJSONHandler(&out, nil))
	key := types.NamespacedName{Namespace: "shop", Name: "cart"}
	ctx := log.IntoContext(context.Background(), lineOf(base)(&reconcile.Request{NamespacedName: key}))
	ro := &v1alpha1.Rollout{}
	ro.UID, ro.Namespace, ro.Labels = "0b7f3c1e-5a52-4f0b-9a44-2f6c1d3e8a90", "shop", map[string]string{v1alpha1.LabelSourceName: "git"}
	c := &Controller{account: account{telling: Telling{Span: func(trace.Span) {}}}}
	st := rollout.State{Mark: rollout.Mark{Attempt: 3, Seq: 7}, Traffic: rollout.Traffic{Step: 1}, Canary: rollout.Version{Commit: "c07aa19f00"}}
	m := &rollout.Transition{From: rollout.Baking, To: rollout.RollingBack, Reason: "RegressionDetected", Text: "rolled back to v1\nforged"}
	c.logged(ctx, &pass{given: &given{object: ro, key: key}, controller: c}, decision{next: st, actions: rollout.Actions{Transition: m}})
	got := map[string]any{}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	delete(got, "time")
	want := map[string]any{"level": "INFO", "msg": got["msg"], "namespace": "shop", "rollout": "cart", "source": "shop/git", "attempt": 3.0, "seq": 7.0, "step": 1.0,
		"revision": "c07aa19f00", "traceID": "d753614f83399d6ecce332879f93186d", "reason": "RegressionDetected"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if bytes.Count(out.Bytes(), []byte("\n")) != 1 {
		t.Errorf("more than one line: %s", out.Bytes())
	}
}
