package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
	"github.com/sluice-dev/sluice/xds/bootstrap"
)

// proxyStatusOptions are the flags of `sluice proxy-status`.
type proxyStatusOptions struct {
	cluster *cluster
	output  *output
	xds     string
	files   bootstrap.TLS
}

func newProxyStatus(s Streams) *cobra.Command {
	o := &proxyStatusOptions{}
	cmd := &cobra.Command{
		Use:   "proxy-status [NODE]",
		Short: "Say which proxies run what they should",
		Long: "Say how many proxies are in sync, how far each split is, and which proxies are not in sync and why, as the replicas\n" +
			"report it to the API server. With NODE, what that proxy has of each resource, from the replica that it is connected to:\n" +
			"run it where --xds is reachable, in the replica's Pod or through a port that is forwarded there.\n\n" +
			"Exit code: 0 all are in sync, 1 some are not, 5 no replica reports or knows NODE, 6 no answer, 7 not authorised.",
		Example: "  sluice proxy-status\n" +
			"  sluice proxy-status -o json\n" +
			"  sluice proxy-status gateway.shop --xds 127.0.0.1:15010\n" +
			"  sluice proxy-status gateway.shop --xds sluice.example:15012 --cert tls.crt --key tls.key --ca ca.crt",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.output.ready(); err != nil {
				return err
			}
			switch {
			case len(args) == 1:
				return o.node(cmd.Context(), s, args[0])
			case cmd.Flags().Changed("xds") || o.files != bootstrap.TLS{}:
				return &Exit{Code: ExitUsage, Err: errors.New("--xds, with --cert, --key and --ca, is asked about one NODE"), Next: "sluice proxy-status"}
			}
			return o.fleet(cmd.Context(), s, cmd.Flags().Changed("namespace"))
		},
	}
	o.cluster = addCluster(cmd)
	o.output = addOutput(cmd, "table")
	cmd.Flags().StringVar(&o.xds, "xds", "127.0.0.1:15010", "host:port of the discovery service of the replica that NODE is connected to; in plain text without --cert")
	cmd.Flags().StringVar(&o.files.Cert, "cert", "", "file of the certificate to show to it; the controller's --csds-readers names its identity")
	cmd.Flags().StringVar(&o.files.Key, "key", "", "file of the key of --cert")
	cmd.Flags().StringVar(&o.files.CA, "ca", "", "file of the authorities that sign its certificate")
	cmd.Flags().Lookup("namespace").Usage = "namespace that Sluice runs in; empty: its reports are found wherever they are"
	return cmd
}

// fleet shows what all replicas report.
func (o *proxyStatusOptions) fleet(ctx context.Context, s Streams, within bool) error {
	if err := o.cluster.connect(); err != nil {
		return err
	}
	req := o.cluster.client.Get().Resource("fleetreports")
	if within {
		req = req.Namespace(o.cluster.namespace)
	}
	list := &v1alpha1.FleetReportList{}
	if err := req.Do(ctx).Into(list); err != nil {
		return failed("listing fleetreports", err)
	}
	if len(list.Items) == 0 {
		return &Exit{Code: ExitNotFound, Err: errNoReplica, Next: "sluice doctor"}
	}
	v := view.Fleet(list.Items)
	err := o.output.show(s, v, v.Table)
	if err == nil && !v.InSync() {
		return &Exit{Code: ExitNo}
	}
	return err
}
