package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sluice-dev/sluice/xds/bootstrap"
	"github.com/sluice-dev/sluice/xds/ir"
)

// newBootstrap prints the file that a proxy starts with.
func newBootstrap(s Streams) *cobra.Command {
	var o bootstrap.Options
	var kind, output, secret string
	cmd := &cobra.Command{
		Use:   "bootstrap --namespace NS",
		Short: "Print the file that a proxy starts with",
		Long: "Print the bootstrap of an Envoy (gateway or sidecar) or of a gRPC client that gets its configuration from Sluice.\n" +
			"The administration interface is on this machine: nothing protects the way to it. So is the discovery service, unless\n" +
			"--cert, --key and --ca say how proxy and service prove who they are.",
		Example: "  sluice bootstrap --kind gateway --namespace shop --labels istio=ingressgateway > envoy.yaml && envoy -c envoy.yaml\n" +
			"  sluice bootstrap --namespace shop --xds sluice.example:15012 --cert cert.pem --key key.pem --ca ca.pem\n" +
			"  sluice bootstrap --kind grpc --namespace shop -o json",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			o.Kind = ir.Kind(kind)
			var data []byte
			var err error
			switch {
			case secret != "":
				data, err = bootstrap.Secret(o, secret)
			case output == "json" || output == "" && o.Kind == ir.KindGRPC:
				data, err = bootstrap.JSON(o)
			case output == "yaml" || output == "":
				data, err = bootstrap.YAML(o)
			default:
				err = fmt.Errorf("output %q is not yaml or json", output)
			}
			if err != nil {
				return &Exit{Code: ExitUsage, Err: err, Next: "sluice bootstrap --help"}
			}
			_, err = s.Out.Write(data)
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&kind, "kind", string(ir.KindGateway), "gateway, sidecar or grpc")
	f.StringVar(&o.ID, "id", "", "name of this proxy among all; empty: KIND.NAMESPACE")
	f.StringVarP(&o.Namespace, "namespace", "n", "", "namespace that the proxy belongs to")
	f.StringToStringVar(&o.Labels, "labels", nil, "labels that Gateways select by, k=v,...")
	f.StringVar(&o.XDS, "xds", "127.0.0.1:15010", "host:port of Sluice's discovery service")
	f.StringVar(&o.TLS.Cert, "cert", "", "file of the proxy's certificate, as the proxy sees it; its URI name is spiffe://DOMAIN/ns/NS/sa/ACCOUNT")
	f.StringVar(&o.TLS.Key, "key", "", "file of the key of --cert")
	f.StringVar(&o.TLS.CA, "ca", "", "file of the authorities that sign the certificate of the discovery service")
	f.StringVar(&o.Renewed, "renewed", "", "directory, as Envoy sees it, of the files that --secret prints: renewed certificates then count without a restart")
	f.StringVar(&secret, "secret", "", "print this file of --renewed instead: "+bootstrap.ProxySecret+" or "+bootstrap.AuthoritiesSecret)
	f.StringVar(&o.Admin, "admin", "", "host:port or unix:PATH of Envoy's administration interface; empty: "+bootstrap.DefaultAdmin)
	f.StringVar(&o.Ready, "ready", "", "ADDRESS:PORT at which Envoy answers "+bootstrap.ReadyPath+" by 200 once it has its configuration, such as 0.0.0.0:15021; empty: nowhere")
	f.StringVarP(&output, "output", "o", "", "yaml or json; empty: yaml, json for grpc")
	return cmd
}
