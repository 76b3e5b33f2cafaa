package stack

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"k8s.io/client-go/rest"

	"github.com/sluice-dev/sluice/api/crd"
	"github.com/sluice-dev/sluice/internal/app"
	"github.com/sluice-dev/sluice/standalone/file"
	"github.com/sluice-dev/sluice/standalone/prom"
	"github.com/sluice-dev/sluice/standalone/server"
)

// The ports that are wanted when no earlier run has chosen others; a busy one is replaced by a free one.
const (
	portAPI        = 6443
	portPrometheus = 9090
	portHook       = 9292
	portMetrics    = 8080
	portHealth     = 8081
	portDecisions  = 8082
	portXDS        = 15010
	portAdmin      = 19000
)

const (
	controllersReady = 180 * time.Second
	controllersStop  = 20 * time.Second

	// startGC lets the heap grow while everything is loaded: a fifth less work until all is ready.
	startGC = 400
)

// Config is what Start needs.
type Config struct {
	Name       string            // of this installation
	Dir        *Dir              // locked by the caller, who also closes it
	Envoy      string            // program of the gateway proxy; empty: none is started
	Gateway    map[string]string // labels of that proxy, which Gateways select; istio: ingressgateway
	Ephemeral  bool              // Envoy ends with this process, however that ends
	Prometheus string            // URL of one that runs already; empty: one is started
	Scrape     time.Duration     // of the Prometheus that is started; 5 s
	App        app.Config        // of the controllers; addresses, Prometheus and identity are filled in
	Run        Run               // the controllers
	Now        func() time.Time

	Ready func(part string, took time.Duration) // called for each part when it is ready; nil: nobody listens
}

// Run is the controllers with their xDS server: app.Run.
type Run func(context.Context, *rest.Config, app.Config) error

// Stack is all parts, running.
type Stack struct {
	config Config
	before Document // of the earlier run
	doc    Document
	log    *os.File

	server      *server.Server
	prometheus  *prom.Prometheus
	controllers *controllers
	envoy       *envoy
}

// Start starts all parts. The context bounds the start only; Stop ends them.
func Start(ctx context.Context, c Config) (*Stack, error) {
	defer debug.SetGCPercent(debug.SetGCPercent(startGC))
	s, err := StartServer(ctx, c)
	if err != nil {
		return nil, err
	}
	for _, p := range []part{{"Prometheus", s.startPrometheus}, {"controllers", s.startControllers}, {"Envoy", s.startEnvoy}} {
		if err := s.bring(ctx, p); err != nil {
			return nil, errors.Join(err, s.Stop(ctx))
		}
	}
	if err := file.WriteJSON(c.Dir.Path(documentFile), s.doc); err != nil {
		return nil, errors.Join(err, s.Stop(ctx))
	}
	return s, nil
}

// StartServer starts etcd and the API server alone, with the CRDs of every kind.
func StartServer(ctx context.Context, c Config) (*Stack, error) {
	defer debug.SetGCPercent(debug.SetGCPercent(startGC))
	s := &Stack{config: c}
	if err := s.bring(ctx, part{"etcd and API server", s.startServer}); err != nil {
		return nil, errors.Join(err, s.Stop(ctx))
	}
	return s, nil
}

// part is something to start.
type part struct {
	name  string
	start func(context.Context) error
}

// bring starts a part and says how long that took.
func (s *Stack) bring(ctx context.Context, p part) error {
	if s.config.Ready == nil {
		return p.start(ctx)
	}
	begin := s.config.Now()
	if err := p.start(ctx); err != nil {
		return err
	}
	s.config.Ready(p.name, s.config.Now().Sub(begin))
	return nil
}

func (s *Stack) startServer(ctx context.Context) error {
	c := s.config
	self, err := Identify(os.Getpid())
	if err != nil {
		return err
	}
	if s.before, err = ReadDocument(c.Dir.path); err != nil {
		return err
	}
	if s.log, err = os.OpenFile(c.Dir.Path("log", "sluice.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return err
	}
	defs, err := crd.All()
	if err != nil {
		return err
	}
	wanted := Port(s.before.APIServer, portAPI)
	s.server, err = server.Start(ctx, server.Config{Dir: c.Dir.path, Port: wanted, CRDs: defs, Now: c.Now})
	if err != nil {
		return err
	}
	s.doc = Document{
		Name: c.Name, Process: self, State: c.Dir.path,
		Kubeconfig: s.server.Kubeconfig(), APIServer: s.server.RESTConfig().Host,
	}
	if c.Run != nil {
		return nil
	}
	return file.WriteJSON(c.Dir.Path(documentFile), s.doc)
}

func (s *Stack) startPrometheus(ctx context.Context) error {
	s.doc.Prometheus = s.config.Prometheus
	if s.doc.Prometheus != "" {
		return nil
	}
	p, err := prom.Start(ctx, prom.Config{
		Dir: s.config.Dir.Path("prometheus"), Port: Port(s.before.Prometheus, portPrometheus),
		Interval: s.config.Scrape, Log: s.logger("prometheus"),
	})
	if err != nil {
		return err
	}
	s.prometheus, s.doc.Prometheus = p, p.URL()
	return nil
}

func (s *Stack) logger(part string) *slog.Logger {
	return slog.New(slog.NewTextHandler(s.log, nil)).With("part", part)
}

func (s *Stack) startControllers(ctx context.Context) error {
	for _, a := range []struct {
		address *string
		earlier string
		wanted  int
	}{
		{&s.doc.XDS, s.before.XDS, portXDS},
		{&s.doc.Hook, s.before.Hook, portHook},
		{&s.doc.Metrics, s.before.Metrics, portMetrics},
		{&s.doc.Health, s.before.Health, portHealth},
		{&s.doc.Decisions, s.before.Decisions, portDecisions},
	} {
		chosen, err := choose(Port(a.earlier, a.wanted))
		if err != nil {
			return err
		}
		defer chosen.release() // the controllers listen, or never will
		*a.address = chosen.text
	}
	s.controllers = runControllers(ctx, s.config.Run, s.server.RESTConfig(), s.appConfig())
	return s.controllers.awaitReady(ctx, s.doc.Health)
}

func (s *Stack) appConfig() app.Config {
	c := s.config.App
	c.Namespace = server.SystemNamespace
	c.Listen = app.Listen{XDS: s.doc.XDS, Hooks: s.doc.Hook, Metrics: s.doc.Metrics, Health: s.doc.Health, Decisions: s.doc.Decisions}
	c.Prometheus.URL = s.doc.Prometheus
	c.Git.CacheDir = s.config.Dir.Path("git")
	c.Egress.AllowLoopback = true
	c.Git.ServiceAccount = server.Applier
	c.Leader.Election = false
	if c.Log == nil {
		c.Log = s.logger("sluice")
	}
	return c
}

// Document says what runs and where.
func (s *Stack) Document() Document { return s.doc }

// RESTConfig gives a fresh client configuration with the administrator's rights.
func (s *Stack) RESTConfig() *rest.Config { return s.server.RESTConfig() }

// EnsureApplier makes the namespace and, in it, the service account that a Source applies as.
func (s *Stack) EnsureApplier(ctx context.Context, namespace string) error {
	return server.EnsureApplier(ctx, s.RESTConfig(), namespace)
}

// Record completes the document with where objects come from, here and in up.json.
func (s *Stack) Record(repository string) error {
	s.doc.Repository = repository
	return file.WriteJSON(s.config.Dir.Path(documentFile), s.doc)
}

// Wait blocks until the context ends, which gives nil, or a part has ended by itself, which gives the reason.
func (s *Stack) Wait(ctx context.Context) error {
	var ended <-chan struct{}
	if s.controllers != nil {
		ended = s.controllers.done
	}
	select {
	case <-ctx.Done():
		return nil
	case <-s.server.Done():
		return errors.New("the API server has ended by itself")
	case <-ended:
		return fmt.Errorf("the controllers have ended by themselves: %w", s.controllers.err)
	}
}

// Stop ends all parts within 10 s: controllers, Envoy, Prometheus, API server, etcd. It works on after the context's end.
func (s *Stack) Stop(ctx context.Context) error {
	var errs []error
	if s.controllers != nil {
		errs = append(errs, s.controllers.stop())
	}
	if s.envoy != nil {
		errs = append(errs, s.envoy.stop())
	}
	if s.prometheus != nil {
		errs = append(errs, s.prometheus.Stop(ctx))
	}
	if s.server != nil {
		errs = append(errs, s.server.Stop())
	}
	if s.log != nil {
		errs = append(errs, s.log.Close())
	}
	return errors.Join(errs...)
}
