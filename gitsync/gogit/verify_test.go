package gogit

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/gitsync"
	"github.com/sluice-dev/sluice/test/gitserver"
	"github.com/sluice-dev/sluice/test/gitserver/gittest"
	"github.com/sluice-dev/sluice/test/gitserver/signing"
)

func TestFetch_demandsSignatures(t *testing.T) {
	t.Parallel()
	s := gittest.Start(t, gitserver.Config{})
	w := gittest.Repository(t, s, "app")
	key, other := signing.SSH(t, "ed25519"), signing.PGP(t, "ed25519", "never", "")
	unsigned := gittest.Push(t, w, "unsigned", map[string]string{"a": "1"})
	git(t, w, slices.Concat(key.Args(), []string{"tag", "-s", "v1.0.0", "-m", "signed tag of an unsigned commit"})...)
	git(t, w, slices.Concat(key.Args(), []string{"commit", "--quiet", "--allow-empty", "-S", "-m", "signed"})...)
	signed, err := w.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	git(t, w, "tag", "light")
	git(t, w, "tag", "-a", "v1.1.0", "-m", "not signed")
	git(t, w, slices.Concat(other.Args(), []string{"tag", "-s", "v1.2.0", "-m", "both signed"})...)
	git(t, w, slices.Concat(key.Args(), []string{"tag", "-s", "outer", "-m", "tag of a tag", "v1.2.0"})...)
	git(t, w, "push", "--quiet", "origin", "HEAD:refs/heads/signed", "--tags")
	git(t, w, "push", "--quiet", "origin", "refs/tags/v1.2.0:refs/tags/v9.9.9")
	both, head, tag := gitsync.Verify{Head: true, Tag: true}, gitsync.Verify{Head: true}, gitsync.Verify{Tag: true}
	r := repositories(t, Limits{})
	for _, row := range []struct {
		name    string
		ref     gitsync.Ref
		verify  gitsync.Verify
		keys    []signing.Key
		verdict gitsync.Verdict
		signer  string
	}{
		{"nothing demanded", gitsync.Ref{Branch: "main"}, gitsync.Verify{}, nil, "", ""},
		{"unsigned branch", gitsync.Ref{Branch: "main"}, head, []signing.Key{key}, gitsync.Missing, ""},
		{"unsigned commit", gitsync.Ref{Commit: unsigned}, head, []signing.Key{key}, gitsync.Missing, ""},
		{"signed branch, unsigned ancestor", gitsync.Ref{Branch: "signed"}, head, []signing.Key{key}, "", key.Fingerprint},
		{"signed commit", gitsync.Ref{Commit: signed}, head, []signing.Key{other, key}, "", key.Fingerprint},
		{"by another key", gitsync.Ref{Branch: "signed"}, head, []signing.Key{other}, gitsync.Untrusted, ""},
		{"signed tag", gitsync.Ref{Tag: "v1.0.0"}, tag, []signing.Key{key}, "", key.Fingerprint},
		{"signed tag, commit too", gitsync.Ref{Tag: "v1.0.0"}, both, []signing.Key{key}, gitsync.Missing, ""},
		{"unsigned tag", gitsync.Ref{Tag: "v1.1.0"}, tag, []signing.Key{key}, gitsync.Missing, ""},
		{"unsigned tag, its commit", gitsync.Ref{Tag: "v1.1.0"}, head, []signing.Key{key}, "", key.Fingerprint},
		{"lightweight tag", gitsync.Ref{Tag: "light"}, tag, []signing.Key{key}, gitsync.Missing, ""},
		{"both signed", gitsync.Ref{Tag: "v1.2.0"}, both, []signing.Key{key, other}, "", key.Fingerprint},
		{"both signed, tag's key unknown", gitsync.Ref{Tag: "v1.2.0"}, both, []signing.Key{key}, gitsync.Untrusted, ""},
		{"under another name", gitsync.Ref{Tag: "v9.9.9"}, tag, []signing.Key{key, other}, gitsync.Invalid, ""},
		{"highest version is a copy under another name", gitsync.Ref{Semver: ">=1.0.0"}, tag, []signing.Key{key, other}, gitsync.Invalid, ""},
		{"highest version below", gitsync.Ref{Semver: "1.x"}, both, []signing.Key{key, other}, "", key.Fingerprint},
		{"tag of a tag", gitsync.Ref{Tag: "outer"}, tag, []signing.Key{key, other}, gitsync.Invalid, ""},
	} {
		row.ref.Remote, row.ref.Verify = gitsync.Remote{URL: s.URL("app")}, row.verify
		row.ref.Verify.Keys = signing.Files(row.keys...)
		tree, err := r.Fetch(t.Context(), row.ref, "")
		if row.verdict == "" {
			if err != nil || tree.Commit().Signer != row.signer {
				t.Errorf("%s: %v, want a tree signed by %q", row.name, err, row.signer)
			}
		} else {
			f, ok := errors.AsType[*gitsync.Failure](err)
			if !ok || f.Reason != gitsync.SignatureRefused || f.Verdict != row.verdict || f.Problem == nil || f.Problem.Code != "S206" || f.Problem.Hint == "" || tree != nil {
				t.Errorf("%s: %+v, want SignatureRefused, %s and S206", row.name, err, row.verdict)
			}
		}
		if tree != nil {
			tree.Close()
		}
	}
	ref := gitsync.Ref{Remote: gitsync.Remote{URL: s.URL("app")}, Branch: "signed", Verify: gitsync.Verify{Head: true, Keys: map[string][]byte{"a.pub": []byte("x")}}}
	if _, err := r.Fetch(t.Context(), ref, ""); reasonOf(t, err) != gitsync.SecretInvalid {
		t.Errorf("unreadable keys: %v, want SecretInvalid", err)
	}
}

// TestFetch_signedElsewhereFirst refuses before it looks at history: who cannot sign learns nothing by rewriting.
func TestFetch_signaturesComeBeforeDescent(t *testing.T) {
	t.Parallel()
	s := gittest.Start(t, gitserver.Config{})
	w := gittest.Repository(t, s, "app")
	key := signing.SSH(t, "ed25519")
	first := gittest.Push(t, w, "first", map[string]string{"a": "1"})
	git(t, w, "commit", "--quiet", "--amend", "-m", "amended")
	forcePush(t, w)
	ref := branch(s, "app")
	ref.Verify = gitsync.Verify{Head: true, Keys: signing.Files(key)}
	r := repositories(t, Limits{})
	if _, err := r.Fetch(t.Context(), ref, first); reasonOf(t, err) != gitsync.SignatureRefused {
		t.Errorf("rewritten and unsigned: %v, want SignatureRefused", err)
	}
	ref.Rewrite = gitsync.Follow
	if _, err := r.Fetch(t.Context(), ref, first); reasonOf(t, err) != gitsync.SignatureRefused {
		t.Errorf("followed and unsigned: %v, want SignatureRefused", err)
	}
}

func TestFetch_unprovenDescentIsSaid(t *testing.T) {
	t.Parallel()
	s := gittest.Start(t, gitserver.Config{})
	w := gittest.Repository(t, s, "app")
	r := repositories(t, Limits{})
	first := gittest.Push(t, w, "first", map[string]string{"a": "1"})
	if tree := fetch(t, r, branch(s, "app"), ""); tree.Commit().Unproven {
		t.Error("the first commit has nothing to descend from, yet it is unproven")
	}
	gittest.Push(t, w, "second", map[string]string{"a": "2"})
	if tree := fetch(t, r, branch(s, "app"), first); !tree.Commit().Unproven {
		t.Error("a server that cannot filter proves no descent, yet it counts as proven")
	}
	if _, err := s.Git(t.Context(), "app", "config", "uploadpack.allowFilter", "true"); err != nil {
		t.Fatal(err)
	}
	if tree := fetch(t, repositories(t, Limits{}), branch(s, "app"), first); tree.Commit().Unproven {
		t.Error("a server that can filter proves descent, yet it is unproven")
	}
	ref := branch(s, "app")
	ref.Last.Time = time.Now().Add(time.Hour)
	if _, err := r.Fetch(t.Context(), ref, strings.Repeat("1", 40)); reasonOf(t, err) != gitsync.HistoryRewritten {
		t.Errorf("older: %v, want HistoryRewritten", err)
	}
}

// TestFetch_movedTagSaysWhichCommitToAccept accepts by the hint, whatever is followed now.
func TestFetch_movedTagSaysWhichCommitToAccept(t *testing.T) {
	t.Parallel()
	s := gittest.Start(t, gitserver.Config{})
	w := gittest.Repository(t, s, "app")
	first := gittest.Push(t, w, "first", map[string]string{"a": "1"})
	git(t, w, "push", "--quiet", "origin", "HEAD:refs/tags/v1.0.0")
	gittest.Push(t, w, "second", map[string]string{"a": "2"})
	git(t, w, "push", "--quiet", "--force", "origin", "HEAD:refs/tags/v1.0.0")
	third := gittest.Push(t, w, "third", map[string]string{"a": "3"})
	git(t, w, "push", "--quiet", "origin", "HEAD:refs/tags/v1.1.0")
	ref := gitsync.Ref{Remote: gitsync.Remote{URL: s.URL("app")}, Semver: "1.x", Last: gitsync.Last{Ref: "v1.0.0"}}
	r := repositories(t, Limits{})
	_, err := r.Fetch(t.Context(), ref, first)
	f, ok := errors.AsType[*gitsync.Failure](err)
	if !ok || f.Reason != gitsync.TagMoved || f.Problem == nil || !strings.HasSuffix(f.Problem.Hint, third) {
		t.Fatalf("%v: want TagMoved, and a hint to accept %s", err, third)
	}
	ref.Accept = third
	if got := fetch(t, r, ref, first).Commit().ID; got != third {
		t.Errorf("accepted: %s, want %s", got, third)
	}
}
