package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/client-go/rest"

	"github.com/sluice-dev/sluice/standalone/pki"
)

const startTimeout = 180 * time.Second

// Config is what Start needs.
type Config struct {
	Dir  string                                      // everything is kept here; made with mode 0700
	Port int                                         // wanted on 127.0.0.1; a busy one and 0 give a free one
	CRDs []*apiextensionsv1.CustomResourceDefinition // installed at the start, or brought up to date
	Now  func() time.Time                            // for the validity of certificates
	// Space is how many bytes etcd may take before it takes no more writes; 0: 2 GiB, as it has by itself.
	Space int64
}

// Server is a running API server with its etcd.
type Server struct {
	files files
	store *store
	api   *apiServer
	rest  *rest.Config

	stopped bool
}

// Start brings up etcd and the API server, waits until it is ready, and installs the CRDs, the namespace
// sluice-system and the role of the applier. The context bounds the start only; Stop ends the server.
func Start(ctx context.Context, c Config) (*Server, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if c.Dir == "" || c.Now == nil {
		return nil, errors.New("starting the API server: Dir and Now must be set")
	}
	s := &Server{files: files{dir: c.Dir}}
	if err := s.start(ctx, c); err != nil {
		return nil, errors.Join(fmt.Errorf("starting the API server: %w", err), s.Stop())
	}
	return s, nil
}

func (s *Server) start(ctx context.Context, c Config) error {
	if err := os.MkdirAll(filepath.Join(c.Dir, "log"), 0o700); err != nil {
		return err
	}
	ids, err := pki.Issue(s.files.keys(), c.Now())
	if err != nil {
		return err
	}
	if s.store, err = startStore(ctx, s.files, c.Space); err != nil {
		return err
	}
	if s.api, err = startAPI(ctx, s.files, s.store.endpoint, c.Port); err != nil {
		return err
	}
	s.rest = &rest.Config{
		Host: s.api.url,
		TLSClientConfig: rest.TLSClientConfig{
			CAData: ids.CA, CertData: ids.Cert, KeyData: ids.Key,
		},
	}
	if err := s.api.awaitReady(ctx, s.rest); err != nil {
		return err
	}
	if err := writeKubeconfig(s.Kubeconfig(), s.rest); err != nil {
		return err
	}
	return install(ctx, s.rest, c.CRDs)
}

// RESTConfig gives a fresh configuration for clients with the administrator's rights.
func (s *Server) RESTConfig() *rest.Config { return rest.CopyConfig(s.rest) }

// Kubeconfig is the path of the administrator's kubeconfig, mode 0600.
func (s *Server) Kubeconfig() string { return s.files.path("kubeconfig") }

// Done is closed when the API server has ended, by Stop or by itself.
func (s *Server) Done() <-chan struct{} { return s.api.done }

// Stop ends the API server, then etcd, within 5 s. A second call does nothing.
func (s *Server) Stop() error {
	if s.stopped {
		return nil
	}
	s.stopped = true
	var err error
	if s.api != nil {
		err = s.api.stop()
	}
	if s.store != nil {
		s.store.stop()
	}
	return err
}

// files names what is kept in the state directory.
type files struct{ dir string }

func (f files) path(name string) string { return filepath.Join(f.dir, name) }
func (f files) keys() pki.Dir           { return pki.Dir(f.path("pki")) }
func (f files) cert(name string) string { return f.keys().File(name + ".crt") }
func (f files) key(name string) string  { return f.keys().File(name + ".key") }
func (f files) log(name string) string  { return filepath.Join(f.dir, "log", name) }
