package controller

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/gitserver/gittest"
	"github.com/sluice-dev/sluice/test/gitserver/signing"
	"github.com/sluice-dev/sluice/test/kube"
)

// edit changes the spec of the Source.
func (w *world) edit(change func(*v1alpha1.SourceSpec)) {
	w.Helper()
	src := &v1alpha1.Source{}
	if err := w.client.Get(w.Context(), types.NamespacedName{Namespace: w.ns, Name: "shop"}, src); err != nil {
		w.Fatal(err)
	}
	base := src.DeepCopy()
	change(&src.Spec)
	if err := w.client.Patch(w.Context(), src, client.MergeFrom(base)); err != nil {
		w.Fatal(err)
	}
}

// observed waits until the controller has handled the newest spec and Ready has the reason.
func (w *world) observed(reason string) v1alpha1.SourceStatus {
	w.Helper()
	var src v1alpha1.Source
	kube.Eventually(w, soon, func() error {
		if err := w.client.Get(w.Context(), types.NamespacedName{Namespace: w.ns, Name: "shop"}, &src); err != nil {
			return err
		}
		c := v1alpha1.Condition(src.Status.Conditions, v1alpha1.ConditionReady)
		if src.Status.ObservedGeneration != src.Generation || c == nil || c.Reason != reason {
			return fmt.Errorf("want %s at generation %d, the status is %+v", reason, src.Generation, src.Status)
		}
		return nil
	})
	return src.Status
}

func (w *world) gitdo(args ...string) {
	w.Helper()
	if out, err := w.tree.Git(w.Context(), args...); err != nil {
		w.Fatalf("git %v: %v\n%s", args, err, out)
	}
}

// filters lets the server leave out trees, so that descent can be proven.
func (w *world) filters() {
	w.Helper()
	if _, err := w.git.Git(w.Context(), "app", "config", "uploadpack.allowFilter", "true"); err != nil {
		w.Fatal(err)
	}
}

// rewrite replaces the newest commit by one with other files.
func (w *world) rewrite(files map[string]string) string {
	w.Helper()
	if err := w.tree.Write(files); err != nil {
		w.Fatal(err)
	}
	w.gitdo("add", "--all")
	w.gitdo("commit", "--quiet", "--amend", "-m", "rewritten")
	if err := w.tree.ForcePush(w.Context()); err != nil {
		w.Fatal(err)
	}
	id, err := w.tree.Head(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	return id
}

// forget makes the controller know no more than after a restart.
func (w *world) forget() {
	w.controller.mu.Lock()
	defer w.controller.mu.Unlock()
	clear(w.controller.memory)
}

func TestSource_otherChangesOfTheSpecAreNoConsentToRewrites(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.filters()
	w.push("root", map[string]string{"other": "x"})
	first := w.push("first", map[string]string{"app/a.yaml": configMap("a", "one")})
	w.source(nil)
	w.ready(v1alpha1.ReasonApplied, first)
	rewritten := w.rewrite(map[string]string{"app/a.yaml": configMap("a", "two")})
	w.edit(func(s *v1alpha1.SourceSpec) { s.PruneLimitPercent = 50 })
	s := w.observed(v1alpha1.ReasonHistoryRewritten)
	if w.data("a")["k"] != "one" || len(s.Problems) != 1 || s.Problems[0].Code != "S207" || !strings.Contains(s.Problems[0].Hint, rewritten) {
		t.Errorf("a = %v, status %+v; want it held with S207 and a hint to accept %s", w.data("a"), s, rewritten)
	}
	w.forget()
	w.edit(func(s *v1alpha1.SourceSpec) { s.PruneLimitPercent = 60 })
	w.observed(v1alpha1.ReasonHistoryRewritten)
	kube.Eventually(t, soon, func() error {
		w.controller.mu.Lock()
		defer w.controller.mu.Unlock()
		m := w.controller.memory[types.NamespacedName{Namespace: w.ns, Name: "shop"}]
		if m == nil || m.revision == nil || m.revision.commit.ID != first || !m.revision.listedAt.IsZero() || m.revision.commit.Ref != "main" {
			return fmt.Errorf("after a restart %+v is known, want the applied commit, fetched by its id, and that it is at no ref", m)
		}
		return nil
	})
	w.edit(func(s *v1alpha1.SourceSpec) { s.Accept = &v1alpha1.SourceAccept{Revision: strings.Repeat("1", 40)} })
	w.observed(v1alpha1.ReasonHistoryRewritten)
	w.edit(func(s *v1alpha1.SourceSpec) { s.Accept.Revision = rewritten })
	s = w.observed(v1alpha1.ReasonApplied)
	if w.data("a")["k"] != "two" || len(s.Problems) != 0 {
		t.Errorf("a = %v, problems %+v; want the accepted commit applied", w.data("a"), s.Problems)
	}
	again := w.rewrite(map[string]string{"app/a.yaml": configMap("a", "three")})
	w.hint(again)
	w.observed(v1alpha1.ReasonHistoryRewritten)
	w.edit(func(s *v1alpha1.SourceSpec) { s.OnRewrite = v1alpha1.RewriteFollow })
	w.observed(v1alpha1.ReasonApplied)
	if w.data("a")["k"] != "three" {
		t.Errorf("a = %v, want what was rewritten followed", w.data("a"))
	}
	w.gitdo("reset", "--hard", "--quiet", rewritten)
	w.edit(func(s *v1alpha1.SourceSpec) { s.OnRewrite = v1alpha1.RewriteHold })
	w.observed(v1alpha1.ReasonApplied)
	w.gitdo("push", "--quiet", "--force", "origin", "HEAD:refs/heads/main")
	w.hint(rewritten)
	w.observed(v1alpha1.ReasonHistoryRewritten) // accepted once, not for ever
}

func TestSource_anotherRefIsConsent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.filters()
	first := w.push("first", map[string]string{"app/a.yaml": configMap("a", "one")})
	w.source(nil)
	w.ready(v1alpha1.ReasonApplied, first)
	w.gitdo("commit", "--quiet", "--amend", "-m", "elsewhere")
	w.gitdo("push", "--quiet", "origin", "HEAD:refs/heads/other")
	w.edit(func(s *v1alpha1.SourceSpec) { s.Ref.Branch = "other" })
	if s := w.observed(v1alpha1.ReasonApplied); !strings.HasPrefix(s.LastAppliedRevision, "other@") {
		t.Errorf("applied %s, want the other branch", s.LastAppliedRevision)
	}
	w.gitdo("push", "--quiet", "--force", "origin", first+":refs/heads/main")
	w.forget()
	w.edit(func(s *v1alpha1.SourceSpec) { s.Ref.Branch = "main" })
	if s := w.observed(v1alpha1.ReasonApplied); s.LastAppliedRevision != "main@sha1:"+first {
		t.Errorf("applied %s after a restart, want main again", s.LastAppliedRevision)
	}
}

// TestSource_consentOutlivesARestart changes the branch to one that cannot be built: what it shows later need not descend
// from what is applied, whoever has restarted meanwhile. Once that is applied, rewriting it needs consent of its own.
func TestSource_consentOutlivesARestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.filters()
	first := w.push("first", map[string]string{"app/a.yaml": configMap("a", "one")})
	w.source(nil)
	w.ready(v1alpha1.ReasonApplied, first)
	other := func(value string) string {
		w.Helper()
		if err := w.tree.Write(map[string]string{"app/a.yaml": value}); err != nil {
			t.Fatal(err)
		}
		w.gitdo("add", "--all")
		w.gitdo("commit", "--quiet", "--amend", "-m", "other")
		w.gitdo("push", "--quiet", "--force", "origin", "HEAD:refs/heads/other")
		id, err := w.tree.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	other("kind: [")
	w.edit(func(s *v1alpha1.SourceSpec) { s.Ref.Branch = "other" })
	w.observed(v1alpha1.ReasonContentInvalid)
	w.forget()
	second := other(configMap("a", "two"))
	w.controller.Hint(types.NamespacedName{Namespace: w.ns, Name: "shop"}, "")
	if s := w.ready(v1alpha1.ReasonApplied, second); w.data("a")["k"] != "two" || s.LastAppliedRevision != "other@sha1:"+second {
		t.Errorf("a = %v at %s, want what the other branch shows", w.data("a"), s.LastAppliedRevision)
	}
	other(configMap("a", "three"))
	w.forget()
	w.controller.Hint(types.NamespacedName{Namespace: w.ns, Name: "shop"}, "")
	w.observed(v1alpha1.ReasonHistoryRewritten)
	if w.data("a")["k"] != "two" {
		t.Errorf("a = %v, want the rewritten branch held", w.data("a"))
	}
}

// TestSource_isReadyAgainWhenTheBranchComesBack ends the hold without anything to apply.
func TestSource_isReadyAgainWhenTheBranchComesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.filters()
	w.push("root", map[string]string{"other": "x"})
	first := w.push("first", map[string]string{"app/a.yaml": configMap("a", "one")})
	w.source(nil)
	w.ready(v1alpha1.ReasonApplied, first)
	w.rewrite(map[string]string{"app/a.yaml": configMap("a", "two")})
	w.hint("")
	w.observed(v1alpha1.ReasonHistoryRewritten)
	w.gitdo("push", "--quiet", "--force", "origin", first+":refs/heads/main")
	w.hint(first)
	if s := w.observed(v1alpha1.ReasonApplied); len(s.Problems) != 0 {
		t.Errorf("problems %+v are left", s.Problems)
	}
}

func TestSource_movedTagHolds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.push("first", map[string]string{"app/a.yaml": configMap("a", "one")})
	w.gitdo("push", "--quiet", "origin", "HEAD:refs/tags/v1")
	w.source(func(s *v1alpha1.SourceSpec) { s.Ref = v1alpha1.SourceRef{Tag: "v1"} })
	w.ready(v1alpha1.ReasonApplied, first)
	w.push("second", map[string]string{"app/a.yaml": configMap("a", "two")})
	w.gitdo("push", "--quiet", "--force", "origin", "HEAD:refs/tags/v1")
	w.controller.Hint(types.NamespacedName{Namespace: w.ns, Name: "shop"}, "")
	w.observed(v1alpha1.ReasonTagMoved)
	w.edit(func(s *v1alpha1.SourceSpec) { s.OnRewrite = v1alpha1.RewriteFollow })
	w.observed(v1alpha1.ReasonApplied)
	if w.data("a")["k"] != "two" {
		t.Errorf("a = %v, want the moved tag followed", w.data("a"))
	}
}

func TestSource_unprovenDescentIsAnEvent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.push("first", map[string]string{"app/a.yaml": configMap("a", "one")})
	w.source(nil)
	w.ready(v1alpha1.ReasonApplied, first)
	second := w.push("second", map[string]string{"app/a.yaml": configMap("a", "two")})
	w.hint(second)
	w.ready(v1alpha1.ReasonApplied, second)
	kube.Eventually(t, soon, func() error {
		events := &corev1.EventList{}
		if err := w.client.List(t.Context(), events, client.InNamespace(w.ns)); err != nil {
			return err
		}
		if !slices.ContainsFunc(events.Items, func(e corev1.Event) bool {
			return e.Reason == v1alpha1.ReasonDescentUnproven && strings.Contains(e.Message, second[:12])
		}) {
			return fmt.Errorf("no event among %d", len(events.Items))
		}
		return nil
	})
}

func TestSource_verifiesSignatures(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key, other := signing.SSH(t, "ed25519"), signing.PGP(t, "ed25519", "never", "")
	trusted := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "trusted"}, Data: signing.Files(key)}
	if err := w.client.Create(t.Context(), trusted); err != nil {
		t.Fatal(err)
	}
	gittest.Push(t, w.tree, "unsigned", map[string]string{"app/a.yaml": configMap("a", "one")})
	w.source(func(s *v1alpha1.SourceSpec) {
		s.Verify = &v1alpha1.SourceVerify{Mode: v1alpha1.VerifyHead, SecretRef: v1alpha1.LocalRef{Name: "trusted"}}
	})
	s := w.observed(v1alpha1.ReasonSignatureRefused)
	if c := v1alpha1.Condition(s.Conditions, v1alpha1.ConditionVerified); c == nil || c.Status != metav1.ConditionFalse || c.Reason != v1alpha1.ReasonMissing ||
		len(s.Problems) != 1 || s.Problems[0].Code != "S206" || w.data("a") != nil {
		t.Errorf("verified %+v, problems %+v, a = %v; want Missing, S206 and nothing applied", c, s.Problems, w.data("a"))
	}
	sign := func(k signing.Key, value string) string {
		if err := w.tree.Write(map[string]string{"app/a.yaml": configMap("a", value)}); err != nil {
			t.Fatal(err)
		}
		w.gitdo("add", "--all")
		w.gitdo(slices.Concat(k.Args(), []string{"commit", "--quiet", "-S", "-m", value})...)
		w.gitdo("push", "--quiet", "origin", "HEAD:refs/heads/main")
		id, err := w.tree.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	first := sign(key, "two")
	w.hint(first)
	s = w.ready(v1alpha1.ReasonApplied, first)
	if c := v1alpha1.Condition(s.Conditions, v1alpha1.ConditionVerified); c == nil || c.Status != metav1.ConditionTrue || c.Reason != v1alpha1.ReasonSigned ||
		s.Commit == nil || s.Commit.Signer != key.Fingerprint || w.data("a")["k"] != "two" {
		t.Errorf("verified %+v, commit %+v, a = %v; want it signed by %s", c, s.Commit, w.data("a"), key.Fingerprint)
	}
	second := sign(other, "three")
	w.hint(second)
	s = w.observed(v1alpha1.ReasonSignatureRefused)
	if c := v1alpha1.Condition(s.Conditions, v1alpha1.ConditionVerified); c.Reason != v1alpha1.ReasonUntrusted || s.Commit.ID != first || w.data("a")["k"] != "two" {
		t.Errorf("verified %+v, commit %+v, a = %v; want the first commit kept", c, s.Commit, w.data("a"))
	}
	trusted.Data = signing.Files(key, other)
	if err := w.client.Update(t.Context(), trusted); err != nil {
		t.Fatal(err)
	}
	w.hint(second) // a failure reads the Secrets again
	s = w.ready(v1alpha1.ReasonApplied, second)
	if s.Commit.Signer != other.Fingerprint || len(s.Problems) != 0 {
		t.Errorf("commit %+v, problems %+v; want it signed by %s", s.Commit, s.Problems, other.Fingerprint)
	}
	w.edit(func(s *v1alpha1.SourceSpec) { s.Verify = nil })
	kube.Eventually(t, soon, func() error {
		if c := v1alpha1.Condition(w.observed(v1alpha1.ReasonApplied).Conditions, v1alpha1.ConditionVerified); c != nil {
			return fmt.Errorf("verified %+v though nothing is demanded", c)
		}
		return nil
	})
}

func TestSource_missingSecretIsAProblem(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push("first", map[string]string{"app/a.yaml": configMap("a", "one")})
	w.source(func(s *v1alpha1.SourceSpec) { s.SecretRef = &v1alpha1.LocalRef{Name: "nowhere"} })
	s := w.observed(v1alpha1.ReasonSecretInvalid)
	if len(s.Problems) != 1 || s.Problems[0].Code != "S201" || s.Problems[0].Field != "spec.secretRef" {
		t.Errorf("problems %+v, want S201 at spec.secretRef", s.Problems)
	}
	bad := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "nowhere"}, StringData: map[string]string{"username": "only"}}
	if err := w.client.Create(t.Context(), bad); err != nil {
		t.Fatal(err)
	}
	w.hint("")
	kube.Eventually(t, soon, func() error {
		if s := w.observed(v1alpha1.ReasonSecretInvalid); len(s.Problems) != 1 || s.Problems[0].Code != "S202" {
			return fmt.Errorf("problems %+v, want S202", s.Problems)
		}
		return nil
	})
}

func TestAccepted_countsOnce(t *testing.T) {
	t.Parallel()
	id := strings.Repeat("a", 40)
	src := &v1alpha1.Source{Spec: v1alpha1.SourceSpec{Accept: &v1alpha1.SourceAccept{Revision: id}}}
	if accepted(src) != id {
		t.Error("what was never applied does not count")
	}
	src.Status.History = []v1alpha1.SourceHistory{{Revision: "main@sha1:" + id, Time: metav1.NewTime(time.Unix(0, 0))}}
	if accepted(src) != "" {
		t.Error("what was applied before counts again")
	}
}
