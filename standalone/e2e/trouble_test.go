package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/app"
	"github.com/sluice-dev/sluice/test/gitserver"
	"github.com/sluice-dev/sluice/test/poll"
)

func TestTrouble_prometheusStoppedFreezesTheWeight(t *testing.T) {
	s := theSite(t)
	sh := openShop(t, s)
	sh.adopt()
	users := sh.visit(300)
	start := app.Now()
	sh.rollout.subset = "v2"
	long := strings.Replace(sh.files()["deploy/rollout.yaml"], "weight: 15, bake: {min: 3s", "weight: 15, bake: {min: 20s", 1)
	sh.push("reviews: v2", map[string]string{"deploy/rollout.yaml": long}) // the step outlasts the stop of Prometheus
	sh.until("15%", 20*time.Second, func(st *v1alpha1.RolloutStatus) bool {
		return st.Phase == v1alpha1.PhaseBaking && st.Weight == 15
	})

	u, err := url.Parse(s.prom.URL())
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.stopProm(t.Context()); err != nil {
		t.Fatal(err)
	}
	ro := sh.until("the condition Healthy to say blind, since unreachable", 40*time.Second, func(st *v1alpha1.RolloutStatus) bool {
		c := meta.FindStatusCondition(st.Conditions, v1alpha1.ConditionHealthy)
		return st.Analysis != nil && st.Analysis.Verdict == "Blind" && c != nil && c.Status != "True" && c.Reason == "Unreachable"
	})
	if ro.Status.Weight != 15 || ro.Status.Canary == nil {
		t.Errorf("weight %d while blind, want it frozen at 15", ro.Status.Weight)
	}

	if err := s.startProm(t.Context(), port); err != nil {
		t.Fatal(err)
	}
	s.target()
	sh.until("v2 promoted after all", 120*time.Second, func(st *v1alpha1.RolloutStatus) bool {
		return st.Stable.Name == "v2" && ready(st)
	})
	if tally := users.Record().Tally(start, time.Time{}); tally.FailedBut(nobody) != 0 {
		t.Errorf("requests failed: %+v", tally)
	}
}

func TestTrouble_gitUnreachableChangesNothing(t *testing.T) {
	t.Parallel()
	s := theSite(t)
	sh := openShop(t, s)
	sh.adopt()
	users := sh.visit(100)
	start := app.Now()
	before, err := sh.get()
	if err != nil {
		t.Fatal(err)
	}

	sh.git.SetFault("/shop.git/", gitserver.Fault{Status: http.StatusServiceUnavailable})
	sh.hint()
	err = poll.Until(60*time.Second, func() error {
		src := sh.source()
		for _, typ := range []string{v1alpha1.ConditionReady, v1alpha1.ConditionReconciling} {
			if c := meta.FindStatusCondition(src.Status.Conditions, typ); c != nil && c.Reason == "Unreachable" {
				return nil
			}
		}
		return fmt.Errorf("no condition says Unreachable: %s", sh.sourceText())
	})
	if err != nil {
		t.Fatal(err)
	}
	after, err := sh.get()
	if err != nil {
		t.Fatal(err)
	}
	if before.Status.Seq != after.Status.Seq || before.Generation != after.Generation {
		t.Errorf("the Rollout changed while Git was away: %s, then %s", brief(before.Status), brief(after.Status))
	}

	sh.git.LiftFault("/shop.git/")
	commit := sh.push("README: back", map[string]string{"deploy/README.md": "back\n"})
	if err := poll.Until(30*time.Second, func() error {
		if got := sh.source().Status.LastAppliedRevision; !strings.HasSuffix(got, commit) {
			return fmt.Errorf("applied %s, want %s", got, commit)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if tally := users.Record().Tally(start, time.Time{}); tally.FailedBut(nobody) != 0 {
		t.Errorf("requests failed: %+v", tally)
	}
}

func TestTrouble_badInputIsSaidAndHarmsNobody(t *testing.T) {
	t.Parallel()
	s := theSite(t)
	healthy := openShop(t, s)
	healthy.adopt()
	users := healthy.visit(100)
	start := app.Now()
	healthyBefore, err := healthy.get()
	if err != nil {
		t.Fatal(err)
	}

	for _, c := range []struct {
		name    string
		change  func(sh *shop) map[string]string
		mention string // in the Source's or the Rollout's words
	}{
		{"unknown subset", func(sh *shop) map[string]string { sh.rollout.subset = "v9"; return nil }, "v9"},
		{"weights out of order", func(sh *shop) map[string]string {
			return map[string]string{"deploy/rollout.yaml": strings.Replace(sh.files()["deploy/rollout.yaml"], "weight: 50", "weight: 5", 1)}
		}, "must never fall"},
		{"invalid YAML", func(*shop) map[string]string {
			return map[string]string{"deploy/broken.yaml": "kind: [unclosed\n"}
		}, "broken.yaml"},
		{"remote base", func(*shop) map[string]string {
			return map[string]string{"deploy/kustomization.yaml": "resources:\n- https://example.com/base?ref=main\n"}
		}, "S805"},
		{"negative weight", func(sh *shop) map[string]string {
			return map[string]string{"deploy/virtualservice.yaml": strings.Replace(sh.files()["deploy/virtualservice.yaml"],
				".svc.cluster.local}", ".svc.cluster.local}\n      weight: -1", 1)}
		}, " -1"},
		{"no endpoints", func(sh *shop) map[string]string {
			text := sh.files()["deploy/serviceentry.yaml"]
			sh.rollout.subset = "v2"
			return map[string]string{"deploy/serviceentry.yaml": strings.ReplaceAll(text, "version: v2", "version: gone")}
		}, "endpoint"},
	} {
		t.Run(c.name, func(t *testing.T) {
			sh := openShop(t, s)
			sh.adopt()
			sh.push("a mistake: "+c.name, c.change(sh))
			err := poll.Until(30*time.Second, func() error {
				if said := sh.sourceText() + "\n" + sh.rolloutText(); !strings.Contains(said, c.mention) {
					return fmt.Errorf("nothing says %q:\n%s", c.mention, said)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			ro, err := sh.get()
			if err != nil {
				t.Fatal(err)
			}
			if ro.Status.Stable.Name != "v1" || ro.Status.Weight != 0 {
				t.Errorf("the mistake moved traffic: %s", brief(ro.Status))
			}
			sh.answers("v1")
		})
	}

	after, err := healthy.get()
	if err != nil {
		t.Fatal(err)
	}
	if after.Status.Seq != healthyBefore.Status.Seq {
		t.Errorf("the healthy Rollout made transitions: %s", brief(after.Status))
	}
	if tally := users.Record().Tally(start, time.Time{}); tally.FailedBut(nobody) != 0 {
		t.Errorf("requests to the healthy shop failed: %+v", tally)
	}
}

func (sh *shop) rolloutText() string {
	ro, err := sh.get()
	if err != nil {
		return err.Error()
	}
	return brief(ro.Status)
}
