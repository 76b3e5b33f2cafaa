package controller

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/gitserver/signing"
	"github.com/sluice-dev/sluice/test/kube"
)

// written edits what the status says was written back.
func (w *world) written(edit func(entries []v1alpha1.WriteBackStatus) []v1alpha1.WriteBackStatus) {
	w.Helper()
	kube.Eventually(w, soon, func() error {
		src := w.of("shop")
		src.Status.WriteBack = edit(src.Status.WriteBack)
		return w.client.Status().Update(w.Context(), src)
	})
}

// At most three reverts are made within a day; when the oldest is older, one more is.
func TestRevert_threeADay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.writes(nil)
	w.source(back(v1alpha1.RevertBranch))
	first := w.push("first", shopFiles)
	w.hint(first)
	w.ready(v1alpha1.ReasonApplied, first)
	w.judged(rest)
	w.until("good", func(s v1alpha1.SourceStatus) bool { return s.LastGood == first && len(s.WriteBack) == 1 })
	w.written(func(entries []v1alpha1.WriteBackStatus) []v1alpha1.WriteBackStatus {
		for i := range revertsADay {
			entries = append(entries, v1alpha1.WriteBackStatus{Kind: string(v1alpha1.RevertBranch), Rollout: "other", Digest: fmt.Sprint("d", i), Result: backPushed,
				Time: metav1.NewTime(time.Now().Add(-time.Duration(21+i) * time.Hour))})
		}
		return entries
	})
	second := w.push("second: bad", map[string]string{"app/rollout.yaml": rolloutV2})
	w.hint(second)
	w.ready(v1alpha1.ReasonApplied, second)
	w.judged(fail)
	mine := func(s v1alpha1.SourceStatus) bool {
		return slices.ContainsFunc(s.WriteBack, func(e v1alpha1.WriteBackStatus) bool { return e.Rollout == "reviews" })
	}
	if s := w.passed("a fourth"); mine(s) {
		t.Fatalf("%+v: a fourth revert within a day", s.WriteBack)
	}
	w.written(func(entries []v1alpha1.WriteBackStatus) []v1alpha1.WriteBackStatus {
		at := slices.IndexFunc(entries, func(e v1alpha1.WriteBackStatus) bool { return e.Digest == "d2" })
		entries[at].Time = metav1.NewTime(time.Now().Add(-25 * time.Hour))
		return entries
	})
	w.look("a day later")
	w.until("reverted", mine)
}

// A push that is refused because the branch has moved is made anew, three times in all, and never again for this version.
func TestRevert_startsOverThreeTimes(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		refusals     int
		want, pushes string
	}{{revertTries - 1, backPushed, "2"}, {revertTries + 3, backRefused, "3"}} {
		t.Run(row.want, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.writes(nil)
			bare, err := w.git.Git(t.Context(), "app", "rev-parse", "--absolute-git-dir")
			if err != nil {
				t.Fatal(err)
			}
			count := filepath.Join(bare, "refusals")
			hook := fmt.Sprintf("#!/bin/sh\n[ \"$1\" = refs/heads/main ] && [ -e %[1]q ] || exit 0\nn=$(cat %[1]q)\n[ \"$n\" -lt %[2]d ] || exit 0\necho $((n+1)) >%[1]q\nexit 1\n", count, row.refusals)
			if err := os.WriteFile(filepath.Join(bare, "hooks", "update"), []byte(hook), 0o700); err != nil {
				t.Fatal(err)
			}
			first := w.push("first", shopFiles)
			w.source(back(v1alpha1.RevertCommit))
			w.ready(v1alpha1.ReasonApplied, first)
			w.judged(rest)
			w.until("good", func(s v1alpha1.SourceStatus) bool { return s.LastGood == first })
			second := w.push("second: bad", map[string]string{"app/rollout.yaml": rolloutV2})
			w.hint(second)
			w.ready(v1alpha1.ReasonApplied, second)
			if err := os.WriteFile(count, []byte("0\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			w.judged(fail)
			e := reverted(w.until("written", func(s v1alpha1.SourceStatus) bool { return reverted(s) != nil }))
			if e.Result != row.want || (w.tip("refs/heads/main") == second) != (row.want == backRefused) {
				t.Errorf("write back %+v with main at %s, want %s", e, w.tip("refs/heads/main"), row.want)
			}
			w.passed("once more")
			if raw, err := os.ReadFile(count); err != nil || strings.TrimSpace(string(raw)) != row.pushes {
				t.Errorf("refused %s times (%v), want %s", raw, err, row.pushes)
			}
		})
	}
}

// Where commits must be signed the revert is signed too, and the Source takes it. A spec without a signing key is refused.
func TestRevert_isSignedWhereCommitsMustBe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := signing.SSH(t, "ed25519")
	args := key.Args()
	file := strings.TrimPrefix(args[slices.IndexFunc(args, func(a string) bool { return strings.HasPrefix(a, "user.signingkey=") })], "user.signingkey=")
	private, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	w.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "trusted"}, Data: signing.Files(key)},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "signer"}, Data: map[string][]byte{"identity": private}})
	w.writes(nil)
	signed := func(message string, files map[string]string) string {
		t.Helper()
		if err := w.tree.Write(files); err != nil {
			t.Fatal(err)
		}
		w.gitdo("add", "--all")
		w.gitdo(slices.Concat(args, []string{"commit", "--quiet", "-S", "-m", message})...)
		w.gitdo("push", "--quiet", "origin", "HEAD:refs/heads/main")
		id, err := w.tree.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	first := signed("first", shopFiles)
	spec := func(s *v1alpha1.SourceSpec) {
		back(v1alpha1.RevertCommit)(s)
		s.Verify = &v1alpha1.SourceVerify{Mode: v1alpha1.VerifyHead, SecretRef: v1alpha1.LocalRef{Name: "trusted"}}
	}
	without := &v1alpha1.Source{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "without"}, Spec: v1alpha1.SourceSpec{URL: w.git.URL("app")}}
	spec(&without.Spec)
	if err := w.client.Create(t.Context(), without); err == nil || !strings.Contains(err.Error(), "signingSecretRef") {
		t.Errorf("a revert without a signing key: %v, want it refused", err)
	}
	w.source(func(s *v1alpha1.SourceSpec) {
		spec(s)
		s.WriteBack.SigningSecretRef = &v1alpha1.LocalRef{Name: "signer"}
	})
	w.ready(v1alpha1.ReasonApplied, first)
	w.judged(rest)
	w.until("good", func(s v1alpha1.SourceStatus) bool { return s.LastGood == first })
	second := signed("second: bad", map[string]string{"app/rollout.yaml": rolloutV2})
	w.hint(second)
	w.ready(v1alpha1.ReasonApplied, second)
	w.judged(fail)
	e := reverted(w.until("reverted", func(s v1alpha1.SourceStatus) bool { return reverted(s) != nil }))
	if e.Result != backPushed || w.tip("refs/heads/main") != e.Commit {
		t.Fatalf("write back %+v", e)
	}
	w.hint(e.Commit)
	s := w.ready(v1alpha1.ReasonApplied, e.Commit)
	if s.Commit.Signer != key.Fingerprint || w.subset() != "v1" {
		t.Errorf("commit %+v, subset %s; want the revert applied, signed by %s", s.Commit, w.subset(), key.Fingerprint)
	}
}
