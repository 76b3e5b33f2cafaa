package replicas

import (
	"fmt"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/load"
	"github.com/sluice-dev/sluice/test/proxy"
)

// awkward is a state in which a canary fails.
type awkward struct {
	name   string
	step   string // more of the step at which it is
	judge  string // how it is judged
	labels string // of the Rollout
	args   func(c *testing.T) []string
	bring  func(c *canary) // into the state
	fail   func(c *canary) time.Time
	reason string
	hit    func(load.Answer) bool // what a user gets who is sent to the canary
	slow   time.Duration          // until the failure counts
}

const (
	unjudged = "{metrics: [{name: errors, disabled: true}, {name: latency, disabled: true}, {name: attempts, disabled: true}]}"
	atFifty  = `
apiVersion: sluice.dev/v1alpha1
kind: Rollout
metadata: {name: reviews, annotations: {sluice.dev/digest: v1}, labels: {%s}}
spec:
  host: %s
  subset: v1
  steps: [{weight: 50, promotion: timeOnly, bake: {min: 1s, max: 900s}%s}, {weight: 100, promotion: timeOnly, bake: {min: 600s, max: 900s}}]
  convergence: {timeout: 5m}
  analysis: %s
`
)

// TestRollback_waitsForNothing lets a canary at half of the users fail in every state that could be in the way. Its users
// are safe within two seconds of the decision, and nobody else notices.
func TestRollback_waitsForNothing(t *testing.T) {
	for _, tc := range []awkward{
		{name: "paused", bring: func(c *canary) {
			c.apply("apiVersion: sluice.dev/v1alpha1\nkind: RolloutAction\nmetadata: {name: stop}\nspec: {rollout: reviews, verb: pause, actor: somebody}")
			c.paused("ManualPause")
		}},
		{name: "awaiting approval", step: ", approval: {}", bring: func(c *canary) { c.paused("ApprovalNeeded") }},
		{name: "the canary has no ready endpoint", reason: "CanaryUnavailable", slow: 10 * time.Second, hit: load.FailedOf(""), fail: func(c *canary) time.Time {
			at := time.Now()
			c.endpoints(pods{"v1": c.pods["v1"]})
			return at
		}, step: ", pause: {}"},
		{name: "stable lost one of its endpoints", step: ", pause: {}", bring: func(c *canary) {
			c.endpoints(pods{"v1": c.pods["v1"][:1], "v2": c.pods["v2"]})
			c.says(v1alpha1.ConditionStableShort, "BelowBase")
		}},
		{name: "Prometheus is down", step: ", pause: {}", judge: "{blindAfter: 30s}", args: func(t *testing.T) []string {
			t.Helper()
			return []string{"--prometheus", fmt.Sprintf("http://127.0.0.1:%d", proxy.FreePort(t))}
		}, bring: func(c *canary) { c.says(v1alpha1.ConditionReady, "Blind") }},
		{name: "Git is down", step: ", pause: {}", labels: "source.sluice.dev/name: deploy", bring: func(c *canary) { c.gitless() }},
	} {
		t.Run(tc.name, func(t *testing.T) { tc.run(t) })
	}
}

// run plays a case.
func (a awkward) run(t *testing.T) {
	s := open(t, 1)
	var args []string
	if a.args != nil {
		args = a.args(t)
	}
	if a.judge == "" {
		a.judge = unjudged
	}
	c := s.canary(fmt.Sprintf(atFifty, a.labels, s.host(), a.step, a.judge), args...)
	s.want("v2")
	c.history.settled(50)
	c.edge.serves(50)
	c.enjoyed()
	if a.bring != nil {
		a.bring(c)
	}
	if a.hit == nil {
		a.hit, a.fail, a.reason = load.Of("v2"), (*canary).turnBad, "HardFail"
	}
	bad := a.fail(c)
	last := c.quiet(a.hit)
	decided := c.history.first(bad, "the rollback", func(st *v1alpha1.RolloutStatus) bool { return st.Weight == 0 && st.Attempt == 1 })
	c.measured(bad.Add(a.slow), decided.at, last)
	c.over(a.reason)
	c.stays(t)
	if n := c.edge.users.Record().Tally(c.began, time.Time{}).Failed("v1"); n != 0 {
		t.Errorf("%d requests failed at v1", n)
	}
	if a.slow == 0 {
		c.stableFine()
	}
}

// paused waits until the canary stands at its weight for a reason.
func (c *canary) paused(reason string) { c.says(v1alpha1.ConditionPaused, reason) }

// says waits until a condition has a reason, while the canary has its weight.
func (c *canary) says(condition, reason string) {
	c.t.Helper()
	c.history.first(c.began, condition+" to be "+reason, func(st *v1alpha1.RolloutStatus) bool {
		got := v1alpha1.Condition(st.Conditions, condition)
		return st.Weight == 50 && got != nil && got.Reason == reason
	})
}

// gitless gives the Rollout a Source whose server is gone.
func (c *canary) gitless() {
	c.t.Helper()
	c.apply(fmt.Sprintf("apiVersion: sluice.dev/v1alpha1\nkind: Source\nmetadata: {name: deploy}\nspec: {url: \"http://127.0.0.1:%d/deploy.git\", serviceAccountName: default}",
		proxy.FreePort(c.t)))
	eventually(c.t, "the Source to find nobody", func() error {
		source := &v1alpha1.Source{}
		if err := c.client.Get(c.t.Context(), client.ObjectKey{Namespace: c.shop, Name: "deploy"}, source); err != nil {
			return err
		}
		if ready := v1alpha1.Condition(source.Status.Conditions, v1alpha1.ConditionReady); ready == nil || ready.Status != "False" {
			return fmt.Errorf("%+v", source.Status.Conditions)
		}
		return nil
	})
}
