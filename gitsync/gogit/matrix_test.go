package gogit

import (
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sluice-dev/sluice/gitsync"
	"github.com/sluice-dev/sluice/test/gitserver"
	"github.com/sluice-dev/sluice/test/gitserver/gitssh"
	"github.com/sluice-dev/sluice/test/gitserver/gittest"
)

// passage is one repository, and the way by which it is fetched.
type passage struct {
	*testing.T
	git    *gitserver.Server
	tree   *gitserver.WorkTree
	remote gitsync.Remote
}

// passages are HTTP, and SSH by each server that the machine has.
func passages(t *testing.T) map[string]func(*testing.T) *passage {
	t.Helper()
	out := map[string]func(*testing.T) *passage{"HTTP": func(t *testing.T) *passage {
		t.Helper()
		s := gittest.Start(t, gitserver.Config{})
		return &passage{T: t, git: s, tree: gittest.Repository(t, s, "app"), remote: gitsync.Remote{URL: s.URL("app")}}
	}}
	for name, start := range starters() {
		out["SSH "+name] = func(t *testing.T) *passage {
			t.Helper()
			host, user := edKey(t), edKey(t)
			w := newSSHWorld(t, start, gitssh.Config{HostKeys: [][]byte{host.pem}, Authorized: []ssh.PublicKey{user.signer.PublicKey()}})
			return &passage{T: t, git: w.git, tree: w.tree, remote: w.ref(gitsync.Secret{Identity: string(user.pem), KnownHosts: host.line(w.server.Addr)}).Remote}
		}
	}
	return out
}

// publish commits a step and puts every kind of ref on it.
func (p *passage) publish(step int, files map[string]string) string {
	p.Helper()
	files["a"] = fmt.Sprint(step)
	id := gittest.Push(p, p.tree, fmt.Sprint("step ", step), files)
	git(p.T, p.tree, "tag", "-a", version(step), "-m", "release")
	git(p.T, p.tree, "push", "--quiet", "--force", "origin", version(step), "HEAD:refs/pull/7/head")
	return id
}

func version(step int) string { return fmt.Sprintf("v1.%d.0", step) }

// rewrite puts every ref of a step on a commit beside it.
func (p *passage) rewrite(step int, parent string) string {
	p.Helper()
	git(p.T, p.tree, "reset", "--quiet", "--hard", parent)
	if err := p.tree.Write(map[string]string{"a": "rewritten"}); err != nil {
		p.Fatal(err)
	}
	git(p.T, p.tree, "commit", "--quiet", "--all", "-m", "rewritten")
	git(p.T, p.tree, "tag", "-f", "-a", version(step), "-m", "moved")
	git(p.T, p.tree, "push", "--quiet", "--force", "origin", "HEAD:refs/heads/main", version(step), "HEAD:refs/pull/7/head")
	return must(p.T, p.tree, "rev-parse", "HEAD")
}

// erase deletes every ref of a step at the server, which from then on gives tips only.
func (p *passage) erase(step int) {
	p.Helper()
	for _, args := range [][]string{{"update-ref", "-d", "refs/heads/main"}, {"update-ref", "-d", "refs/tags/" + version(step)}, {"update-ref", "-d", "refs/pull/7/head"},
		{"config", "uploadpack.allowAnySHA1InWant", "false"}} {
		if _, err := p.git.Git(p.Context(), "app", args...); err != nil {
			p.Fatal(err)
		}
	}
}

// followed is a kind of ref. Where a Source must be changed to see a new commit, as for a tag, that change is the consent.
type followed struct {
	name               string
	ref                func(step int, commit string) gitsync.Ref
	respecified        bool           // each step is another ref
	rewritten, deleted gitsync.Reason // empty: it goes on
}

// followedRefs are all kinds.
func followedRefs() []followed {
	return []followed{
		{"branch", func(int, string) gitsync.Ref { return gitsync.Ref{Branch: "main"} }, false, gitsync.HistoryRewritten, gitsync.RefNotFound},
		{"tag", func(step int, _ string) gitsync.Ref { return gitsync.Ref{Tag: version(step)} }, true, gitsync.TagMoved, gitsync.RefNotFound},
		{"semver", func(step int, _ string) gitsync.Ref {
			return gitsync.Ref{Semver: "1.x", Last: gitsync.Last{Ref: version(step)}}
		}, false, gitsync.TagMoved, gitsync.HistoryRewritten},
		{"commit", func(_ int, commit string) gitsync.Ref { return gitsync.Ref{Commit: commit} }, true, "", gitsync.RefNotFound},
		{"name", func(int, string) gitsync.Ref { return gitsync.Ref{Name: "refs/pull/7/head"} }, false, "", gitsync.RefNotFound},
	}
}

// seen is the step that the ref of a step names: the one before for what follows a range of versions.
func (k followed) seen(step int) int {
	if k.respecified {
		return step
	}
	return max(0, step-1)
}

// TestFetch_everyRefByEveryWay follows each kind of ref by each way through its life: first, incremental, fetched anew,
// rewritten, deleted. Whatever happens at the remote, the tree that is held stays readable.
func TestFetch_everyRefByEveryWay(t *testing.T) {
	t.Parallel()
	for way, open := range passages(t) {
		for _, kind := range followedRefs() {
			t.Run(way+" "+kind.name, func(t *testing.T) {
				t.Parallel()
				p := open(t)
				if _, err := p.git.Git(t.Context(), "app", "config", "uploadpack.allowFilter", "true"); err != nil {
					t.Fatal(err)
				}
				p.life(kind)
			})
		}
	}
}

func (p *passage) life(kind followed) {
	p.Helper()
	r := repositories(p.T, Limits{})
	ref := func(step int, commit string) gitsync.Ref {
		out := kind.ref(step, commit)
		out.Remote = p.remote
		return out
	}
	held, ids := p.follow(kind, r, ref)
	moved := p.rewrite(2, ids[1])
	p.expect("rewritten", r, ref(2, ids[2]), ids[2], kind.rewritten)
	p.erase(2)
	fresh := repositories(p.T, Limits{})
	p.expect("deleted", fresh, ref(2, ids[2]), moved, kind.deleted)
	if got, err := fs.ReadFile(held, "a"); err != nil || string(got) != "2" {
		p.Errorf("the tree that is held: %q, %v; want it readable", got, err)
	}
}

// follow fetches three steps: all of it, what has changed, and all of it anew.
func (p *passage) follow(kind followed, r *Repositories, ref func(int, string) gitsync.Ref) (held gitsync.Tree, ids []string) {
	p.Helper()
	var fetched int64
	for step := range 3 {
		if step == 2 {
			r.handles[onlyKey(p.T, r)].now.fetches = recycleAfter
		}
		files, have := map[string]string{}, ""
		if step == 0 {
			files["big"] = noise(1, 50_000)
		} else if !kind.respecified {
			have = ids[step-1]
		}
		ids = append(ids, p.publish(step, files))
		held = fetch(p.T, r, ref(kind.seen(step), ids[step]), have)
		h := r.handles[onlyKey(p.T, r)]
		if got, err := fs.ReadFile(held, "a"); err != nil || string(got) != fmt.Sprint(step) || held.Commit().ID != ids[step] {
			p.Fatalf("step %d: %q, %v at %s; want it at %s", step, got, err, held.Commit().ID, ids[step])
		}
		if grew := h.now.bytes - fetched; step == 1 && grew > 2048 {
			p.Errorf("the incremental fetch took %d bytes, want at most 2048", grew)
		}
		fetched = h.now.bytes
	}
	if n := r.handles[onlyKey(p.T, r)].number.Load(); n != 2 || fetched < 50_000 {
		p.Errorf("%d repositories were made, the last of %d bytes; want a second one with everything", n, fetched)
	}
	return held, ids
}

func (p *passage) expect(what string, r *Repositories, ref gitsync.Ref, have string, want gitsync.Reason) {
	p.Helper()
	tree, err := r.Fetch(p.Context(), ref, have)
	if got := gitsync.ReasonOf(err, ""); got != want || (want == "") != (err == nil) {
		p.Errorf("%s: %v (%q), want %q", what, err, got, want)
	}
	if tree != nil {
		_ = tree.Close()
	}
}

// TestFetch_failureTable is what a remote can do to a fetch: its reason, no pack left behind, and all is well afterwards.
func TestFetch_failureTable(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		spoil func(*http.Response) // of the answers with refs and packs
		path  string
		want  gitsync.Reason
	}{
		{"403", func(r *http.Response) { r.StatusCode = http.StatusForbidden }, "/app.git/info/refs", gitsync.AuthFailed},
		{"502", func(r *http.Response) { r.StatusCode = http.StatusBadGateway }, "/app.git/git-upload-pack", gitsync.Unreachable},
		{"endless listing", endless("003d0000000000000000000000000000000000000001 refs/heads/many\n"), "/app.git/git-upload-pack", gitsync.LimitExceeded},
		{"a length that is none", answering("zzzz"), "/app.git/git-upload-pack", gitsync.Unreachable},
		{"words for packets", answering("<html>sign in</html>"), "/app.git/info/refs", gitsync.Unreachable},
		{"empty answer", answering(""), "/app.git/git-upload-pack", gitsync.Unreachable},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := gittest.Start(t, gitserver.Config{})
			tip := gittest.Push(t, gittest.Repository(t, s, "app"), "first", map[string]string{"a": "1"})
			target, err := url.Parse("http://" + s.Addr())
			if err != nil {
				t.Fatal(err)
			}
			var mended atomic.Bool
			between := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(target) },
				ModifyResponse: func(r *http.Response) error {
					if !mended.Load() && r.Request.URL.Path == row.path {
						row.spoil(r)
					}
					return nil
				}})
			t.Cleanup(between.Close)
			r := repositories(t, Limits{ListBytes: 1 << 20})
			ref := gitsync.Ref{Remote: gitsync.Remote{URL: between.URL + "/app.git"}, Branch: "main", Timeout: 10 * time.Second}
			if _, err := r.Fetch(t.Context(), ref, ""); reasonOf(t, err) != row.want {
				t.Errorf("%v (%s), want %s", err, reasonOf(t, err), row.want)
			}
			mended.Store(true)
			if got := fetch(t, r, ref, "").Commit().ID; got != tip {
				t.Errorf("afterwards: %s, want %s", got, tip)
			}
		})
	}
}

// answering replaces a body.
func answering(text string) func(*http.Response) {
	return func(r *http.Response) {
		r.Body.Close()
		r.Body, r.ContentLength = io.NopCloser(&repeated{text: text, left: len(text)}), -1
		r.Header.Del("Content-Length")
	}
}

// endless replaces a body by one that repeats itself for ever.
func endless(text string) func(*http.Response) {
	return func(r *http.Response) {
		r.Body.Close()
		r.Body, r.ContentLength = io.NopCloser(&repeated{text: text, left: -1}), -1
		r.Header.Del("Content-Length")
	}
}

// repeated reads a text over and over; left bounds the bytes unless it is negative.
type repeated struct {
	text     string
	at, left int
}

func (r *repeated) Read(b []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n := copy(b, r.text[r.at:])
	if r.left > 0 {
		n = min(n, r.left)
		r.left -= n
	}
	r.at = (r.at + n) % len(r.text)
	return n, nil
}
