package gogit

import (
	"errors"
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/gitsync"
	"github.com/sluice-dev/sluice/test/gitserver"
	"github.com/sluice-dev/sluice/test/gitserver/gittest"
)

func TestVersions_highest(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		within, prefix, tags, want string
	}{
		{">=1.0.0 <2.0.0", "", "1.0.0 1.10.0 1.9.0 2.0.0 x 1.2", "1.10.0"},
		{"1.x", "", "v1.0.0 v1.0.1 w1.9.0", "v1.0.1"},
		{">=1.0.0", "", "1.0.0 2.0.0-rc.1", "1.0.0"},
		{">=1.0.0-0", "", "1.0.0 2.0.0-rc.1", "2.0.0-rc.1"},
		{">=1.0.0", "shop/", "shop/1.0.0 shop/v1.1.0 1.9.0 other/1.8.0", "shop/v1.1.0"},
		{">=1.0.0", "", "1.0.0 v1.0.0", "v1.0.0"},
		{">=1.0.0", "", "1.0.0+b 1.0.0+a", "1.0.0+b"},
		{">=3.0.0", "", "1.0.0", ""},
	} {
		v, err := readVersions(gitsync.Ref{Semver: row.within, TagPrefix: row.prefix})
		if err != nil {
			t.Fatal(err)
		}
		l := listing{tips: map[string]tip{"refs/heads/9.9.9": {}}}
		for tag := range strings.FieldsSeq(row.tags) {
			l.tips[tags+tag] = tip{}
		}
		if got := v.highest(l); got != row.want {
			t.Errorf("%s after %q of %s: %q, want %q", row.within, row.prefix, row.tags, got, row.want)
		}
	}
	_, err := readVersions(gitsync.Ref{Semver: "newest"})
	if f, ok := errors.AsType[*gitsync.Failure](err); !ok || f.Problem == nil || f.Problem.Code != "S212" {
		t.Errorf("not a range: %v, want S212", err)
	}
}

func TestFetch_semverFollowsTheHighestTag(t *testing.T) {
	t.Parallel()
	s := gittest.Start(t, gitserver.Config{})
	w := gittest.Repository(t, s, "app")
	release := func(tag, content string) string {
		id := gittest.Push(t, w, tag, map[string]string{"a": content})
		git(t, w, "tag", "-a", tag, "-m", tag)
		git(t, w, "push", "--quiet", "origin", tag)
		return id
	}
	ref := gitsync.Ref{Remote: gitsync.Remote{URL: s.URL("app")}, Semver: "1.x", TagPrefix: "shop/"}
	r := repositories(t, Limits{})
	gittest.Push(t, w, "none yet", map[string]string{"a": "0"})
	if _, err := r.Fetch(t.Context(), ref, ""); reasonOf(t, err) != gitsync.RefNotFound {
		t.Errorf("no version: %v, want RefNotFound", err)
	}
	first := release("shop/v1.0.0", "1")
	if c := fetch(t, r, ref, "").Commit(); c.ID != first || c.Ref != "shop/v1.0.0" {
		t.Errorf("first: %+v, want %s at shop/v1.0.0", c, first)
	}
	second := release("shop/v1.1.0", "2")
	ref.Last.Ref = "shop/v1.0.0"
	if c := fetch(t, r, ref, first).Commit(); c.ID != second || c.Ref != "shop/v1.1.0" {
		t.Errorf("a higher one: %+v, want %s at shop/v1.1.0", c, second)
	}
	release("shop/v2.0.0", "3")
	ref.Last.Ref = "shop/v1.1.0"
	if c := fetch(t, r, ref, second).Commit(); c.ID != second {
		t.Errorf("one out of the range: %+v, want %s still", c, second)
	}
	git(t, w, "push", "--quiet", "origin", ":refs/tags/shop/v1.1.0")
	if _, err := r.Fetch(t.Context(), ref, second); reasonOf(t, err) != gitsync.HistoryRewritten {
		t.Errorf("the tag was deleted: %v, want HistoryRewritten", err)
	}
	git(t, w, "tag", "-f", "-a", "shop/v1.1.0", "-m", "moved")
	git(t, w, "push", "--quiet", "--force", "origin", "shop/v1.1.0")
	if _, err := r.Fetch(t.Context(), ref, second); reasonOf(t, err) != gitsync.TagMoved {
		t.Errorf("the tag was moved: %v, want TagMoved", err)
	}
	ref.Rewrite = gitsync.Follow
	if c := fetch(t, r, ref, second).Commit(); c.ID == second {
		t.Errorf("follow: still at %s", c.ID)
	}
}

// TestFetch_rewritesByKindOfRef moves each kind of ref to a commit that does not descend.
func TestFetch_rewritesByKindOfRef(t *testing.T) {
	t.Parallel()
	s := gittest.Start(t, gitserver.Config{})
	w := gittest.Repository(t, s, "app")
	if _, err := s.Git(t.Context(), "app", "config", "uploadpack.allowFilter", "true"); err != nil {
		t.Fatal(err)
	}
	gittest.Push(t, w, "root", map[string]string{"a": "0"})
	first := gittest.Push(t, w, "first", map[string]string{"a": "1"})
	git(t, w, "push", "--quiet", "origin", "HEAD:refs/pull/7/head", "HEAD:refs/tags/light")
	git(t, w, "commit", "--quiet", "--amend", "-m", "amended", "--date", "2001-01-01T00:00:00Z")
	git(t, w, "push", "--quiet", "--force", "origin", "HEAD:refs/pull/7/head", "HEAD:refs/tags/light", "HEAD:refs/heads/main")
	remote := gitsync.Remote{URL: s.URL("app")}
	r := repositories(t, Limits{})
	for _, row := range []struct {
		name string
		ref  gitsync.Ref
		want gitsync.Reason
	}{
		{"HEAD", gitsync.Ref{Remote: remote}, gitsync.HistoryRewritten},
		{"branch", gitsync.Ref{Remote: remote, Branch: "main"}, gitsync.HistoryRewritten},
		{"tag", gitsync.Ref{Remote: remote, Tag: "light"}, gitsync.TagMoved},
		{"name", gitsync.Ref{Remote: remote, Name: "refs/pull/7/head"}, ""},
		{"commit", gitsync.Ref{Remote: remote, Commit: first}, ""},
		{"deleted branch", gitsync.Ref{Remote: remote, Branch: "gone"}, gitsync.RefNotFound},
		{"deleted tag", gitsync.Ref{Remote: remote, Tag: "gone"}, gitsync.RefNotFound},
	} {
		tree, err := r.Fetch(t.Context(), row.ref, first)
		if got := gitsync.ReasonOf(err, "no Failure"); got != row.want {
			t.Errorf("%s: %v (%s), want %q", row.name, err, got, row.want)
		}
		if tree != nil {
			tree.Close()
		}
	}
}
