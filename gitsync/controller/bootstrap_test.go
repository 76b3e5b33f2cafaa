package controller

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/gitserver"
)

// boot brings a good commit and a bad one, takes the cluster away and lets a new Source apply the good one again.
func (w *world) boot() (good, bad string) {
	w.Helper()
	w.writes(nil)
	good = w.push("first", shopFiles)
	w.source(back(v1alpha1.RevertNone))
	w.ready(v1alpha1.ReasonApplied, good)
	w.judged(rest)
	w.until("good, and the repository knows", func(s v1alpha1.SourceStatus) bool {
		return s.LastGood == good && w.tip("refs/sluice/prod/"+w.ns+"/shop/last-good") == good
	})
	bad = w.push("second: bad", map[string]string{"app/rollout.yaml": rolloutV2})
	w.rebuild()
	w.source(back(v1alpha1.RevertNone))
	w.until("bootstrapping", saysBootstrapping)
	return good, bad
}

func saysBootstrapping(s v1alpha1.SourceStatus) bool { return readyBy(s, v1alpha1.ReasonBootstrapping) }

func readyBy(s v1alpha1.SourceStatus, reason string) bool {
	c := v1alpha1.Condition(s.Conditions, v1alpha1.ConditionReady)
	return c != nil && c.Reason == reason
}

// Trouble with Git and a suspension say something else of the Source for a while; neither lets the newest commit through.
func TestBootstrap_isNotForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good, bad := w.boot()
	waits := func(when string) {
		t.Helper()
		s := w.until("bootstrapping "+when, func(s v1alpha1.SourceStatus) bool {
			return saysBootstrapping(s) || strings.HasSuffix(s.LastAppliedRevision, bad)
		})
		if !strings.HasSuffix(s.LastAppliedRevision, good) || w.subset() != "v1" || s.AdoptingSince == nil {
			t.Fatalf("%s: applied %s with subset %s, adopting since %v; want the last good commit to wait for its Rollout", when, s.LastAppliedRevision, w.subset(), s.AdoptingSince)
		}
	}
	since := w.status().AdoptingSince
	w.git.SetFault("/app.git", gitserver.Fault{Status: http.StatusMovedPermanently, Location: "http://127.0.0.1:1/"})
	w.hint("")
	w.until("failing", func(s v1alpha1.SourceStatus) bool { return readyBy(s, "RedirectRefused") })
	w.git.LiftFault("/app.git")
	w.hint("")
	waits("after trouble with Git")
	w.change("shop", func(s *v1alpha1.SourceSpec) { s.Suspend = true })
	w.until("suspended", func(s v1alpha1.SourceStatus) bool { return readyBy(s, v1alpha1.ReasonSuspended) })
	w.change("shop", func(s *v1alpha1.SourceSpec) { s.Suspend = false })
	waits("after a suspension")
	if now := w.status().AdoptingSince; !now.Equal(since) {
		t.Errorf("adopting since %v, began %v", now, since)
	}
	w.judged(rest)
	s := w.until("at the tip", func(s v1alpha1.SourceStatus) bool { return strings.HasSuffix(s.LastAppliedRevision, bad) })
	if s.AdoptingSince != nil || w.subset() != "v2" {
		t.Errorf("at the tip: adopting since %v, subset %s", s.AdoptingSince, w.subset())
	}
}
