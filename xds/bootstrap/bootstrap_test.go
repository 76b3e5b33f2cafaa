package bootstrap_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/xds/bootstrap"
	"github.com/sluice-dev/sluice/xds/ir"
)

func gateway() bootstrap.Options {
	return bootstrap.Options{Kind: ir.KindGateway, ID: "g1", Namespace: "shop", Labels: map[string]string{"istio": "ingressgateway"}, XDS: "127.0.0.1:15010"}
}

// at reads a path of keys out of a decoded document.
func at(t *testing.T, doc any, path ...any) any {
	t.Helper()
	for _, p := range path {
		switch key := p.(type) {
		case string:
			doc = doc.(map[string]any)[key]
		case int:
			doc = doc.([]any)[key]
		}
	}
	return doc
}

func TestJSON_envoy(t *testing.T) {
	data, err := bootstrap.JSON(gateway())
	if err != nil {
		t.Fatal(err)
	}
	var doc any
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		path []any
		want any
	}{
		{[]any{"node", "id"}, "g1"},
		{[]any{"node", "metadata"}, map[string]any{"NAMESPACE": "shop", "LABELS": map[string]any{"istio": "ingressgateway"}, "SLUICE_KIND": "gateway"}},
		{[]any{"admin", "address", "socket_address"}, map[string]any{"address": "127.0.0.1", "port_value": 19000.0}},
		{[]any{"dynamic_resources", "ads_config", "api_type"}, "DELTA_GRPC"},
		{[]any{"dynamic_resources", "ads_config", "set_node_on_first_message_only"}, true},
		{[]any{"dynamic_resources", "ads_config", "grpc_services", 0, "envoy_grpc", "retry_policy", "retry_back_off"}, map[string]any{"base_interval": "0.200s", "max_interval": "5s"}},
		{[]any{"dynamic_resources", "lds_config", "ads"}, map[string]any{}},
		{[]any{"dynamic_resources", "cds_config", "ads"}, map[string]any{}},
		{[]any{"cluster_manager", "load_stats_config", "api_type"}, "GRPC"},
		{[]any{"cluster_manager", "load_stats_config", "grpc_services", 0, "envoy_grpc", "cluster_name"}, "sluice-xds"},
		{[]any{"static_resources", "clusters", 0, "connect_timeout"}, "1s"},
		{[]any{"static_resources", "clusters", 0, "transport_socket"}, nil},
		{[]any{"static_resources", "clusters", 0, "typed_extension_protocol_options", "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
			"explicit_http_config", "http2_protocol_options", "connection_keepalive"}, map[string]any{"interval": "30s", "timeout": "10s"}},
		{[]any{"stats_config", "stats_matcher"}, nil},
		{[]any{"stats_flush_on_admin"}, true},
		{[]any{"layered_runtime", "layers", 0, "static_layer"}, map[string]any{"re2.max_program_size.error_level": 32768.0}},
		{[]any{"stats_config", "use_all_default_tags"}, false},
		{[]any{"stats_config", "stats_tags", 0}, map[string]any{"tag_name": "envoy.cluster_name", "regex": `^cluster(\.(.+);)`}},
		{[]any{"static_resources", "clusters", 0, "alt_stat_name"}, "sluice-xds;"},
		{[]any{"static_resources", "clusters", 0, "type"}, "STRICT_DNS"},
	} {
		if diff := cmp.Diff(tt.want, at(t, doc, tt.path...)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", tt.path, diff)
		}
	}
	if again, _ := bootstrap.JSON(gateway()); string(again) != string(data) {
		t.Error("equal options give different bytes")
	}
	text, err := bootstrap.YAML(gateway())
	if err != nil {
		t.Fatal(err)
	}
	var same any
	if err := yaml.Unmarshal(text, &same); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(doc, same); diff != "" {
		t.Errorf("YAML differs from JSON (-json +yaml):\n%s", diff)
	}
}

// files are those of a proxy that comes with a certificate.
func files() bootstrap.TLS { return bootstrap.TLS{Cert: "/tls/cert", Key: "/tls/key", CA: "/tls/ca"} }

func TestJSON_mutualTLS(t *testing.T) {
	for host, san := range map[string]map[string]any{
		"sluice.example": {"san_type": "DNS", "matcher": map[string]any{"exact": "sluice.example"}},
		"192.0.2.7":      {"san_type": "IP_ADDRESS", "matcher": map[string]any{"exact": "192.0.2.7"}},
	} {
		o := gateway()
		o.XDS, o.TLS = host+":15012", files()
		doc := decoded(t, o)
		context := at(t, doc, "static_resources", "clusters", 0, "transport_socket", "typed_config", "common_tls_context")
		for _, tt := range []struct {
			path []any
			want any
		}{
			{[]any{"tls_params", "tls_minimum_protocol_version"}, "TLSv1_3"},
			{[]any{"tls_certificates", 0}, map[string]any{
				"certificate_chain": map[string]any{"filename": "/tls/cert"}, "private_key": map[string]any{"filename": "/tls/key"}}},
			{[]any{"validation_context", "trusted_ca"}, map[string]any{"filename": "/tls/ca"}},
			{[]any{"validation_context", "match_typed_subject_alt_names", 0}, san},
		} {
			if diff := cmp.Diff(tt.want, at(t, context, tt.path...)); diff != "" {
				t.Errorf("%s: %v (-want +got):\n%s", host, tt.path, diff)
			}
		}
	}
	creds := at(t, decoded(t, bootstrap.Options{Kind: ir.KindGRPC, Namespace: "shop", XDS: "sluice.example:15012", TLS: files()}), "xds_servers", 0, "channel_creds", 0)
	want := map[string]any{"type": "tls", "config": map[string]any{
		"certificate_file": "/tls/cert", "private_key_file": "/tls/key", "ca_certificate_file": "/tls/ca", "refresh_interval": "60s"}}
	if diff := cmp.Diff(want, creds); diff != "" {
		t.Errorf("gRPC (-want +got):\n%s", diff)
	}
}

func decoded(t *testing.T, o bootstrap.Options) any {
	t.Helper()
	data, err := bootstrap.JSON(o)
	if err != nil {
		t.Fatal(err)
	}
	var doc any
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestJSON_grpc(t *testing.T) {
	data, err := bootstrap.JSON(bootstrap.Options{Kind: ir.KindGRPC, Namespace: "shop", XDS: "127.0.0.1:15010"})
	if err != nil {
		t.Fatal(err)
	}
	var doc any
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	if got := at(t, doc, "xds_servers", 0, "server_uri"); got != "127.0.0.1:15010" {
		t.Errorf("server_uri = %v", got)
	}
	if got := at(t, doc, "node", "id"); got != "grpc.shop" {
		t.Errorf("node id = %v", got)
	}
}

func TestJSON_refusals(t *testing.T) {
	tests := []struct {
		name   string
		change func(o *bootstrap.Options)
		want   string
	}{
		{"another machine", func(o *bootstrap.Options) { o.XDS = "sluice.example:15010" }, "not on this machine"},
		{"no port", func(o *bootstrap.Options) { o.XDS = "127.0.0.1" }, "not host:port"},
		{"admin for everybody", func(o *bootstrap.Options) { o.Admin = "0.0.0.0:19000" }, "administration interface"},
		{"half of the certificates", func(o *bootstrap.Options) { o.TLS = bootstrap.TLS{Cert: "c", CA: "a"} }, "needed together"},
		{"renewed without certificates", func(o *bootstrap.Options) { o.Renewed = "/etc/envoy" }, "needs certificates"},
		{"no host", func(o *bootstrap.Options) { o.XDS, o.TLS = ":15012", files() }, "not host:port"},
		{"no namespace", func(o *bootstrap.Options) { o.Namespace = "" }, "namespace"},
		{"unknown kind", func(o *bootstrap.Options) { o.Kind = "router" }, `"router"`},
		{"admin of a gRPC client", func(o *bootstrap.Options) { o.Kind, o.Admin = ir.KindGRPC, "127.0.0.1:1" }, "no administration interface"},
	}
	for _, tt := range tests {
		o := gateway()
		tt.change(&o)
		if _, err := bootstrap.JSON(o); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want an error with %q", tt.name, err, tt.want)
		}
	}
}

// An Envoy that is to take renewed certificates is told where they lie by files, and looks there when something moves.
func TestSecret_saysWhereCertificatesLie(t *testing.T) {
	o := gateway()
	o.XDS, o.TLS, o.Renewed = "sluice.example:15012", files(), "/etc/envoy"
	context := at(t, decoded(t, o), "static_resources", "clusters", 0, "transport_socket", "typed_config", "common_tls_context")
	secret := func(name string) any {
		data, err := bootstrap.Secret(o, name)
		if err != nil {
			t.Fatal(err)
		}
		var doc any
		if err := json.Unmarshal(data, &doc); err != nil {
			t.Fatal(err)
		}
		return at(t, doc, "resources", 0)
	}
	place := func(name string) any {
		return map[string]any{"path": "/etc/envoy/" + name, "watched_directory": map[string]any{"path": "/etc/envoy"}}
	}
	for _, row := range []struct{ got, want any }{
		{at(t, context, "tls_certificate_sds_secret_configs", 0, "sds_config", "path_config_source"), place(bootstrap.ProxySecret)},
		{at(t, context, "combined_validation_context", "validation_context_sds_secret_config", "sds_config", "path_config_source"), place(bootstrap.AuthoritiesSecret)},
		{at(t, context, "combined_validation_context", "default_validation_context", "match_typed_subject_alt_names", 0, "matcher", "exact"), "sluice.example"},
		{at(t, context, "tls_certificates"), nil},
		{at(t, secret(bootstrap.ProxySecret), "tls_certificate", "watched_directory", "path"), "/tls"},
		{at(t, secret(bootstrap.ProxySecret), "tls_certificate", "private_key", "filename"), "/tls/key"},
		{at(t, secret(bootstrap.AuthoritiesSecret), "validation_context", "trusted_ca", "filename"), "/tls/ca"},
		{at(t, secret(bootstrap.AuthoritiesSecret), "validation_context", "watched_directory", "path"), "/tls"},
	} {
		if diff := cmp.Diff(row.want, row.got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
	for _, wrong := range []func(o *bootstrap.Options) string{
		func(*bootstrap.Options) string { return "other.json" },
		func(o *bootstrap.Options) string { o.Renewed = ""; return bootstrap.ProxySecret },
	} {
		odd := o
		name := wrong(&odd)
		if _, err := bootstrap.Secret(odd, name); err == nil {
			t.Errorf("%s of %q is made", name, odd.Renewed)
		}
	}
}
