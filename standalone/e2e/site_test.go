// Package e2e holds the system tests: git push, API server, Envoy, Prometheus and kubectl, all real, in one process but
// for Envoy, git and kubectl; or with the program itself as a child where a test kills it.
package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
	"github.com/sluice-dev/sluice/internal/app"
	"github.com/sluice-dev/sluice/standalone/prom"
	"github.com/sluice-dev/sluice/standalone/stack"
	"github.com/sluice-dev/sluice/test/proxy"
)

// site is everything that `up` runs, in this process, shared by the tests of this package. Each test has a namespace,
// a host and a gateway port of its own.
type site struct {
	dir    string
	scrape time.Duration
	stack  *stack.Stack
	client client.Client

	mu     sync.Mutex // guards prom and events
	prom   *prom.Prometheus
	events []app.Event
}

var shared struct {
	once sync.Once
	site *site
	err  error
}

// How the site is, in a process that has it for tests which measure.
var (
	scrape = flag.Duration("scrape", time.Second, "how often Prometheus scrapes the gateway")
	deaf   = flag.Bool("deaf", false, "judge by Prometheus alone, not by what proxies report")
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	code := m.Run()
	if s := shared.site; s != nil {
		if err := s.stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stopping the parts:", err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

func theSite(t *testing.T) *site {
	t.Helper()
	envoy := proxy.Binary(t)
	shared.once.Do(func() {
		shared.site, shared.err = startSite(envoy, proxy.FreePort(t), app.Config{Proxies: app.Proxies{IgnoreLoads: *deaf}, Outside: app.Outside{Links: view.LinkTemplates{Page: pages}}})
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.site
}

// startSite starts all parts, with a Prometheus on that port, which nobody takes while it is stopped, and controllers that are
// configured like this.
func startSite(envoy string, port int, cfg app.Config) (*site, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	path, err := os.MkdirTemp("", "sluice-e2e-")
	if err != nil {
		return nil, err
	}
	s := &site{dir: path, scrape: *scrape}
	cfg.Observe = s.observe
	if err := s.startProm(ctx, port); err != nil {
		return nil, err
	}
	dir, err := stack.OpenDir(filepath.Join(path, "state"))
	if err != nil {
		return nil, err
	}
	s.stack, err = stack.Start(ctx, stack.Config{
		Name: "e2e", Dir: dir, Envoy: envoy, Ephemeral: true, Prometheus: s.prom.URL(),
		App: cfg, Run: app.Run, Now: app.Now,
	})
	if err != nil {
		return nil, err
	}
	s.target()
	s.client, err = client.New(s.stack.RESTConfig(), client.Options{Scheme: scheme()})
	return s, err
}

func (s *site) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	return errors.Join(s.stack.Stop(ctx), s.stopProm(ctx), os.RemoveAll(s.dir))
}

func scheme() *runtime.Scheme {
	sch := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(sch))
	utilruntime.Must(v1alpha1.AddToScheme(sch))
	return sch
}

// startProm starts Prometheus on a port, with the samples of an earlier start.
func (s *site) startProm(ctx context.Context, port int) error {
	p, err := prom.Start(ctx, prom.Config{Dir: filepath.Join(s.dir, "prometheus"), Port: port, Interval: s.scrape})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.prom = p
	return nil
}

// target has Prometheus scrape the gateway.
func (s *site) target() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.prom.Targets(prom.Target{Address: s.stack.Document().EnvoyAdmin, Labels: map[string]string{"proxy": "gateway-1"}})
}

func (s *site) stopProm(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.prom == nil {
		return nil
	}
	err := s.prom.Stop(ctx)
	s.prom = nil
	return err
}

func (s *site) observe(e app.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
}

// eventsOf gives the events of a Rollout since an instant.
func (s *site) eventsOf(namespace, name string, since time.Time) []app.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []app.Event
	for _, e := range s.events {
		if e.Namespace == namespace && e.Name == name && !e.At.Before(since) {
			out = append(out, e)
		}
	}
	return out
}
