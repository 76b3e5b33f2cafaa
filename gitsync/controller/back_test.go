package controller

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/gitsync"
	"github.com/sluice-dev/sluice/notify"
	"github.com/sluice-dev/sluice/test/kube"
	forges "github.com/sluice-dev/sluice/test/receiver"
)

// told is an Outbox that keeps what it is offered.
type told struct {
	mu    sync.Mutex
	notes []v1alpha1.PendingNote
}

// StoredSource implements Outbox.
func (o *told) StoredSource(src *v1alpha1.Source) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, n := range src.Status.Notes {
		if !slices.ContainsFunc(o.notes, func(have v1alpha1.PendingNote) bool { return have.Seq == n.Seq && have.Notifier == n.Notifier }) {
			o.notes = append(o.notes, n)
		}
	}
}

// Results implements Outbox: everything is delivered at once.
func (o *told) Results(types.UID) []notify.Result {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []notify.Result
	for _, n := range o.notes {
		out = append(out, notify.Result{Attempt: n.Attempt, Seq: n.Seq, Notifier: n.Notifier, Final: true})
	}
	return out
}

// Forget implements Outbox.
func (o *told) Forget(types.UID) {}

// judged gives the Rollout of the tests a status, as rollout/controller would.
func (w *world) judged(change func(ro *v1alpha1.Rollout, s *v1alpha1.RolloutStatus)) {
	w.Helper()
	kube.Eventually(w, soon, func() error {
		ro := &v1alpha1.Rollout{}
		if err := w.client.Get(w.Context(), types.NamespacedName{Namespace: w.ns, Name: "reviews"}, ro); err != nil {
			return err
		}
		if ro.Status == nil {
			ro.Status = &v1alpha1.RolloutStatus{}
		}
		ro.Status.Epoch, ro.Status.Seq, ro.Status.Since = 1, ro.Status.Seq+1, metav1.NowMicro()
		change(ro, ro.Status)
		return w.client.Status().Update(w.Context(), ro)
	})
}

// rest makes the Rollout serve what Git wants.
func rest(ro *v1alpha1.Rollout, s *v1alpha1.RolloutStatus) {
	digest := ro.Annotations[v1alpha1.AnnotationDigest]
	s.Phase, s.Attempted, s.Canary = v1alpha1.PhaseIdle, digest, nil
	s.Stable = v1alpha1.VersionStatus{Name: ro.Spec.Subset, Digest: digest, Commit: ro.Annotations[v1alpha1.AnnotationCommit]}
}

// fail makes the Rollout keep its stable version and reject what Git wants.
func fail(ro *v1alpha1.Rollout, s *v1alpha1.RolloutStatus) {
	digest := ro.Annotations[v1alpha1.AnnotationDigest]
	s.Phase, s.Attempted = v1alpha1.PhaseRolledBack, digest
	s.Rejected = []v1alpha1.RejectedVersion{{Digest: digest, Name: ro.Spec.Subset, Commit: ro.Annotations[v1alpha1.AnnotationCommit], Attempt: 1, At: metav1.NowMicro()}}
}

// writes makes the Secret of the write credential.
func (w *world) writes(data map[string]string) {
	w.Helper()
	if data == nil {
		data = map[string]string{"username": "sluice", "password": "canary-token"}
	}
	w.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "write"}, StringData: data})
}

func back(revert v1alpha1.RevertPolicy) func(s *v1alpha1.SourceSpec) {
	return func(s *v1alpha1.SourceSpec) {
		s.WriteBack = &v1alpha1.SourceWriteBack{SecretRef: v1alpha1.LocalRef{Name: "write"}, Revert: revert}
	}
}

func (w *world) tip(ref string) string {
	w.Helper()
	out, err := w.git.Git(w.Context(), "app", "for-each-ref", "--format=%(objectname)", ref)
	if err != nil {
		w.Fatal(err)
	}
	return out
}

func (w *world) until(what string, done func(s v1alpha1.SourceStatus) bool) v1alpha1.SourceStatus {
	w.Helper()
	var s v1alpha1.SourceStatus
	kube.Eventually(w, soon, func() error {
		if s = w.status(); !done(s) {
			return fmt.Errorf("not %s: %+v", what, s)
		}
		return nil
	})
	return s
}

var shopFiles = map[string]string{"app/rollout.yaml": rolloutV1, "app/dr.yaml": routing, "app/other.yaml": configMap("other", "one")}

const rolloutV2 = "apiVersion: sluice.dev/v1alpha1\nkind: Rollout\nmetadata: {name: reviews}\nspec: {host: reviews, subset: v2}\n"

func TestLastGood_isKeptInTheRepositoryAndBootstrapsANewCluster(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.writes(nil)
	first := w.push("first", shopFiles)
	w.source(back(v1alpha1.RevertNone))
	if s := w.ready(v1alpha1.ReasonApplied, first); s.LastGood != "" {
		t.Errorf("last good is %s before the Rollout rests", s.LastGood)
	}
	w.judged(rest)
	w.until("good", func(s v1alpha1.SourceStatus) bool { return s.LastGood == first })
	ref := "refs/sluice/prod/" + w.ns + "/shop/last-good"
	kube.Eventually(t, soon, func() error {
		if got := w.tip(ref); got != first {
			return fmt.Errorf("%s is at %q, want %s", ref, got, first)
		}
		return nil
	})
	second := w.push("second: bad", map[string]string{"app/rollout.yaml": rolloutV2})
	w.hint(second)
	w.ready(v1alpha1.ReasonApplied, second)
	w.judged(fail)
	if s := w.status(); s.LastGood != first || w.tip(ref) != first {
		t.Errorf("after a rollback last good is %s, want %s", s.LastGood, first)
	}
	w.rebuild()
	w.source(back(v1alpha1.RevertNone))
	s := w.until("bootstrapping", func(s v1alpha1.SourceStatus) bool {
		c := v1alpha1.Condition(s.Conditions, v1alpha1.ConditionReady)
		return c != nil && c.Reason == v1alpha1.ReasonBootstrapping
	})
	if !strings.HasSuffix(s.LastAppliedRevision, first) || w.subset() != "v1" {
		t.Errorf("applied first: %s with subset %s, want the last good commit", s.LastAppliedRevision, w.subset())
	}
	w.judged(rest)
	w.until("at the tip", func(s v1alpha1.SourceStatus) bool { return strings.HasSuffix(s.LastAppliedRevision, second) })
	if w.subset() != "v2" {
		t.Errorf("the tip asks for subset %s, want v2", w.subset())
	}
	if s := w.status(); s.LastGood != first && s.LastGood != "" {
		t.Errorf("the bad tip counts as good: %s", s.LastGood)
	}
}

func TestBootstrap_withoutARefTheTipIsAdopted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.writes(nil)
	first := w.push("first", shopFiles)
	w.source(back(v1alpha1.RevertNone))
	w.ready(v1alpha1.ReasonApplied, first)
	w.event("AdoptedWithoutHistory")
}

// event waits for an event with a reason.
func (w *world) event(reason string) {
	w.Helper()
	kube.Eventually(w, soon, func() error {
		list := &corev1.EventList{}
		if err := w.client.List(w.Context(), list, client.InNamespace(w.ns)); err != nil {
			return err
		}
		if !slices.ContainsFunc(list.Items, func(e corev1.Event) bool { return e.Reason == reason }) {
			return errors.New("no event " + reason)
		}
		return nil
	})
}

// rebuild takes away what a new cluster would not have.
func (w *world) rebuild() {
	w.Helper()
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: w.ns, Name: name} }
	for _, o := range []client.Object{&v1alpha1.Source{ObjectMeta: meta("shop")}, &v1alpha1.Rollout{ObjectMeta: meta("reviews")}} {
		if err := w.client.Delete(w.Context(), o); err != nil {
			w.Fatal(err)
		}
		kube.Eventually(w, soon, func() error {
			if err := w.client.Get(w.Context(), client.ObjectKeyFromObject(o), o); client.IgnoreNotFound(err) != nil || err == nil {
				return fmt.Errorf("%s is still there: %w", o.GetName(), err)
			}
			return nil
		})
	}
}

func (w *world) subset() string {
	w.Helper()
	ro := &v1alpha1.Rollout{}
	if err := w.client.Get(w.Context(), types.NamespacedName{Namespace: w.ns, Name: "reviews"}, ro); err != nil {
		w.Fatal(err)
	}
	return ro.Spec.Subset
}

// broken brings a good commit, a bad one, and one after it, and lets the Rollout reject the bad one.
func (w *world) broken(policy v1alpha1.RevertPolicy, change func(s *v1alpha1.SourceSpec), bad, after map[string]string) (first, second, third string) {
	w.Helper()
	if _, err := w.git.Git(w.Context(), "app", "config", "uploadpack.allowReachableSHA1InWant", "true"); err != nil {
		w.Fatal(err)
	}
	first = w.push("first", shopFiles)
	w.source(func(s *v1alpha1.SourceSpec) {
		back(policy)(s)
		if change != nil {
			change(s)
		}
	})
	w.ready(v1alpha1.ReasonApplied, first)
	w.judged(rest)
	w.until("good", func(s v1alpha1.SourceStatus) bool { return s.LastGood == first })
	second = w.push("second: bad", bad)
	third = w.push("third", after)
	w.hint(third)
	w.ready(v1alpha1.ReasonApplied, third)
	w.judged(func(ro *v1alpha1.Rollout, s *v1alpha1.RolloutStatus) {
		ro.Annotations[v1alpha1.AnnotationCommit] = second
		fail(ro, s)
	})
	return first, second, third
}

func reverted(s v1alpha1.SourceStatus) *v1alpha1.WriteBackStatus {
	for i := range s.WriteBack {
		if s.WriteBack[i].Kind != backLastGood {
			return &s.WriteBack[i]
		}
	}
	return nil
}

func TestRevert_aBranchOfItsOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.writes(nil)
	first, second, third := w.broken(v1alpha1.RevertBranch, nil, map[string]string{"app/rollout.yaml": rolloutV2, "README": "x"}, map[string]string{"app/other.yaml": configMap("other", "two")})
	s := w.until("reverted", func(s v1alpha1.SourceStatus) bool { return reverted(s) != nil })
	e := reverted(s)
	if e.Result != backPushed || !strings.HasPrefix(e.Ref, "refs/heads/sluice/revert/"+w.ns+"-reviews-") || w.tip(e.Ref) != e.Commit || w.tip("refs/heads/main") != third {
		t.Fatalf("write back: %+v", e)
	}
	git := func(args ...string) string {
		out, err := w.git.Git(t.Context(), "app", args...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if got := git("diff", "--name-only", third, e.Commit); got != "app/rollout.yaml" {
		t.Errorf("the commit changes %q, want the Rollout only", got)
	}
	if got := git("diff", first, e.Commit, "--", "app/rollout.yaml"); got != "" {
		t.Errorf("the Rollout is not as it was: %s", got)
	}
	message := git("log", "-1", "--format=%s|%(trailers:key=Sluice-Reverts,valueonly)|%(trailers:key=Sluice-Rollout,valueonly)", e.Commit)
	if want := `Revert "second: bad"|` + second + "\n|" + w.ns + "/reviews"; strings.TrimSpace(message) != want {
		t.Errorf("message %q, want %q", message, want)
	}
	git("push", ".", e.Commit+":refs/heads/main")
	w.hint(e.Commit)
	w.ready(v1alpha1.ReasonApplied, e.Commit)
	w.judged(rest)
	w.until("good again", func(s v1alpha1.SourceStatus) bool { return s.LastGood == e.Commit })
}

func TestRevert_onTheBranchThatIsFollowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.writes(nil)
	_, _, third := w.broken(v1alpha1.RevertCommit, nil, map[string]string{"app/rollout.yaml": rolloutV2}, map[string]string{"app/other.yaml": configMap("other", "two")})
	s := w.until("reverted", func(s v1alpha1.SourceStatus) bool { return reverted(s) != nil })
	if e := reverted(s); e.Result != backPushed || e.Ref != "refs/heads/main" || w.tip("refs/heads/main") != e.Commit || e.Commit == third {
		t.Errorf("write back: %+v", e)
	}
}

// A revert that was pushed is told even where the status cannot be written just then and nothing asks for it any more: somebody
// changed the Source meanwhile, and the Rollout already serves what the revert brought.
func TestRevert_isToldThoughTheSourceWasChangedMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.writes(nil)
	meddle := func() {
		w.judged(func(_ *v1alpha1.Rollout, s *v1alpha1.RolloutStatus) { s.Phase = v1alpha1.PhaseIdle })
		w.look("somebody was here")
	}
	w.pushed.Store(&meddle)
	w.broken(v1alpha1.RevertCommit, nil, map[string]string{"app/rollout.yaml": rolloutV2}, map[string]string{"app/other.yaml": configMap("other", "two")})
	s := w.until("told", func(s v1alpha1.SourceStatus) bool { return reverted(s) != nil })
	if e := reverted(s); e.Result != backPushed || w.tip("refs/heads/main") != e.Commit || w.pushed.Load() != nil {
		t.Errorf("write back: %+v, main is at %s", e, w.tip("refs/heads/main"))
	}
}

// What keeps a revert from being made has a name: somebody changed the file since, or it holds more than the Rollout.
func TestRevert_whyItIsNotMade(t *testing.T) {
	t.Parallel()
	both := func(subset, value string) string {
		return strings.Replace(rolloutV1, "v1}", subset+"}", 1) + "---\n" + configMap("more", value)
	}
	for _, row := range []struct {
		name, want string
		bad, after map[string]string
	}{
		{"the file was changed since", backConflict, map[string]string{"app/rollout.yaml": rolloutV2}, map[string]string{"app/rollout.yaml": both("v2", "one")}},
		{"the file holds more", backNotSeparable, map[string]string{"app/rollout.yaml": both("v2", "one")}, map[string]string{"app/other.yaml": configMap("other", "two")}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.writes(nil)
			_, _, third := w.broken(v1alpha1.RevertCommit, nil, row.bad, row.after)
			s := w.until("refused", func(s v1alpha1.SourceStatus) bool { return reverted(s) != nil })
			if e := reverted(s); e.Result != row.want || e.Message == "" || w.tip("refs/heads/main") != third {
				t.Errorf("write back: %+v, want %s and nothing pushed", e, row.want)
			}
		})
	}
}

func TestRevert_asksToMerge(t *testing.T) {
	t.Parallel()
	for provider, row := range map[v1alpha1.ForgeProvider][2]string{
		v1alpha1.ForgeGitHub: {"/repos/", "/pulls"}, v1alpha1.ForgeGitLab: {"/api/v4/projects/", "/merge_requests"}, v1alpha1.ForgeGitea: {"/api/v1/repos/", "/pulls"},
	} {
		t.Run(string(provider), func(t *testing.T) {
			t.Parallel()
			f := forges.StartForge(func(forges.Asked) forges.Answer {
				return forges.Answer{Status: http.StatusCreated, Body: `{"html_url":"https://forge/1","web_url":"https://forge/1"}`}
			})
			t.Cleanup(f.Close)
			w := newWorld(t)
			w.forges = func([]byte) (*http.Client, error) { return f.Client(), nil }
			w.owned()
			w.writes(nil)
			w.broken(v1alpha1.RevertPullRequest, func(s *v1alpha1.SourceSpec) {
				s.URL = w.git.URL("shop/app")
				s.WriteBack.Provider, s.WriteBack.APIURL = provider, f.URL()
			}, map[string]string{"app/rollout.yaml": rolloutV2}, map[string]string{"app/other.yaml": configMap("other", "two")})
			s := w.until("proposed", func(s v1alpha1.SourceStatus) bool { return reverted(s) != nil })
			e := reverted(s)
			asked := f.Asked()
			if e.Result != backProposed || e.URL != "https://forge/1" || len(asked) != 1 || !strings.HasPrefix(asked[0].Path, row[0]) || !strings.HasSuffix(asked[0].Path, row[1]) {
				t.Errorf("write back %+v, asked %+v", e, asked)
			}
		})
	}
}

// A GitHub App that may write asks to merge with a token of its own; an SSH key cannot, and says so.
func TestRevert_asksToMergeAsAnApp(t *testing.T) {
	t.Parallel()
	f := forges.StartForge(func(forges.Asked) forges.Answer {
		return forges.Answer{Status: http.StatusCreated, Body: `{"html_url":"https://forge/1"}`}
	})
	t.Cleanup(f.Close)
	w := newWorld(t)
	w.forges = func([]byte) (*http.Client, error) { return f.Client(), nil }
	api := httptest.NewServer(parrot{"token-of-the-app", "", func(string) {}})
	t.Cleanup(api.Close)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	w.writes(map[string]string{"githubAppID": "7", "githubAppInstallationID": "42", "githubAppBaseURL": api.URL,
		"githubAppPrivateKey": string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))})
	w.owned()
	w.broken(v1alpha1.RevertPullRequest, func(s *v1alpha1.SourceSpec) {
		s.URL = w.git.URL("shop/app")
		s.WriteBack.Provider, s.WriteBack.APIURL = v1alpha1.ForgeGitHub, f.URL()
	}, map[string]string{"app/rollout.yaml": rolloutV2}, map[string]string{"app/other.yaml": configMap("other", "two")})
	s := w.until("proposed", func(s v1alpha1.SourceStatus) bool { return reverted(s) != nil })
	asked := f.Asked()
	if e := reverted(s); e.Result != backProposed || len(asked) != 1 || asked[0].Header.Get("Authorization") != "Bearer token-of-the-app" {
		t.Errorf("write back %+v, asked %+v; want the App's token", e, asked)
	}
	u := &undo{pass: &pass{controller: w.controller}, remote: gitsync.Remote{URL: "ssh://git@127.0.0.1/r", Secret: gitsync.Secret{Identity: "key", KnownHosts: "hosts"}}}
	if token, err := u.token(t.Context()); token != "" || err == nil || !strings.Contains(err.Error(), "an SSH key") {
		t.Errorf("with an SSH key: %q, %v", token, err)
	}
}

// owned lets the repository be found below an owner, as forges have it.
func (w *world) owned() {
	w.Helper()
	bare, err := w.git.Git(w.Context(), "app", "rev-parse", "--absolute-git-dir")
	if err != nil {
		w.Fatal(err)
	}
	if err := os.Symlink(".", filepath.Join(filepath.Dir(bare), "shop")); err != nil {
		w.Fatal(err)
	}
}
