package controller_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

func TestNotify_namesOneThatDoesNotExist(t *testing.T) {
	w := newWorld(t)
	w.run()
	w.rollout("v1", func(ro *v1alpha1.Rollout) { ro.Spec.Notify = []v1alpha1.NotifyRef{{Name: "taem"}} })
	c := w.untilCondition(v1alpha1.ConditionResolvedRefs, metav1.ConditionFalse, v1alpha1.ReasonNotifierNotFound)
	if !strings.Contains(c.Message, "spec.notify[0]") || !strings.Contains(c.Message, "taem") {
		t.Errorf("message %q does not say which", c.Message)
	}
	w.push("v2", "digest-v2")
	w.until("an attempt that does not wait for it", func(ro *v1alpha1.Rollout) bool { return ro.Status.Attempt == 1 && raised(ro) })

	n := &v1alpha1.Notifier{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "taem"}}
	n.Spec.Webhook = &v1alpha1.WebhookSink{URL: "https://hooks.example.com/sluice", Unsigned: true}
	if err := w.client.Create(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	w.untilCondition(v1alpha1.ConditionResolvedRefs, metav1.ConditionTrue, v1alpha1.ReasonResolvedRefs)
}
