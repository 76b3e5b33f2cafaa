package gitserver

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/cgi"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	maxBody   = 64 << 20
	stopGrace = 2 * time.Second
)

// Config says what to serve, and to whom.
type Config struct {
	Root     string     // directory of the bare repositories
	Addr     string     // "127.0.0.1:0"
	Username string     // basic auth, demanded of every request; empty: none
	Password string     //
	OnPush   func(Push) // called after each receive-pack was answered, one at a time; nil: nobody listens
	Stderr   io.Writer  // what git complains about; nil: discarded
}

// Push is one answered receive-pack.
type Push struct {
	Repository string    // as given to Create
	At         time.Time // when the answer was out; carries the monotonic clock
}

// Server is a running Git server. Its methods may be called from any goroutine.
type Server struct {
	cfg     Config
	addr    string
	http    *http.Server
	backend string
	calls   sync.WaitGroup // callbacks under way
	calling sync.Mutex     // one callback at a time

	mu     sync.Mutex // guards what follows
	faults map[string]*armed
	counts map[string]int
}

// Start listens and serves until Close. Repositories may be created before and after.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	if cfg.Addr == "" {
		cfg.Addr = "127.0.0.1:0"
	}
	if cfg.Stderr == nil {
		cfg.Stderr = io.Discard
	}
	root, err := filepath.Abs(cfg.Root)
	if err != nil {
		return nil, fmt.Errorf("serving git repositories: %w", err)
	}
	cfg.Root = root
	if err := os.MkdirAll(cfg.Root, 0o700); err != nil {
		return nil, fmt.Errorf("serving git repositories: %w", err)
	}
	exec, err := run(ctx, cfg.Root, "--exec-path")
	if err != nil {
		return nil, err
	}
	backend := filepath.Join(exec, "git-http-backend")
	if _, err := os.Stat(backend); err != nil {
		return nil, fmt.Errorf("this git has no http-backend: %w", err)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("serving git repositories: %w", err)
	}
	s := &Server{cfg: cfg, addr: l.Addr().String(), backend: backend, faults: map[string]*armed{}, counts: map[string]int{}}
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	s.calls.Go(func() { _ = s.http.Serve(l) }) // always http.ErrServerClosed
	return s, nil
}

// Addr is the host and port that the server listens on.
func (s *Server) Addr() string { return s.addr }

// URL is the address to clone a repository from, without credentials.
func (s *Server) URL(repository string) string {
	return "http://" + s.addr + "/" + repository + ".git"
}

// Count says how many requests have come for a path, such as "/app.git/info/refs".
func (s *Server) Count(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[path]
}

// Create makes an empty bare repository with the branch main.
func (s *Server) Create(ctx context.Context, repository string) error {
	dir := s.dir(repository)
	if _, err := run(ctx, s.cfg.Root, "init", "--quiet", "--bare", "--initial-branch", "main", dir); err != nil {
		return err
	}
	for _, setting := range [][2]string{{"http.receivepack", "true"}, {"uploadpack.allowAnySHA1InWant", "true"}, {"gc.auto", "0"}} {
		if _, err := run(ctx, dir, "config", setting[0], setting[1]); err != nil {
			return err
		}
	}
	return nil
}

// Git runs one git command in the bare repository, to look at it or to rewrite it behind everyone's back.
func (s *Server) Git(ctx context.Context, repository string, args ...string) (string, error) {
	return run(ctx, s.dir(repository), args...)
}

func (s *Server) dir(repository string) string {
	return filepath.Join(s.cfg.Root, repository+".git")
}

// Clone makes a work tree of the repository in dir, which git creates. Credentials are kept in the work tree's own
// configuration, so that a person can push from it too.
func (s *Server) Clone(ctx context.Context, repository, dir string) (*WorkTree, error) {
	args := []string{"clone", "--quiet"}
	if s.cfg.Username != "" {
		basic := base64.StdEncoding.EncodeToString([]byte(s.cfg.Username + ":" + s.cfg.Password))
		args = append(args, "--config", "http.http://"+s.addr+"/.extraHeader=Authorization: Basic "+basic)
	}
	args = append(args, "--config", "user.name=Demo", "--config", "user.email=demo@sluice.example", s.URL(repository), dir)
	if _, err := run(ctx, s.cfg.Root, args...); err != nil {
		return nil, err
	}
	w := &WorkTree{Dir: dir}
	if _, err := w.Git(ctx, "checkout", "--quiet", "-B", "main"); err != nil {
		return nil, err
	}
	return w, nil
}

// Close stops listening, breaks what is under way and waits for callbacks.
func (s *Server) Close() error {
	s.mu.Lock()
	for prefix := range s.faults {
		s.lift(prefix)
	}
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = s.http.Close()
	}
	s.calls.Wait()
	return err
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.counts[r.URL.Path]++
	s.mu.Unlock()
	if f := s.faultFor(r.URL.Path); f != nil {
		switch {
		case f.Status != 0:
			if f.RetryAfter > 0 {
				w.Header().Set("Retry-After", strconv.Itoa(int(f.RetryAfter/time.Second)))
			}
			if f.Location != "" {
				w.Header().Set("Location", f.Location)
			}
			http.Error(w, http.StatusText(f.Status), f.Status)
			return
		case f.Stall:
			select {
			case <-f.lifted:
			case <-r.Context().Done():
				return
			}
		case f.CutAfter > 0:
			w = &cutWriter{ResponseWriter: w, left: f.CutAfter}
		}
	}
	if !s.allowed(r) {
		w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
		http.Error(w, "who are you", http.StatusUnauthorized)
		return
	}
	s.serveGit(w, r)
}

func (s *Server) allowed(r *http.Request) bool {
	if s.cfg.Username == "" {
		return true
	}
	user, password, _ := r.BasicAuth()
	return subtle.ConstantTimeCompare([]byte(user+":"+password), []byte(s.cfg.Username+":"+s.cfg.Password)) == 1
}

func (s *Server) serveGit(w http.ResponseWriter, r *http.Request) {
	if err := wholeBody(r); err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	h := cgi.Handler{
		Path:   s.backend,
		Root:   "/",
		Dir:    s.cfg.Root,
		Env:    append(Environment(s.cfg.Root), "GIT_PROJECT_ROOT="+s.cfg.Root, "GIT_HTTP_EXPORT_ALL=1"),
		Logger: log.New(s.cfg.Stderr, "", 0),
		Stderr: s.cfg.Stderr,
	}
	h.ServeHTTP(w, r)
	name, isPush := strings.CutSuffix(r.URL.Path, ".git/git-receive-pack")
	if !isPush || r.Method != http.MethodPost || s.cfg.OnPush == nil {
		return
	}
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
	push := Push{Repository: strings.TrimPrefix(name, "/"), At: time.Now()}
	s.calls.Go(func() {
		s.calling.Lock()
		defer s.calling.Unlock()
		s.cfg.OnPush(push)
	})
}

// wholeBody gives a chunked request a length, which CGI needs to have.
func wholeBody(r *http.Request) error {
	if r.ContentLength >= 0 {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return fmt.Errorf("reading the request: %w", err)
	}
	if len(body) > maxBody {
		return errors.New("the request is too large")
	}
	r.Body, r.ContentLength, r.TransferEncoding = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
	return nil
}
