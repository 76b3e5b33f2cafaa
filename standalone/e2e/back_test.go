package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/app"
	"github.com/sluice-dev/sluice/test/poll"
)

const lastGood = "refs/sluice/e2e/last-good"

// writesBack lets the Source write into its repository: the last good commit, and reverts as wanted.
func (sh *shop) writesBack(revert v1alpha1.RevertPolicy) {
	sh.t.Helper()
	if _, err := sh.git.Git(sh.t.Context(), "shop", "config", "uploadpack.allowReachableSHA1InWant", "true"); err != nil {
		sh.t.Fatal(err)
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: sh.namespace, Name: "write"}, StringData: map[string]string{"username": "sluice", "password": "writes"}}
	if err := sh.client.Create(sh.t.Context(), secret); err != nil && !apierrors.IsAlreadyExists(err) {
		sh.t.Fatal(err)
	}
	src := sh.source()
	before := client.MergeFrom(src.DeepCopy())
	back(revert)(&src.Spec)
	if err := sh.client.Patch(sh.t.Context(), src, before); err != nil {
		sh.t.Fatal(err)
	}
}

func back(revert v1alpha1.RevertPolicy) func(spec *v1alpha1.SourceSpec) {
	return func(spec *v1alpha1.SourceSpec) {
		spec.DeletionPolicy = v1alpha1.DeletionDelete
		spec.WriteBack = &v1alpha1.SourceWriteBack{SecretRef: v1alpha1.LocalRef{Name: "write"}, LastGoodRef: lastGood, Revert: revert}
	}
}

// at gives where the repository has a ref; empty: nowhere.
func (sh *shop) at(ref string) string {
	sh.t.Helper()
	out, err := sh.git.Git(sh.t.Context(), "shop", "for-each-ref", "--format=%(objectname)", ref)
	if err != nil {
		sh.t.Fatal(err)
	}
	return out
}

// eventually waits for a fact.
func (sh *shop) eventually(timeout time.Duration, fact func() error) {
	sh.t.Helper()
	if err := poll.Until(timeout, fact); err != nil {
		sh.t.Fatalf("%v\n%s", err, sh.sourceText())
	}
}

// good waits until the repository says that a commit is the last good one.
func (sh *shop) good(commit string) {
	sh.t.Helper()
	sh.eventually(30*time.Second, func() error {
		if got := sh.at(lastGood); got != commit {
			return fmt.Errorf("%s is at %q, want %s; written back: %+v", lastGood, got, commit, sh.source().Status.WriteBack)
		}
		return nil
	})
}

// bad pushes a version that fails, and waits until traffic is back. A revert may have ended the phase RolledBack by then.
func (sh *shop) bad(subject string) string {
	sh.t.Helper()
	sh.versions["v3"].errors.Store(200)
	sh.rollout.subset = "v3"
	commit := sh.push(subject, nil)
	sh.until("v3 rolled back", 60*time.Second, func(st *v1alpha1.RolloutStatus) bool {
		return st.Outcome == v1alpha1.OutcomeRolledBack && st.Stable.Name == "v1" && st.Weight == 0
	})
	return commit
}

// A version that users were harmed by leaves Git by itself where the Source says so: on the branch that is followed, or on one of
// its own, for people to take.
func TestRevert_aRejectedVersionLeavesGit(t *testing.T) {
	s := theSite(t)
	for _, policy := range []v1alpha1.RevertPolicy{v1alpha1.RevertCommit, v1alpha1.RevertBranch} {
		t.Run(string(policy), func(t *testing.T) {
			sh := openShop(t, s)
			sh.writesBack(policy)
			sh.adopt()
			users := sh.visit(200)
			start := app.Now()
			good := sh.at("refs/heads/main")
			sh.good(good)
			bad := sh.bad("reviews: v3")

			var entry v1alpha1.WriteBackStatus
			sh.eventually(30*time.Second, func() error {
				for _, e := range sh.source().Status.WriteBack {
					if e.Kind == string(policy) {
						entry = e
						return nil
					}
				}
				return fmt.Errorf("nothing is reverted: %+v", sh.source().Status.WriteBack)
			})
			if entry.Result != "Pushed" || sh.at(entry.Ref) != entry.Commit || entry.Rollout != "reviews" {
				t.Fatalf("written back: %+v, and %s is at %s", entry, entry.Ref, sh.at(entry.Ref))
			}
			if onMain := sh.at("refs/heads/main") == entry.Commit; onMain != (policy == v1alpha1.RevertCommit) {
				t.Errorf("%s: main is at %s, the revert is %s on %s", policy, sh.at("refs/heads/main"), entry.Commit, entry.Ref)
			}
			if diff, err := sh.git.Git(t.Context(), "shop", "diff", good, entry.Commit); err != nil || diff != "" {
				t.Errorf("what the revert has is not what was good: %s %v", diff, err)
			}
			said, err := sh.git.Git(t.Context(), "shop", "log", "-1", "--format=%s|%P|%(trailers:key=Sluice-Reverts,valueonly)", entry.Commit)
			if want := `Revert "reviews: v3"|` + bad + "|" + bad; err != nil || strings.TrimSpace(said) != want {
				t.Errorf("the commit says %q, %v; want %q", said, err, want)
			}
			if policy == v1alpha1.RevertBranch { // somebody takes it
				if _, err := sh.git.Git(t.Context(), "shop", "update-ref", "refs/heads/main", entry.Commit); err != nil {
					t.Fatal(err)
				}
				sh.hint()
			}
			sh.until("Git and running agree", 30*time.Second, func(st *v1alpha1.RolloutStatus) bool {
				return st.Phase == v1alpha1.PhaseIdle && st.Stable.Name == "v1" && ready(st)
			})
			sh.good(entry.Commit)
			if tally := users.Record().Tally(start, time.Time{}); tally.FailedBut("v3") != 0 {
				t.Errorf("requests failed that v3 did not fail: %+v", tally)
			}
		})
	}
}

// A cluster that is built anew from a repository whose newest commit is bad serves the last good version first, and then judges
// the newest like any push.
func TestBootstrap_aBadTipIsJudgedLikeAnyPush(t *testing.T) {
	s := theSite(t)
	sh := openShop(t, s)
	sh.writesBack(v1alpha1.RevertNone)
	sh.adopt()
	before := sh.visit(200)
	good := sh.at("refs/heads/main")
	sh.good(good)
	bad := sh.bad("reviews: v3")
	before.Stop()

	sh.demolish()
	sh.versions["v3"].answers.Store(0)
	sh.createSource(back(v1alpha1.RevertNone))
	ro := sh.until("v1 adopted", 60*time.Second, func(st *v1alpha1.RolloutStatus) bool { return st.Stable.Name != "" })
	if st := ro.Status; st.Stable.Name != "v1" || st.Stable.Commit != good {
		t.Fatalf("adopted %s of %s, want v1 of the last good commit %s", st.Stable.Name, st.Stable.Commit, good)
	}
	sh.answers("v1")
	users := sh.visit(200)
	sh.until("the bad tip judged and rolled back", 90*time.Second, func(st *v1alpha1.RolloutStatus) bool {
		if st.Stable.Name != "v1" {
			t.Fatalf("the bad tip was adopted: %s", brief(st))
		}
		return st.Phase == v1alpha1.PhaseRolledBack && st.Weight == 0 && st.Attempt == 1
	})
	sh.answers("v1")
	sh.eventually(30*time.Second, func() error {
		if got := sh.source().Status.LastAppliedRevision; !strings.HasSuffix(got, bad) {
			return fmt.Errorf("applied %s, want the tip %s", got, bad)
		}
		return nil
	})
	if got := sh.at(lastGood); got != good || sh.versions["v3"].answers.Load() == 0 {
		t.Errorf("the last good commit is %s, want %s still; v3 has answered %d requests", got, good, sh.versions["v3"].answers.Load())
	}
	if tally := users.Record().Tally(time.Time{}, time.Time{}); tally.FailedBut("v3") != 0 {
		t.Logf("while the gateway was built anew: %+v", tally)
	}
}

// demolish deletes the Source with all that it has made, as if the cluster had never had it.
func (sh *shop) demolish() {
	sh.t.Helper()
	src := sh.source()
	if err := sh.client.Delete(sh.t.Context(), src); err != nil {
		sh.t.Fatal(err)
	}
	if err := poll.Until(2*time.Minute, func() error {
		for _, o := range []client.Object{&v1alpha1.Source{ObjectMeta: metav1.ObjectMeta{Name: "main"}}, &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: "reviews"}}} {
			err := sh.client.Get(sh.t.Context(), client.ObjectKey{Namespace: sh.namespace, Name: o.GetName()}, o)
			if err == nil {
				return errors.New(o.GetName() + " is still there")
			}
			if !apierrors.IsNotFound(err) {
				return err
			}
		}
		return nil
	}); err != nil {
		sh.t.Fatal(err)
	}
}
