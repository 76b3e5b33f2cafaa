package cli

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/klog/v2"

	"github.com/sluice-dev/sluice/internal/app"
)

func newController(s Streams, version, commit string) *cobra.Command {
	c, file := app.Config{}, ""
	c.Proxies.Version, c.Proxies.Commit = version, commit
	all := genericclioptions.NewConfigFlags(true)
	cluster := &genericclioptions.ConfigFlags{KubeConfig: all.KubeConfig, Context: all.Context}
	cmd := &cobra.Command{
		Use:   "controller",
		Short: "Run the controllers and the xDS server against a cluster",
		Long: "Run the controllers, the xDS server and the webhook receiver until the process is told to stop.\n" +
			"The CRDs of Sluice have to be installed. xDS is served in plain text on loopback only, for a proxy beside it;\n" +
			"with --xds-cert, --xds-key and --xds-ca also over mutual TLS, where a proxy's certificate says whose it is; with\n" +
			"--xds-secret Sluice makes these certificates by itself.",
		Example: "  sluice controller --prometheus http://prometheus.monitoring:9090\n" +
			"  sluice controller --config sluice.yaml",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := readConfig(file, &c, cmd.Flags()); err != nil {
				return &Exit{Code: ExitUsage, Err: err}
			}
			cfg, err := cluster.ToRESTConfig()
			if err != nil {
				return &Exit{Code: ExitUnreachable, Err: fmt.Errorf("finding the API server: %w", err), Next: "sluice controller --kubeconfig FILE"}
			}
			c.Log = slog.New(slog.NewJSONHandler(s.Err, nil))
			klog.SetLogger(logr.FromSlogHandler(c.Log.Handler()))
			return app.Run(cmd.Context(), cfg, c)
		},
	}
	f := cmd.Flags()
	cluster.AddFlags(f)
	f.StringVar(&file, "config", "", "file of the configuration; flags win over it")
	f.StringVar(&c.Prometheus.URL, "prometheus", "", "URL of the Prometheus named default, which judges; without one nothing is ever promoted on evidence")
	f.StringVar(&c.Prometheus.Config, "prometheus-config", "", "file of the Prometheus servers that Rollouts and MetricTemplates may name")
	f.BoolVar(&c.Leader.Election, "leader-elect", true, "let one replica of several act; all serve proxies")
	f.DurationVar(&c.Leader.Lease, "lease-duration", 15*time.Second, "after which a leader that is silent is replaced")
	f.DurationVar(&c.Leader.ActionTTL, "action-ttl", 24*time.Hour, "how long RolloutActions are kept after their result")
	f.StringVar(&c.Replica, "replica", "", "name of this replica, for its report and its lease (default: the host name)")
	f.StringVar(&c.Namespace, "system-namespace", "sluice-system", "namespace of Sluice itself, for the lease")
	f.StringSliceVar(&c.Namespaces, "namespaces", nil, "namespaces that are looked at, besides that of Sluice and mesh objects of the mesh's root; empty: all")
	f.StringVar(&c.Listen.XDS, "xds-addr", "127.0.0.1:15010", "address of the xDS server in plain text, on this machine or unix:PATH; 0 turns it off")
	f.StringVar(&c.Listen.SecureXDS, "xds-tls-addr", "", "address of the xDS server over mutual TLS; empty: :15012 where --xds-cert or --xds-secret is given")
	f.StringVar(&c.Proxies.Cert, "xds-cert", "", "file of the xDS server's certificate; a replaced file counts for new connections")
	f.StringVar(&c.Proxies.Key, "xds-key", "", "file of the key of --xds-cert")
	f.StringVar(&c.Proxies.CA, "xds-ca", "", "file of the authorities that sign the certificates of proxies")
	issueFlags(f, &c.Proxies.Issue)
	f.StringVar(&c.Proxies.TrustDomain, "trust-domain", "cluster.local", "trust domain of the identities of proxies")
	f.StringVar(&c.Proxies.Identities, "proxy-identities", "", "file of what proxies outside the cluster are: identity, kind, labels")
	f.StringSliceVar(&c.Proxies.StatusReaders, "csds-readers", nil, "identity that may read the status of all proxies over mutual TLS, as spiffe://...; repeats")
	f.DurationVar(&c.Proxies.LoadInterval, "load-report-interval", time.Second, "how often proxies report their requests: whole seconds, 1s to 60s")
	f.BoolVar(&c.Proxies.IgnoreLoads, "ignore-load-reports", false, "judge by Prometheus alone, not by what proxies report as well")
	f.DurationVar(&c.Proxies.Drain.Delay, "drain-delay", 0, "how long a replica that is told to end serves on, not ready any more, before it sends proxies away")
	f.DurationVar(&c.Proxies.Drain.Time, "drain-time", 0, "over how long it then sends proxies to other replicas, one after the other; 0 cuts them off")
	f.StringVar(&c.Listen.Hooks, "hook-addr", "127.0.0.1:9292", "address of the webhook receiver; 0 turns it off")
	f.StringVar(&c.Listen.HooksCert, "hook-cert", "", "file of the webhook receiver's certificate; a replaced file counts for new connections; empty: plain text")
	f.StringVar(&c.Listen.HooksKey, "hook-key", "", "file of the key of --hook-cert")
	f.StringVar(&c.Listen.Metrics, "metrics-addr", "127.0.0.1:8080", "address of /metrics; 0 turns it off")
	f.Var(&c.Telemetry.PerRollout, "metrics-per-rollout", "give each Rollout metrics of its own; turn it off beyond 5,000 Rollouts")
	f.BoolVar(&c.Telemetry.Open, "metrics-open", false, "give metrics to whoever reaches an address of another machine, in plain text, not over TLS to those who may get /metrics")
	f.StringVar(&c.Telemetry.Traces.Endpoint, "traces-endpoint", "", "URL of an OpenTelemetry collector that takes OTLP over HTTP, such as http://127.0.0.1:4318; empty: no traces")
	f.StringVar(&c.Telemetry.Traces.HeadersFile, "traces-headers-file", "", "file of headers for it, as Name: value lines")
	f.StringVar(&c.Telemetry.Traces.Environment, "traces-environment", "", "what traces say of where this is, such as prod")
	f.Lookup("metrics-per-rollout").NoOptDefVal = "true"
	f.StringVar(&c.Listen.Health, "health-addr", "127.0.0.1:8081", "address of /healthz and /readyz; 0 turns it off")
	f.StringVar(&c.Listen.Decisions, "decisions-addr", "127.0.0.1:8082", "address, of this machine, where the leader tells its decisions; 0 turns it off")
	f.StringVar(&c.Mesh.DomainSuffix, "domain-suffix", "cluster.local", "domain of the cluster's services")
	f.StringVar(&c.Mesh.RootNamespace, "mesh-root-namespace", "istio-system", "namespace of mesh-wide Istio objects")
	f.StringVar(&c.Mesh.RegistryDir, "registry-dir", "", "directory of manifests of machines outside the cluster; changes count within seconds")
	f.StringVar(&c.Git.CacheDir, "git-cache-dir", "", "directory of fetched repositories (default: a fresh temporary one)")
	f.StringVar(&c.Git.ClusterName, "git-cluster-name", "", "name of this cluster in the refs that keep last good commits")
	f.StringSliceVar(&c.Git.InsecureHosts, "git-insecure-host", nil, "host that may be fetched from over plain http; repeats")
	f.StringSliceVar(&c.Git.Kinds, "git-kinds", nil, "kinds that Sources may apply: Kind.group, Kind, *.group, *; repeats (default: those of progressive delivery)")
	f.BoolVar(&c.Git.CrossNamespace, "git-cross-namespace", false, "let Sources apply to the namespaces they name, and kinds without a namespace")
	f.StringVar(&c.Git.ServiceAccount, "git-default-service-account", "", "account that Sources without one of their own apply as")
	f.StringSliceVar(&c.Egress.Deny, "egress-deny", nil, "what Sources, Notifiers and Prometheus must not be at, besides what is never allowed: private")
	f.StringSliceVar(&c.Egress.Allow, "egress-allow", nil, "network that they may be at although --egress-deny says private, such as 10.1.0.0/16; repeats")
	f.StringVar(&c.Egress.Proxy, "egress-proxy", "", "URL of the HTTP proxy that notes and requests to forges go through (default: none; the environment is not asked)")
	f.BoolVar(&c.Egress.AllowLoopback, "egress-allow-loopback", false, "let Sources, Notifiers and Prometheus be on this machine")
	return cmd
}

// issueFlags are those of certificates that Sluice makes.
func issueFlags(f *pflag.FlagSet, i *app.Issue) {
	f.StringVar(&i.Secret, "xds-secret", "", "Secret of Sluice's namespace in which it makes and renews these by itself, in the place of files")
	f.StringSliceVar(&i.Names, "xds-names", nil, "name or address of the xDS server in the certificate of --xds-secret; repeats (default: sluice.NAMESPACE.svc, and with the domain)")
	f.StringVar(&i.Gateway, "gateway-secret", "", "Secret in which it makes and renews the certificate of the gateway; empty: there is none")
	f.StringVar(&i.Account, "gateway-account", "", "service account of that gateway (default: sluice-gateway)")
	f.StringSliceVar(&i.Proxies, "proxy-secret", nil, "NAMESPACE/SECRET=ACCOUNT: keep the certificate of proxies of that account there; the Secret exists, with the label sluice.dev/certificates: self; repeats")
	f.DurationVar(&i.Life, "certificate-life", 0, "how long certificates last that it makes, 10s to 8760h; they are renewed after two thirds (default: 2160h)")
}

// maxConfig bounds the file of the configuration.
const maxConfig = 1 << 20

// readConfig takes over what a file says, but for what flags say. An empty path is no file.
func readConfig(path string, c *app.Config, flags *pflag.FlagSet) error {
	if path == "" {
		return nil
	}
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("reading the configuration: %w", err)
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxConfig+1))
	if err != nil {
		return fmt.Errorf("reading the configuration: %w", err)
	}
	if len(content) > maxConfig {
		return fmt.Errorf("reading the configuration: %s has more than %d bytes", path, maxConfig)
	}
	var again []func() error
	flags.Visit(func(f *pflag.Flag) {
		if list, ok := f.Value.(pflag.SliceValue); ok {
			said := list.GetSlice()
			again = append(again, func() error { return list.Replace(said) })
			return
		}
		said := f.Value.String()
		again = append(again, func() error { return f.Value.Set(said) })
	})
	if err := c.Read(path, content); err != nil {
		return fmt.Errorf("reading the configuration: %w", err)
	}
	for _, set := range again {
		if err := set(); err != nil {
			return err
		}
	}
	return nil
}
