package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	rolloutcontroller "github.com/sluice-dev/sluice/rollout/controller"
	xdscontroller "github.com/sluice-dev/sluice/xds/controller"
	xdsserver "github.com/sluice-dev/sluice/xds/server"
)

// Requests to the API server that one process makes: a push applies many objects at once.
const (
	requestsPerSecond = 200
	requestsBurst     = 400
	stopWithin        = 3 * time.Second
	leaseName         = "sluice" // of the leader; its annotation keeps the epoch
)

// Bounds of the time after which a leader that is silent is replaced.
const (
	defaultLease = 15 * time.Second
	minLease     = 3 * time.Second
)

// Run builds everything and runs it until ctx ends. It returns nil when ctx ended, else why a part could not go on.
func Run(ctx context.Context, cfg *rest.Config, c Config) error {
	temporary := c.Git.CacheDir == ""
	c, err := c.withDefaults()
	if err != nil {
		return err
	}
	if temporary {
		defer func() {
			if left := os.RemoveAll(c.Git.CacheDir); left != nil {
				c.Log.Warn("removing the repositories", "err", left)
			}
		}()
	}
	if err := c.Links.Check(); err != nil {
		return err
	}
	ctrl.SetLogger(logr.FromSlogHandler(c.Log.Handler()))
	lead, err := newLeadership(cfg, c)
	if err != nil {
		return err
	}
	held := &xdsserver.Held{}
	mgr, err := newManager(cfg, c, lead, held)
	if err != nil {
		return err
	}
	if err := register(process(c.Proxies.Version, c.Proxies.Commit, lead.deciding(c, mgr.Elected()))); err != nil {
		return fmt.Errorf("registering what is measured of the process: %w", err)
	}
	guard, err := c.guard(ctx, cfg.Host)
	if err != nil {
		return err
	}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, serving := errgroup.WithContext(serving)
	doors, err := c.doors(held)
	if err != nil {
		return err
	}
	if err := issue(mgr, c, held, lead.deciding(c, mgr.Elected())); err != nil {
		return err
	}
	proxies, mesh, err := traffic(mgr, c, lead.Identity())
	if err != nil {
		return err
	}
	fleet, err := addFleet(mgr, c, own{proxies, mesh})
	if err != nil {
		return err
	}
	traces, err := newTracer(mgr, c)
	if err != nil {
		return err
	}
	outbox, err := notes(mgr, c, guard, traces)
	if err != nil {
		return err
	}
	commits := &commits{}
	if err := delivery(mgr, c, deliveryParts{guard, fleet, proxies, mesh, outbox, lead, commits, traces}); err != nil {
		return err
	}
	hooks, err := git(mgr, c, gitParts{guard, outbox, commits})
	if err != nil {
		return err
	}
	leave := &departure{how: c.Proxies.Drain, proxies: proxies}
	if err := mgr.AddReadyzCheck("staying", leave.staying); err != nil {
		return err
	}
	group.Go(func() error { defer stop(); leave.run(ctx, serving); return nil })
	group.Go(func() error { return proxies.ListenAndServe(serving, doors...) })
	group.Go(func() error { return hooks(serving) })
	group.Go(func() error { return mgr.Start(serving) })
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// Scheme knows every kind that the controllers read or write by its Go type.
func Scheme() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(s), v1alpha1.AddToScheme(s)); err != nil {
		return nil, fmt.Errorf("building the scheme: %w", err)
	}
	return s, nil
}

func newManager(cfg *rest.Config, c Config, lead *leadership, held *xdsserver.Held) (ctrl.Manager, error) {
	s, err := Scheme()
	if err != nil {
		return nil, err
	}
	cfg = rest.CopyConfig(cfg)
	cfg.QPS, cfg.Burst = requestsPerSecond, requestsBurst
	if cfg.Dial == nil {
		cfg.Dial = dialUntilBack
	}
	measured, err := c.metricsServer(held)
	if err != nil {
		return nil, err
	}
	grace := stopWithin
	lease, renew, retry := c.Leader.Lease, c.Leader.Lease*2/3, c.Leader.Lease/15 // each wait is up to 2.2 times as long
	mgr, err := ctrl.NewManager(cfg, ctrl.Options{
		Scheme:                              s,
		Logger:                              logr.FromSlogHandler(c.Log.Handler()),
		Metrics:                             measured,
		HealthProbeBindAddress:              c.Listen.Health,
		LeaderElection:                      c.Leader.Election,
		LeaderElectionID:                    leaseName,
		LeaderElectionNamespace:             c.Namespace,
		LeaderElectionReleaseOnCancel:       true,
		LeaderElectionResourceLockInterface: lead,
		LeaseDuration:                       &lease,
		RenewDeadline:                       &renew,
		RetryPeriod:                         &retry,
		GracefulShutdownTimeout:             &grace,
		Controller:                          config.Controller{SkipNameValidation: new(true)},
		Cache:                               cache.Options{ByObject: watched(c), DefaultNamespaces: within(c.scope())},
		// Secrets are read one by one when they are needed: no list, no copy in memory.
		Client: client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}}, Unstructured: true}},
	})
	if err != nil {
		return nil, fmt.Errorf("making the controller manager: %w", err)
	}
	return mgr, nil
}

// watched says what is kept of some kinds.
func watched(c Config) map[client.Object]cache.ByObject {
	here := cache.ByObject{Namespaces: map[string]cache.Config{c.Namespace: {}}}
	return map[client.Object]cache.ByObject{
		&corev1.Pod{}:           {Transform: xdscontroller.SlimPod},
		&v1alpha1.Rollout{}:     {Transform: rolloutcontroller.Slim()},
		&coordinationv1.Lease{}: here, // those of other programs are not our business
		&v1alpha1.FleetReport{}: here,
	}
}

// traffic is the data plane's side: the xDS server and the projection loop that feeds it. process is how other replicas name
// this one when they tell it what their proxies report.
func traffic(mgr ctrl.Manager, c Config, process string) (*xdsserver.Server, *xdscontroller.Controller, error) {
	proofs, err := newProver(&prover{
		path: c.Proxies.Identities, now: Now, warn: func(err error) { c.Log.Error("the identities of proxies stay as they were", "err", err) },
	})
	if err != nil {
		return nil, nil, err
	}
	var mesh *xdscontroller.Controller // asked only after proxies.Open
	proxies, err := xdsserver.New(xdsserver.Config{
		Now: Now, Log: c.Log, Identifier: "sluice/" + cmp.Or(c.Proxies.Version, "dev") + "/" + c.Replica, TrustDomain: c.Proxies.TrustDomain, Prover: proofs,
		Barrier: func(ctx context.Context) error { return mesh.Barrier(ctx) },
		Readers: c.Proxies.StatusReaders, LoadInterval: c.Proxies.LoadInterval, Process: process,
	})
	if err != nil {
		return nil, nil, err
	}
	secrets, err := client.NewWithWatch(mgr.GetConfig(), client.Options{Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(), HTTPClient: mgr.GetHTTPClient()})
	if err != nil {
		return nil, nil, fmt.Errorf("making the reader of Secrets: %w", err)
	}
	objects, err := meshCache(mgr, c)
	if err != nil {
		return nil, nil, err
	}
	seen := make(chan struct{})
	mesh, err = xdscontroller.New(xdscontroller.Config{
		Cache: objects, Namespaces: c.scope(), Reader: mgr.GetAPIReader(), Secrets: secrets, Publisher: proxies, Demand: proxies, Now: Now, Log: c.Log,
		DomainSuffix: c.Mesh.DomainSuffix, RootNamespace: c.Mesh.RootNamespace, RegistryDir: c.Mesh.RegistryDir,
		Ready: func() { close(seen); proxies.Open() },
	})
	if err != nil {
		return nil, nil, err
	}
	proofs.pods = mesh
	if err := register(append(mesh.Collectors(), proxies.Collectors()...)); err != nil {
		return nil, nil, fmt.Errorf("registering what is measured of the mesh and its proxies: %w", err)
	}
	ready := func() error {
		select {
		case <-seen:
			return nil
		default:
			return errors.New("the objects of the cluster are still being read")
		}
	}
	return proxies, mesh, errors.Join(
		mgr.Add(mesh),
		mgr.AddHealthzCheck("ping", healthz.Ping),
		mgr.AddReadyzCheck("mesh", func(*http.Request) error { return ready() }),
	)
}

func (c Config) withDefaults() (Config, error) {
	set := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	set(&c.Namespace, "sluice-system")
	set(&c.Listen.XDS, "127.0.0.1:15010")
	set(&c.Proxies.TrustDomain, "cluster.local")
	if c.Proxies.Cert != "" || c.Proxies.Issue.Secret != "" {
		set(&c.Listen.SecureXDS, ":15012")
	}
	set(&c.Listen.Hooks, "127.0.0.1:9292")
	set(&c.Listen.Metrics, "127.0.0.1:8080")
	set(&c.Listen.Health, "127.0.0.1:8081")
	set(&c.Listen.Decisions, "127.0.0.1:8082")
	set(&c.Mesh.DomainSuffix, "cluster.local")
	set(&c.Mesh.RootNamespace, "istio-system")
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if err := c.checkScope(); err != nil {
		return c, err
	}
	if c.Leader.Lease == 0 {
		c.Leader.Lease = defaultLease
	}
	if c.Leader.Lease < minLease {
		return c, fmt.Errorf("a leader that is replaced after %s has no time to renew its lease: at least %s", c.Leader.Lease, minLease)
	}
	var err error
	if c.Replica == "" {
		if c.Replica, err = os.Hostname(); err != nil {
			return c, fmt.Errorf("naming this replica: %w", err)
		}
	}
	if c.Git.CacheDir == "" {
		if c.Git.CacheDir, err = os.MkdirTemp("", "sluice-git-"); err != nil {
			return c, fmt.Errorf("making the directory of repositories: %w", err)
		}
	}
	return c, nil
}
