package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// cluster is a way to reach the API server: the flags of a verb and, once connected, a client of our API group.
type cluster struct {
	flags     *genericclioptions.ConfigFlags
	config    *rest.Config
	client    *rest.RESTClient
	namespace string
	quiet     bool // nobody may be asked anything, and answers are wanted soon
}

// addCluster gives a verb the flags that say which API server is meant.
func addCluster(cmd *cobra.Command) *cluster {
	all := genericclioptions.NewConfigFlags(true)
	c := &cluster{flags: &genericclioptions.ConfigFlags{
		KubeConfig: all.KubeConfig, Context: all.Context, Namespace: all.Namespace, Timeout: all.Timeout,
	}}
	c.flags.AddFlags(cmd.Flags())
	complete(cmd, "context", c.contexts)
	complete(cmd, "namespace", c.namespaces)
	return c
}

// connect reads the kubeconfig; it asks the server nothing.
func (c *cluster) connect() error {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return err
	}
	metav1.AddToGroupVersion(scheme, metav1.SchemeGroupVersion)
	loader := c.flags.ToRawKubeConfigLoader()
	cfg, err := loader.ClientConfig()
	if raw, rerr := loader.RawConfig(); err == nil && rerr == nil && len(raw.Clusters) == 0 && cfg.BearerTokenFile == "" {
		err = errUnconfigured // and the flags would mean whatever listens on this machine
	}
	if err != nil {
		return &Exit{Code: ExitUnreachable, Err: fmt.Errorf("reading the kubeconfig: %w", unconfigured(err)), Next: "sluice up, or name a cluster by --kubeconfig"}
	}
	if c.namespace, _, err = loader.Namespace(); err != nil {
		return &Exit{Code: ExitUsage, Err: fmt.Errorf("reading the kubeconfig: %w", err)}
	}
	if c.quiet {
		silence(cfg.ExecProvider)
		cfg.Timeout = completeWithin
	}
	c.config = rest.CopyConfig(cfg)
	gv := v1alpha1.GroupVersion()
	cfg.GroupVersion, cfg.APIPath = &gv, "/apis"
	cfg.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	if c.client, err = rest.RESTClientFor(cfg); err != nil {
		return &Exit{Code: ExitUsage, Err: fmt.Errorf("reading the kubeconfig: %w", err)}
	}
	return nil
}

// unmarshal reads what a server has answered.
func unmarshal(raw []byte, into any) error {
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("reading the server's answer: %w", err)
	}
	return nil
}

// unconfigured shortens what client-go says when there is no kubeconfig at all.
func unconfigured(err error) error {
	if clientcmd.IsEmptyConfig(err) {
		return errUnconfigured
	}
	return err
}

// errUnconfigured says that neither a kubeconfig nor a Pod's account names a cluster.
var errUnconfigured = errors.New("no cluster is configured")

// statusOf is the command that says how a rollout stands, wherever it is typed.
func statusOf(namespace, name string) string { return "sluice status " + name + " -n " + namespace }

// failed turns an error of a request into an exit that says what was asked for.
func failed(what string, err error) error {
	exit := &Exit{Code: ExitUsage, Err: fmt.Errorf("%s: %w", what, err)}
	var lost net.Error
	switch {
	case errors.Is(err, context.Canceled):
		exit.Code = ExitInterrupted
	case apierrors.IsNotFound(err) && !strings.Contains(err.Error(), "could not find the requested resource"):
		exit.Code, exit.Next = ExitNotFound, "sluice get rollouts -A"
		for _, kind := range []string{"source", "notifier"} {
			if strings.Contains(what, kind) {
				exit.Next = "sluice get " + kind + "s -A"
			}
		}
	case apierrors.IsNotFound(err):
		exit.Code = ExitNotFound
		exit.Err = fmt.Errorf("%s: the server does not know the kinds of %s", what, v1alpha1.Group)
	case apierrors.IsUnauthorized(err):
		exit.Code, exit.Next = ExitUnauthorized, "kubectl auth whoami"
	case apierrors.IsForbidden(err):
		exit.Code, exit.Next = ExitUnauthorized, "sluice doctor"
	case errors.As(err, &lost), apierrors.IsServerTimeout(err), apierrors.IsTimeout(err), apierrors.IsServiceUnavailable(err):
		exit.Code, exit.Next = ExitUnreachable, "sluice doctor"
		if asked, ok := errors.AsType[*url.Error](err); ok {
			exit.Err = fmt.Errorf("%s: the API server does not answer: %w", what, asked.Err)
		}
	}
	return exit
}
