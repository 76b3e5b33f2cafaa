package app

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/sluice-dev/sluice/egress"
	"github.com/sluice-dev/sluice/gitsync/apply"
	gitcontroller "github.com/sluice-dev/sluice/gitsync/controller"
	"github.com/sluice-dev/sluice/gitsync/gogit"
	"github.com/sluice-dev/sluice/gitsync/render"
	"github.com/sluice-dev/sluice/gitsync/watch"
)

// gitParts are what the source controller is wired to.
type gitParts struct {
	guard   *egress.Guard
	notes   *outbox
	commits *commits
}

// git is the control loop of Sources, and the server of webhooks.
func git(mgr ctrl.Manager, c Config, p gitParts) (func(context.Context) error, error) {
	guard, notes := p.guard, p.notes
	repositories, err := gogit.New(gogit.Config{Dir: c.Git.CacheDir, Dial: guard.DialContext, Vet: guard.Vet, Now: Now, Insecure: c.Git.InsecureHosts, Limits: c.Git.Fetch})
	if err != nil {
		return nil, err
	}
	renderer, err := render.NewIn(c.Git.CacheDir, c.Git.Render)
	if err != nil {
		return nil, err
	}
	decoder, err := c.Git.Decoder()
	if err != nil {
		return nil, err
	}
	seen, err := watch.New(mgr.GetConfig(), mgr.GetRESTMapper(), c.scope()...)
	if err != nil {
		return nil, err
	}
	appliers := apply.New(mgr.GetConfig(), mgr.GetRESTMapper(), seen)
	sources, err := gitcontroller.New(gitcontroller.Config{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Recorder: mgr.GetEventRecorder("sluice"),
		Fetcher: repositories, Renderer: renderer, Decoder: decoder, Appliers: appliers, Watch: seen,
		Now: Now, Random: rand.Float64, Defaults: gitcontroller.Defaults{Account: c.Git.ServiceAccount, Domain: c.Mesh.DomainSuffix, Resync: c.Git.Resync},
	})
	if err != nil {
		return nil, err
	}
	if err := register(append(sources.Collectors(), repositories.Collectors()...)); err != nil {
		return nil, fmt.Errorf("registering what is measured of Sources: %w", err)
	}
	notes.wakeSource, p.commits.run = sources.Wake, sources.Run
	sources.Tell(gitcontroller.Back{Outbox: notes.worker, Writer: repositories, Forges: forges(guard), System: c.Namespace, Cluster: c.Git.ClusterName})
	if err := sources.SetupWithManager(mgr); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		defer repositories.Close()
		if c.Listen.Hooks == "0" {
			<-ctx.Done()
			return nil
		}
		return sources.ServeHooks(ctx, gitcontroller.Door{Address: c.Listen.Hooks, Cert: c.Listen.HooksCert, Key: c.Listen.HooksKey})
	}, nil
}

// forges gives clients for the APIs of forges.
func forges(guard *egress.Guard) func(roots []byte) (*http.Client, error) {
	return func(roots []byte) (*http.Client, error) {
		var options egress.Options
		if len(roots) > 0 {
			options.Roots = x509.NewCertPool()
			if !options.Roots.AppendCertsFromPEM(roots) {
				return nil, errors.New("ca.crt holds no PEM certificate")
			}
		}
		return guard.Client(options), nil
	}
}
