package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/poll"
)

// answers is a template over what Envoy itself counts.
const answers = `apiVersion: sluice.dev/v1alpha1
kind: MetricTemplate
metadata: {name: answers}
spec:
  args: [{name: class, value: "5"}]
  ratio:
    bad: 'envoy_cluster_upstream_rq_xx{envoy_cluster_name="{{cluster}}",envoy_response_code_class="{{class}}"}'
    total: 'TOTAL'
`

const (
	allAnswers  = `envoy_cluster_upstream_rq_completed{envoy_cluster_name="{{cluster}}"}`
	ratedAnswer = `rate(envoy_cluster_upstream_rq_completed{envoy_cluster_name="{{cluster}}"}[1m])`
)

// byTemplate are the changes that let the Rollout be judged by the template alone, with that selector of all events.
func (sh *shop) byTemplate(total string) map[string]string {
	builtin := "    - {name: errors,"
	text := strings.Replace(sh.files()["deploy/rollout.yaml"], builtin,
		"    - {name: answers, template: answers, args: [{name: class, value: \"4\"}],", 1)
	text = strings.Replace(text, "    metrics:\n", "    metrics:\n    - {name: errors, disabled: true}\n", 1)
	return map[string]string{"deploy/rollout.yaml": text, "deploy/answers.yaml": strings.Replace(answers, "TOTAL", total, 1)}
}

// TestRelease_isJudgedByATemplateAlone takes a template from Git to the verdict over a real Prometheus. The answers that it
// counts as bad are no failures to proxies, so nothing else can find them.
func TestRelease_isJudgedByATemplateAlone(t *testing.T) {
	t.Parallel()
	s := theSite(t)
	sh := openShop(t, s)
	sh.adopt()
	sh.visit(400)

	// A template that cannot be asked is held back with the Rollout that names it.
	sh.rollout.subset = "v3"
	sh.versions["v3"].failure = http.StatusNotFound
	sh.versions["v3"].errors.Store(800)
	sh.push("reviews: v3, judged by a rate", sh.byTemplate(ratedAnswer))
	if err := poll.Until(20*time.Second, func() error {
		for _, p := range sh.source().Status.Problems {
			if p.Code == "S711" && strings.Contains(p.Message, "total: ") && strings.HasSuffix(p.Object, "/answers") {
				return nil
			}
		}
		return fmt.Errorf("no S711 among %+v", sh.source().Status.Problems)
	}); err != nil {
		t.Error(err)
	}
	if ro, err := sh.get(); err != nil || ro.Spec.Subset != "v1" || ro.Status.Attempt != 0 {
		t.Errorf("%v: subset %s, attempt %d with a template that was refused", err, ro.Spec.Subset, ro.Status.Attempt)
	}

	sh.push("reviews: v3, judged by counters", sh.byTemplate(allAnswers))
	ro := sh.until("v3 rolled back", 60*time.Second, func(st *v1alpha1.RolloutStatus) bool {
		return st.Phase == v1alpha1.PhaseRolledBack && st.Stable.Name == "v1" && st.Weight == 0
	})
	sh.answers("v1")
	a := ro.Status.Analysis
	if a == nil || len(a.Metrics) != 1 || a.Metrics[0].Name != "answers" || a.Verdict != "Rollback" {
		t.Errorf("analysis %+v, want answers alone", a)
	}
	if c := v1alpha1.Condition(ro.Status.Conditions, v1alpha1.ConditionResolvedRefs); c == nil || c.Status != metav1.ConditionTrue {
		t.Errorf("references %+v", c)
	}
}
