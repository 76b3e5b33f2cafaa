package gitdir

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/cgi"
	"os/exec"
	"time"

	"github.com/sluice-dev/sluice/standalone/port"
)

const (
	lookEvery   = 500 * time.Millisecond
	stopTimeout = 2 * time.Second
)

// Config is what Serve needs.
type Config struct {
	Token string       // first element of the path: who does not know it gets 404
	Port  int          // wanted on 127.0.0.1; a busy one and 0 give a free one
	Log   *slog.Logger // what git complains of; nil: discard
}

// Server serves one work tree.
type Server struct {
	tree Tree
	url  string
	http *http.Server
	done chan struct{}
}

// Serve offers the tree for fetching until Stop.
func Serve(ctx context.Context, t Tree, c Config) (*Server, error) {
	git, err := exec.LookPath("git")
	if err != nil {
		return nil, fmt.Errorf("serving %s: %w", t.Root, err)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	l, err := port.Listen(c.Port)
	if err != nil {
		return nil, fmt.Errorf("serving %s: %w", t.Root, err)
	}
	s := &Server{
		tree: t, url: "http://" + l.Addr().String() + "/" + c.Token, done: make(chan struct{}),
		http: &http.Server{Handler: handler(t, git, c), ReadHeaderTimeout: 10 * time.Second},
	}
	go func() {
		defer close(s.done)
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			c.Log.Error("the repository's server ended", "err", err)
		}
	}()
	return s, nil
}

// URL is what to fetch from.
func (s *Server) URL() string { return s.url }

// Stop ends the fetches and the server.
func (s *Server) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	<-s.done
	return err
}

// handler passes the two requests of a fetch on to git, and no others: nothing can be pushed.
func handler(t Tree, git string, c Config) http.Handler {
	serve := func(w http.ResponseWriter, r *http.Request) {
		backend := cgi.Handler{
			Path: git, Args: []string{"http-backend"}, Dir: t.GitDir, Root: "/" + c.Token,
			Env: []string{
				"GIT_PROJECT_ROOT=" + t.GitDir, "GIT_HTTP_EXPORT_ALL=1", "GIT_PROTOCOL=" + protocol(r),
				"GIT_CONFIG_COUNT=2", "GIT_CONFIG_KEY_0=http.receivepack", "GIT_CONFIG_VALUE_0=false",
				"GIT_CONFIG_KEY_1=uploadpack.allowFilter", "GIT_CONFIG_VALUE_1=true", // history alone proves that a commit descends
			},
			InheritEnv: []string{"HOME", "XDG_CONFIG_HOME"},
			Logger:     log.New(warner{c.Log}, "", 0),
		}
		backend.ServeHTTP(w, r)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /"+c.Token+"/info/refs", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("service") != "git-upload-pack" {
			http.Error(w, "this repository is read-only", http.StatusForbidden)
			return
		}
		serve(w, r)
	})
	mux.HandleFunc("POST /"+c.Token+"/git-upload-pack", serve)
	return mux
}

// protocol is the version of Git's protocol that the client asks for; anything unknown is version 0.
func protocol(r *http.Request) string {
	switch asked := r.Header.Get("Git-Protocol"); asked {
	case "version=1", "version=2":
		return asked
	default:
		return ""
	}
}

// warner logs each line as a warning.
type warner struct{ log *slog.Logger }

// Write implements io.Writer.
func (w warner) Write(line []byte) (int, error) {
	w.log.Warn("git http-backend", "says", string(line))
	return len(line), nil
}

// Changed calls moved with the branch's commit each time that it is another than before, at first than last, until the
// context ends. It looks twice a second. A branch that is gone is left alone until it is back.
func (s *Server) Changed(ctx context.Context, branch, last string, moved func(commit string)) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now, err := s.tree.Commit(ctx, branch)
		if err != nil || now == last {
			continue
		}
		last = now
		moved(now)
	}
}
