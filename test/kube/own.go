package kube

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Server is an API server of one test's own, which the test may end and start again: what it stores and its address stay.
type Server struct{ *server }

// Options say what is special of a Server.
type Options struct {
	Port  int    // on 127.0.0.1, that nobody else takes while the server is away
	Audit string // policy, in YAML, by which requests are written to Server.AuditLog; empty: none is
}

// Own starts a server that ends with the test.
func Own(t testing.TB, o Options) *Server {
	t.Helper()
	dir, err := os.MkdirTemp("", "sluice-kube-")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{&server{dir: dir}}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
	files := map[string]string{"up.json": fmt.Sprintf(`{"apiServer": "https://127.0.0.1:%d"}`, o.Port)} // as of a run before
	if o.Audit != "" {
		files["audit-policy.yaml"] = o.Audit
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.Start(t)
	return s
}

// Start starts it, for the first time or after Kill, and returns when it is ready.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	path, err := Program()
	if err == nil {
		err = s.start(path)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Kill ends it without a word.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	if err := s.process.Kill(); err != nil {
		t.Fatal(err)
	}
}

// Config is that of a client with all rights.
func (s *Server) Config(t testing.TB) *rest.Config {
	t.Helper()
	cfg, err := clientcmd.BuildConfigFromFlags("", s.kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	cfg.QPS = -1
	return cfg
}

// AuditLog is the file that the server writes requests to, one line of JSON each, where Own was given a policy.
func (s *Server) AuditLog() string { return filepath.Join(s.dir, "log", "audit.log") }
