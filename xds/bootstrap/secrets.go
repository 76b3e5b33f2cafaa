package bootstrap

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// The files in Options.Renewed, by what they tell Envoy: where its own certificate lies, and where the authorities of the
// discovery service do.
const (
	ProxySecret       = "sds-proxy.json"
	AuthoritiesSecret = "sds-authorities.json"
)

// Secret makes one of the files that Envoy finds its certificates by. It looks into the directories of these again
// whenever something is moved there, which is how a renewed Secret comes into a Pod.
func Secret(o Options, name string) ([]byte, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if o.Renewed == "" {
		return nil, errors.New("making a secret of a bootstrap: the directory that the bootstrap looks for it in is missing")
	}
	s := &tlsv3.Secret{Name: name}
	switch name {
	case ProxySecret:
		s.Type = &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{
			CertificateChain: file(o.TLS.Cert), PrivateKey: file(o.TLS.Key), WatchedDirectory: directory(o.TLS.Cert),
		}}
	case AuthoritiesSecret:
		s.Type = &tlsv3.Secret_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{
			TrustedCa: file(o.TLS.CA), WatchedDirectory: directory(o.TLS.CA),
		}}
	default:
		return nil, fmt.Errorf("making a secret of a bootstrap: %q is not %s or %s", name, ProxySecret, AuthoritiesSecret)
	}
	resource, err := anypb.New(s)
	if err != nil {
		return nil, fmt.Errorf("making a secret of a bootstrap: %w", err)
	}
	return stable(&discoveryv3.DiscoveryResponse{Resources: []*anypb.Any{resource}})
}

// stable is a message in JSON: equal messages give equal bytes.
func stable(m proto.Message) ([]byte, error) {
	data, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("making a bootstrap: %w", err)
	}
	var plain any // protojson varies its white space on purpose
	if err := json.Unmarshal(data, &plain); err != nil {
		return nil, fmt.Errorf("making a bootstrap: %w", err)
	}
	return indented(plain)
}

// watched is a secret that Envoy reads from a file of the directory.
func watched(dir, name string) *tlsv3.SdsSecretConfig {
	return &tlsv3.SdsSecretConfig{Name: name, SdsConfig: &corev3.ConfigSource{
		ResourceApiVersion: corev3.ApiVersion_V3,
		ConfigSourceSpecifier: &corev3.ConfigSource_PathConfigSource{PathConfigSource: &corev3.PathConfigSource{
			Path: path.Join(dir, name), WatchedDirectory: &corev3.WatchedDirectory{Path: dir},
		}},
	}}
}

func file(name string) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: name}}
}

func directory(name string) *corev3.WatchedDirectory {
	return &corev3.WatchedDirectory{Path: path.Dir(name)}
}
