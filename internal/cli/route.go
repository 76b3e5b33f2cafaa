package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/internal/cli/lint"
	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/istio"
	"github.com/sluice-dev/sluice/xds/manifest"
	"github.com/sluice-dev/sluice/xds/registry"
	"github.com/sluice-dev/sluice/xds/sim"
)

// routeOptions are the flags of `sluice route`.
type routeOptions struct {
	files   []string
	status  string
	gateway string
	sidecar string
	capture string
	suffix  string
	root    string
	partial bool
	output  string
	request requestOptions
}

type requestOptions struct {
	port    int
	tls     bool
	sni     string
	method  string
	headers []string
}

// routeAnswer is the printed object.
type routeAnswer struct {
	sim.Result
	Problems []problem.Problem `json:"problems"`
}

func newRoute(s Streams) *cobra.Command {
	var o routeOptions
	cmd := &cobra.Command{
		Use:   "route -f FILE|DIR... [flags] URL",
		Short: "Say where a request would go, and with which probability",
		Long: "Compile the Istio objects, services and Rollouts of files as Sluice does for its proxies, and follow one request\n" +
			"through the result. Nothing is sent and no cluster is asked.",
		Example: "  sluice route -f mesh/ http://shop.example/cart\n" +
			"  sluice route -f mesh/ https://shop.example/cart --sni other.example\n" +
			"  sluice route -f mesh/ --sidecar shop -H 'x-tester: yes' http://reviews:9080/ -o json",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &Exit{Code: ExitUsage, Err: errors.New("give exactly one URL"), Next: "sluice route --help"}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return runRoute(cmd.Context(), s, o, args[0]) },
	}
	f := cmd.Flags()
	f.StringArrayVarP(&o.files, "filename", "f", nil, "file or directory of manifests, - for standard input; may be repeated")
	f.StringVar(&o.status, "rollout-status", "", "file with Rollouts whose status replaces that of -f")
	f.StringVar(&o.gateway, "gateway", "", "ask a proxy of this Gateway: NAMESPACE/NAME")
	f.StringVar(&o.sidecar, "sidecar", "", "ask the proxy of a client: NAMESPACE[/label=value,...]")
	f.StringVar(&o.capture, "capture", "none", "how connections get to a client's proxy: none (it dials the proxy) or redirect (all go to the proxy)")
	f.StringVar(&o.suffix, "domain-suffix", "cluster.local", "suffix of the names of Kubernetes services")
	f.StringVar(&o.root, "mesh-root-namespace", "istio-system", "namespace whose DestinationRules hold for the whole mesh")
	f.BoolVar(&o.partial, "partial", false, "take hosts that the files do not hold as existing")
	f.StringVarP(&o.output, "output", "o", "text", "text or json")
	f.IntVar(&o.request.port, "port", 0, "port of the Gateway's server, or that the client dials (default: the URL's)")
	f.BoolVar(&o.request.tls, "tls", false, "the client speaks TLS (implied by https)")
	f.StringVar(&o.request.sni, "sni", "", "server name that the client asks for in TLS (default: the URL's host; implies --tls)")
	f.StringVarP(&o.request.method, "method", "X", http.MethodGet, "HTTP method")
	f.StringArrayVarP(&o.request.headers, "header", "H", nil, "header 'name: value'; may be repeated")
	cmd.MarkFlagsMutuallyExclusive("gateway", "sidecar")
	return cmd
}

func runRoute(ctx context.Context, s Streams, o routeOptions, target string) error {
	req, err := o.request.build(target)
	if err != nil {
		return usage(err)
	}
	if o.output != "text" && o.output != "json" {
		return usage(fmt.Errorf("output %q is neither text nor json", o.output))
	}
	if len(o.files) == 0 {
		return usage(errors.New("no manifests given: name them with -f"))
	}
	files, err := o.read(ctx, s)
	if err != nil {
		return &Exit{Code: ExitNo, Err: err, Next: "correct the file, or leave it out of -f"}
	}
	in := files.Input(o.suffix, o.root)
	class, err := o.class(in)
	if err != nil {
		return usage(err)
	}
	if o.partial {
		var hosts []string
		if class.Kind == ir.KindSidecar {
			hosts = []string{istio.ResolveHost(hostOf(req.Host), class.Namespace, o.suffix)}
		}
		in = istio.AssumeSpeaking(in, req.Port, spoken(req), hosts...)
	}
	if class.Capture == ir.CaptureRedirect && req.Address == "" {
		req.Address = istio.AddressOf(in, class, strings.ToLower(hostOf(req.Host)))
	}
	cfg, problems := istio.Translate(in, class)
	res, bad := envoy.NewBuilder().Build(&cfg)
	problems = append(problems, lint.Refused(bad)...)
	opened := req
	if class.Kind == ir.KindGateway {
		opened.Port = istio.Opened(in, class, req.Port)[0] // those of one server have the same chains
	}
	answer := routeAnswer{sim.Route(res, opened), files.Placed(problems)}
	if o.output == "json" {
		return printRouteJSON(s, answer)
	}
	return printRouteText(s.Out, req, class, answer)
}

func usage(err error) error { return &Exit{Code: ExitUsage, Err: err, Next: "sluice route --help"} }

func (o routeOptions) read(ctx context.Context, s Streams) (*manifest.Mesh, error) {
	mesh, err := readMesh(ctx, s, o.files)
	if err != nil || o.status == "" {
		return mesh, err
	}
	rollouts, err := readMesh(ctx, s, []string{o.status})
	if err != nil {
		return nil, err
	}
	mesh.ReplaceRollouts(rollouts)
	return mesh, nil
}

// class is the proxy that is asked.
func (o routeOptions) class(in istio.Input) (ir.ProxyClass, error) {
	var capture ir.Capture
	switch o.capture {
	case "none":
	case "redirect":
		capture = ir.CaptureRedirect
	default:
		return ir.ProxyClass{}, fmt.Errorf("capture %q is neither none nor redirect", o.capture)
	}
	if o.sidecar != "" {
		namespace, labels, _ := strings.Cut(o.sidecar, "/")
		if namespace == "" {
			return ir.ProxyClass{}, errors.New("--sidecar needs a namespace: NAMESPACE[/label=value,...]")
		}
		return ir.ProxyClass{Kind: ir.KindSidecar, Namespace: namespace, Labels: sortedLabels(labels), Capture: capture}, nil
	}
	var found []ir.ProxyClass
	for _, obj := range in.Objects {
		spec, ok := obj.Spec.(*networking.Gateway)
		if !ok || (o.gateway != "" && o.gateway != obj.Namespace+"/"+obj.Name) {
			continue
		}
		found = append(found, ir.ProxyClass{Kind: ir.KindGateway, Namespace: obj.Namespace, Labels: istio.FormatLabels(spec.GetSelector())})
	}
	switch {
	case o.gateway != "" && len(found) == 0:
		return ir.ProxyClass{}, fmt.Errorf("the files hold no Gateway %s", o.gateway)
	case len(found) == 0:
		return ir.ProxyClass{Kind: ir.KindSidecar, Namespace: "default", Capture: capture}, nil
	case capture != ir.CaptureNone:
		return ir.ProxyClass{}, errors.New("--capture is about the proxies of clients: choose one with --sidecar NAMESPACE")
	case slices.ContainsFunc(found, func(c ir.ProxyClass) bool { return c.Labels != found[0].Labels }):
		return ir.ProxyClass{}, errors.New("the files hold several Gateways for different proxies: choose one with --gateway NAMESPACE/NAME")
	default:
		return found[0], nil
	}
}

// spoken is what a host speaks of which nothing is known but the request.
func spoken(req sim.Request) registry.Protocol {
	switch {
	case !req.Raw:
		return registry.HTTP
	case req.TLS:
		return registry.TLS
	default:
		return registry.TCP
	}
}

func sortedLabels(text string) string {
	labels := map[string]string{}
	for pair := range strings.SplitSeq(text, ",") {
		if k, v, ok := strings.Cut(pair, "="); ok {
			labels[k] = v
		}
	}
	return istio.FormatLabels(labels)
}

// build makes the request from the URL and the flags.
func (o requestOptions) build(target string) (sim.Request, error) {
	u, err := url.Parse(target)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "tcp") {
		return sim.Request{}, fmt.Errorf("%q is no URL of the form http://host[:port]/path, https:// alike, or tcp://host:port", target)
	}
	req := sim.Request{
		Port: o.port, TLS: o.tls || o.sni != "" || u.Scheme == "https", Raw: u.Scheme == "tcp", Method: o.method, Host: u.Host,
		Path: u.RequestURI(), Headers: map[string][]string{},
	}
	if req.TLS {
		req.SNI = cmp.Or(o.sni, serverName(u))
	}
	if address, err := netip.ParseAddr(u.Hostname()); err == nil && req.Raw {
		req.Address = address.String()
	}
	if req.Port == 0 {
		req.Port, err = portOf(u)
		if err != nil {
			return sim.Request{}, err
		}
	}
	for _, h := range o.headers {
		name, value, ok := strings.Cut(h, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || name == "" {
			return sim.Request{}, fmt.Errorf("header %q is not of the form 'name: value'", h)
		}
		if strings.EqualFold(name, "host") {
			req.Host = value
			continue
		}
		req.Headers[name] = append(req.Headers[name], value)
	}
	return req, nil
}

// serverName is what a client asks for in TLS that was given the URL: its host, and nothing if that is an address.
func serverName(u *url.URL) string {
	if _, err := netip.ParseAddr(u.Hostname()); err == nil {
		return ""
	}
	return strings.ToLower(u.Hostname())
}

func portOf(u *url.URL) (int, error) {
	if u.Port() != "" {
		n, err := strconv.Atoi(u.Port())
		if err != nil || n < 1 || n > 65535 {
			return 0, fmt.Errorf("%q is no port", u.Port())
		}
		return n, nil
	}
	switch u.Scheme {
	case "https":
		return 443, nil
	case "tcp":
		return 0, errors.New("a tcp URL needs a port: tcp://host:port")
	default:
		return 80, nil
	}
}

func hostOf(host string) string { return (&url.URL{Host: host}).Hostname() }

func printRouteJSON(s Streams, a routeAnswer) error {
	if a.Problems == nil {
		a.Problems = []problem.Problem{}
	}
	enc := json.NewEncoder(s.Out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(a)
}
