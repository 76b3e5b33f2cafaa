package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/util/compatibility"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/rest"
	basecompatibility "k8s.io/component-base/compatibility"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"

	"github.com/sluice-dev/sluice/standalone/pki"
)

const (
	requestsEnd = 1500 * time.Millisecond
	cutEnd      = 3 * time.Second
)

// apiServer is the running kube-apiserver.
type apiServer struct {
	url      string
	listener *listener
	cancel   context.CancelFunc
	log      *os.File
	done     chan struct{} // closed when it has ended and err is set
	err      error
}

func startAPI(ctx context.Context, f files, etcd string, port int) (*apiServer, error) {
	listener, err := listen(port)
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(f.log("kube-apiserver.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	klog.SetSlogLogger(slog.New(slog.NewTextHandler(log, nil)))
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	completed, err := complete(run, f, etcd, listener)
	if err != nil {
		cancel()
		return nil, errors.Join(err, listener.Close(), log.Close())
	}
	s := &apiServer{
		url: "https://" + listener.Addr().String(), listener: listener, cancel: cancel, log: log, done: make(chan struct{}),
	}
	go func() {
		defer close(s.done)
		s.err = app.Run(run, completed)
	}()
	return s, nil
}

func complete(ctx context.Context, f files, etcd string, l net.Listener) (options.CompletedOptions, error) {
	o := options.NewServerRunOptions()
	registry, err := registry()
	if err != nil {
		return options.CompletedOptions{}, err
	}
	o.GenericServerRunOptions.ComponentGlobalsRegistry = registry
	flags := pflag.NewFlagSet("kube-apiserver", pflag.ContinueOnError)
	sets := o.Flags()
	for _, set := range sets.FlagSets {
		flags.AddFlagSet(set)
	}
	if err := flags.Parse(arguments(f, etcd)); err != nil {
		return options.CompletedOptions{}, err
	}
	o.SecureServing.Listener, o.SecureServing.BindPort = l, l.Addr().(*net.TCPAddr).Port
	if err := registry.Set(); err != nil {
		return options.CompletedOptions{}, err
	}
	completed, err := o.Complete(ctx)
	if err != nil {
		return options.CompletedOptions{}, err
	}
	return completed, utilerrors.NewAggregate(completed.Validate())
}

// registry gives the component versions and feature gates of one server, which would otherwise be shared by all that
// this process ever starts.
func registry() (basecompatibility.ComponentGlobalsRegistry, error) {
	r := basecompatibility.NewComponentGlobalsRegistry()
	err := r.Register(basecompatibility.DefaultKubeComponent, compatibility.DefaultBuildEffectiveVersion(), utilfeature.DefaultMutableFeatureGate)
	return r, err
}

func arguments(f files, etcd string) []string {
	return append(f.audit(), []string{
		"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none",
		"--etcd-servers=" + etcd,
		"--etcd-cafile=" + f.cert(pki.EtcdAuthority), "--etcd-certfile=" + f.cert(pki.Etcd), "--etcd-keyfile=" + f.key(pki.Etcd),
		"--tls-cert-file=" + f.cert(pki.APIServer), "--tls-private-key-file=" + f.key(pki.APIServer),
		"--client-ca-file=" + f.cert(pki.Authority),
		"--authorization-mode=RBAC", "--anonymous-auth=false",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + f.keys().File(pki.ServiceAccountKey),
		"--service-account-signing-key-file=" + f.keys().File(pki.ServiceAccountKey),
		"--service-cluster-ip-range=10.96.0.0/16",
		"--disable-admission-plugins=" + strings.Join([]string{
			"ServiceAccount",               // waits for default accounts, which no controller makes
			"StorageObjectInUseProtection", // adds finalizers that nobody removes
			"ResourceQuota",                // counts by a status that nobody computes
			"TaintNodesByCondition",        // taints that nobody lifts
		}, ","),
		"--profiling=false", "--shutdown-delay-duration=0s", "--event-ttl=24h",
	}...)
}

// awaitReady returns when /readyz says so.
func (s *apiServer) awaitReady(ctx context.Context, cfg *rest.Config) error {
	client, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return err
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		last := ready(ctx, client, s.url)
		if last == nil {
			return nil
		}
		select {
		case <-s.done:
			return fmt.Errorf("the API server ended: %w (its log: %s)", s.err, s.log.Name())
		case <-ctx.Done():
			return fmt.Errorf("waiting for the API server: %w (its log: %s)", last, s.log.Name())
		case <-tick.C:
		}
	}
}

func ready(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/readyz", nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("/readyz answers %s", resp.Status)
	}
	return nil
}

// stop ends the server. Requests in flight have a moment to finish, then their connections are cut: a client that
// watches would keep the server for a minute.
func (s *apiServer) stop() error {
	s.cancel()
	for _, limit := range []time.Duration{requestsEnd, cutEnd} {
		timer := time.NewTimer(limit)
		select {
		case <-s.done:
			timer.Stop()
			return errors.Join(s.err, s.log.Close())
		case <-timer.C:
			s.listener.cut()
		}
	}
	return errors.New("the API server does not end")
}
