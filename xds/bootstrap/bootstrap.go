// Package bootstrap makes the file that a proxy starts with: who it is, where its configuration comes from, and the
// statistics that analysis reads.
//
// It decides nothing about traffic. `sluice bootstrap`, the standalone program and tests call it:
//
//	file, err := bootstrap.JSON(bootstrap.Options{Kind: ir.KindGateway, Namespace: "shop", XDS: "127.0.0.1:15010"})
package bootstrap

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/xds/ir"
)

// DefaultAdmin is where Envoy's administration interface listens.
const DefaultAdmin = "127.0.0.1:19000"

// Options say who the proxy is and where it finds Sluice. Kind, Namespace and XDS are required.
type Options struct {
	Kind      ir.Kind
	ID        string // of the node; empty: "<kind>.<namespace>". Proxies that run at one time should differ
	Namespace string
	Labels    map[string]string // that Gateways select by
	XDS       string            // host:port of Sluice's discovery service; on this machine where it speaks plain text
	TLS       TLS               // zero: plain text
	Renewed   string            // directory of the files of Secret, as Envoy sees it: renewed certificates count. Empty: those of the start
	Admin     string            // host:port on this machine, or "unix:<path>"; empty: DefaultAdmin. Not for KindGRPC
	Ready     string            // address:port at which ReadyPath says that the proxy has its configuration; empty: nowhere. Not for KindGRPC
}

// TLS names the files by which a proxy and the discovery service prove who they are, in PEM, as the proxy sees them.
// All are needed, or none.
type TLS struct {
	Cert string // chain of the proxy, its own certificate first; its URI name says whose proxy it is
	Key  string
	CA   string // authorities that sign the certificate of the discovery service
}

func (t TLS) used() bool { return t != TLS{} }

// JSON makes the file in JSON: Envoy's bootstrap, or gRPC's for KindGRPC. Equal options give equal bytes.
func JSON(o Options) ([]byte, error) {
	o.ID = cmp.Or(o.ID, string(o.Kind)+"."+o.Namespace)
	if err := o.validate(); err != nil {
		return nil, err
	}
	if o.Kind == ir.KindGRPC {
		return indented(grpcFile(o))
	}
	b, err := envoyFile(o)
	if err != nil {
		return nil, err
	}
	if err := b.ValidateAll(); err != nil {
		return nil, fmt.Errorf("making a bootstrap: %w", err)
	}
	return stable(b)
}

// YAML makes the file in YAML.
func YAML(o Options) ([]byte, error) {
	data, err := JSON(o)
	if err != nil {
		return nil, err
	}
	return yaml.JSONToYAML(data)
}

func indented(v any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("making a bootstrap: %w", err)
	}
	return out.Bytes(), nil
}

func (o Options) validate() error {
	var errs []error
	switch o.Kind {
	case ir.KindGateway, ir.KindSidecar, ir.KindGRPC:
	default:
		errs = append(errs, fmt.Errorf("kind %q is not gateway, sidecar or grpc", o.Kind))
	}
	if o.Namespace == "" {
		errs = append(errs, errors.New("the namespace of the proxy is missing"))
	}
	if _, _, err := o.discoveryService(); err != nil {
		errs = append(errs, fmt.Errorf("address of the discovery service: %w", err))
	}
	if o.TLS.used() && (o.TLS.Cert == "" || o.TLS.Key == "" || o.TLS.CA == "") {
		errs = append(errs, errors.New("the certificate of the proxy, its key and the authorities of the discovery service are needed together"))
	}
	if o.Renewed != "" && (!o.TLS.used() || o.Kind == ir.KindGRPC) {
		errs = append(errs, errors.New("a directory of renewed certificates needs certificates, and an Envoy: a gRPC client reads them again by itself"))
	}
	if o.Kind == ir.KindGRPC {
		if o.Admin != "" {
			errs = append(errs, errors.New("a gRPC client has no administration interface"))
		}
		if o.Ready != "" {
			errs = append(errs, errors.New("a gRPC client does not say whether it is ready"))
		}
	} else if admin := cmp.Or(o.Admin, DefaultAdmin); !strings.HasPrefix(admin, "unix:") {
		if _, _, err := local(admin); err != nil {
			errs = append(errs, fmt.Errorf("address of the administration interface: %w", err))
		}
	}
	errs = append(errs, o.validateReady())
	return errors.Join(errs...)
}

// discoveryService takes its address apart. Without certificates it has to be on this machine.
func (o Options) discoveryService() (host string, port uint32, err error) {
	if o.TLS.used() {
		return apart(o.XDS)
	}
	return local(o.XDS)
}

// apart takes an address apart.
func apart(addr string) (host string, port uint32, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil || host == "" {
		return "", 0, fmt.Errorf("%q is not host:port", addr)
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("port %q of %q is not a number from 0 to 65535", text, addr)
	}
	return host, uint32(n), nil
}

// local takes an address of this machine apart.
func local(addr string) (host string, port uint32, err error) {
	host, port, err = apart(addr)
	if err != nil {
		return "", 0, err
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return "", 0, fmt.Errorf("%q is not on this machine, and nothing protects the way to it; use 127.0.0.1", addr)
	}
	return host, port, nil
}

// metadata is how the discovery service tells proxies apart.
func metadata(o Options) map[string]any {
	labels := make(map[string]any, len(o.Labels))
	for k, v := range o.Labels {
		labels[k] = v
	}
	return map[string]any{"NAMESPACE": o.Namespace, "LABELS": labels, "SLUICE_KIND": string(o.Kind)}
}

// channelCreds is how a gRPC client reaches the discovery service. It reads replaced files by itself, and holds the
// certificate against the host of server_uri.
func channelCreds(t TLS) map[string]any {
	if !t.used() {
		return map[string]any{"type": "insecure"}
	}
	return map[string]any{"type": "tls", "config": map[string]any{
		"certificate_file": t.Cert, "private_key_file": t.Key, "ca_certificate_file": t.CA, "refresh_interval": "60s",
	}}
}

// grpcFile is the bootstrap of gRPC's own client.
func grpcFile(o Options) any {
	return map[string]any{
		"xds_servers": []any{map[string]any{
			"server_uri":      o.XDS,
			"channel_creds":   []any{channelCreds(o.TLS)},
			"server_features": []any{"xds_v3"},
		}},
		"node": map[string]any{"id": o.ID, "cluster": "sluice", "metadata": metadata(o)},
	}
}
