package gogit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/gitsync"
	"github.com/sluice-dev/sluice/test/gitserver"
	"github.com/sluice-dev/sluice/test/gitserver/gittest"
	"github.com/sluice-dev/sluice/test/poll"
)

// acknowledging is a server of version 0 that offers multi_ack without details, refuses who does not take it, and refuses to
// hear of commits that are held, as two large forges do.
type acknowledging struct {
	next http.Handler

	mu    sync.Mutex
	asked []string // requests for packs; guarded by mu
}

// ServeHTTP implements http.Handler.
func (a *acknowledging) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Header.Del("Git-Protocol")
	if r.Method == http.MethodPost {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		a.mu.Lock()
		a.asked = append(a.asked, string(body))
		a.mu.Unlock()
		first, _, _ := strings.Cut(string(body), "\n")
		if !strings.Contains(first+" ", " multi_ack ") || strings.Contains(string(body), "have ") {
			http.Error(w, "the client has to take multi_ack", http.StatusBadRequest)
			return
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		a.next.ServeHTTP(w, r)
		return
	}
	rec := httptest.NewRecorder()
	a.next.ServeHTTP(rec, r)
	w.Header().Set("Content-Type", rec.Header().Get("Content-Type"))
	w.WriteHeader(rec.Code)
	_, _ = io.WriteString(w, strings.ReplaceAll(rec.Body.String(), "multi_ack_detailed", "x_undetailed_as_is"))
}

// A server that insists on multi_ack gives whole commits: each change is a repository of its own, and descent is proven all
// the same. A commit that is asked for by its id is no exception, though nothing is listed for it.
func TestFetch_serversThatInsistOnMultiAck(t *testing.T) {
	t.Parallel()
	s := gittest.Start(t, gitserver.Config{})
	front := &acknowledging{next: s}
	server := httptest.NewServer(front)
	t.Cleanup(server.Close)
	w := gittest.Repository(t, s, "app")
	if _, err := s.Git(t.Context(), "app", "config", "uploadpack.allowFilter", "true"); err != nil {
		t.Fatal(err)
	}
	remote := gitsync.Remote{URL: server.URL + "/app.git"}
	r := repositories(t, Limits{})
	have := ""
	for i := range 3 {
		tip := gittest.Push(t, w, fmt.Sprint("push ", i), map[string]string{"a": fmt.Sprint(i, "\n"), "b": strings.Repeat("b\n", 100)})
		tree := fetch(t, r, gitsync.Ref{Remote: remote, Branch: "main"}, have)
		if tree.Commit().ID != tip || tree.Commit().Unproven {
			t.Errorf("fetch %d: %+v, want %s with its descent proven", i, tree.Commit(), tip)
		}
		have = tip
	}
	byID := repositories(t, Limits{})
	if got := fetch(t, byID, gitsync.Ref{Remote: remote, Commit: have}, "").Commit().ID; got != have {
		t.Errorf("by id: %s, want %s", got, have)
	}
	if len(front.asked) != 3+2+1 {
		t.Errorf("%d requests for packs, want one for each commit and one for the history of each later one", len(front.asked))
	}
}

// Those who wait for one remote are told by one listing where their refs are.
func TestFetch_oneListingForAllWhoWait(t *testing.T) {
	t.Parallel()
	const sources = 5
	s := gittest.Start(t, gitserver.Config{})
	w := gittest.Repository(t, s, "app")
	tip := gittest.Push(t, w, "first", map[string]string{"a": "1\n"})
	ref := func(n int) gitsync.Ref {
		one := branch(s, "app")
		one.Branch = "b" + strconv.Itoa(n)
		return one
	}
	for n := range sources {
		git(t, w, "push", "--quiet", "origin", "HEAD:refs/heads/b"+strconv.Itoa(n))
	}
	r := repositories(t, Limits{})
	fetch(t, r, ref(0), "")
	h, err := r.open(ref(0).Remote)
	if err != nil {
		t.Fatal(err)
	}
	before := s.Count("/app.git/git-upload-pack")
	s.SetFault("/app.git/git-upload-pack", gitserver.Fault{Stall: true})
	var fetching sync.WaitGroup
	start := func(n int) {
		fetching.Go(func() {
			tree, err := r.Fetch(t.Context(), ref(n), "")
			if err != nil {
				t.Errorf("fetch %d: %v", n, err)
				return
			}
			if got := tree.Commit().ID; got != tip {
				t.Errorf("fetch %d: %s, want %s", n, got, tip)
			}
			if err := tree.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	start(0)
	wait := func(what string, done func() bool) {
		t.Helper()
		if err := poll.Until(10*time.Second, func() error {
			if !done() {
				return fmt.Errorf("not yet: %s", what)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	wait("the first asks", func() bool { return s.Count("/app.git/git-upload-pack") == before+1 })
	for n := 1; n < sources; n++ {
		start(n)
	}
	wait("all wait", func() bool { return h.asks.queue() == sources })
	s.LiftFault("/app.git/git-upload-pack")
	fetching.Wait()
	if n := s.Count("/app.git/git-upload-pack") - before; n != 2 {
		t.Errorf("%d listings for %d who look at once, want one for the first and one for all the others", n, sources)
	}
	git(t, w, "push", "--quiet", "--force", "origin", tip+":refs/heads/later")
	later := ref(0)
	later.Branch = "later"
	fetch(t, r, later, "")
	if n := s.Count("/app.git/git-upload-pack") - before; n != 3 {
		t.Errorf("who comes later is told by an old listing (%d requests)", n)
	}
}

// full is a remote whose fetches find the disk full.
type full struct{ transport }

func (full) advertise(context.Context) (io.ReadCloser, error) {
	return nil, gitsync.Fail(gitsync.StorageFailed, fmt.Errorf("spooling a pack: %w", syscall.ENOSPC))
}

func (full) rest() {}

func (full) hangUp() {}

func (full) spoken() []string { return nil }

// A full disk makes those repositories go that nobody uses; what is read from them stays readable.
func TestFetch_aFullDiskDropsIdleRepositories(t *testing.T) {
	t.Parallel()
	s := gittest.Start(t, gitserver.Config{})
	w := gittest.Repository(t, s, "app")
	gittest.Push(t, w, "first", map[string]string{"a": "1\n"})
	r := repositories(t, Limits{})
	tree := fetch(t, r, branch(s, "app"), "")
	other := gitsync.Ref{Remote: gitsync.Remote{URL: "https://git.example.com/other"}, Branch: "main"}
	h, err := r.open(other.Remote)
	if err != nil {
		t.Fatal(err)
	}
	h.remote = full{}
	if _, err := r.Fetch(t.Context(), other, ""); reasonOf(t, err) != gitsync.StorageFailed || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("%v, want StorageFailed by a full disk", err)
	}
	r.mu.Lock()
	left := len(r.handles)
	r.mu.Unlock()
	if left != 1 {
		t.Errorf("%d repositories are kept, want the one in use alone", left)
	}
	if got, err := tree.ReadFile("a"); err != nil || string(got) != "1\n" {
		t.Errorf("a tree that is open: %q, %v", got, err)
	}
	if got, err := fetch(t, r, branch(s, "app"), "").ReadFile("a"); err != nil || string(got) != "1\n" {
		t.Errorf("fetched again: %q, %v", got, err)
	}
}
