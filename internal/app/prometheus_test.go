package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/analysis/prom"
)

func TestParseServers_takesEveryField(t *testing.T) {
	got, err := parseServers("servers.yaml", []byte(`
servers:
  default: {url: 'http://prometheus.monitoring:9090/prefix'}
  team-a:
    url: https://metrics.example.com
    secretRef: {name: metrics}
    headers: [{name: X-Scope-OrgID, value: a}, {name: X-Key, secretKey: key}]
    serverName: prometheus.internal
    dialect: istio
    targetLabels: [pod]
    timeout: 10s
`))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]prom.Reference{
		"default": {URL: "http://prometheus.monitoring:9090/prefix"},
		"team-a": {
			URL: "https://metrics.example.com", Secret: "metrics", ServerName: "prometheus.internal", Dialect: prom.Istio,
			TargetLabels: []string{"pod"}, Timeout: 10 * time.Second,
			Headers: []prom.HeaderReference{{Name: "X-Scope-OrgID", Value: "a"}, {Name: "X-Key", SecretKey: "key"}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("servers (-want +got):\n%s", diff)
	}
}

func TestParseServers_saysWhereAnErrorStands(t *testing.T) {
	for text, want := range map[string]string{
		"": "f.yaml:1:1: 0 documents",
		"servers: {a: {url: 'http://x'}}\n---\nservers: {}": "f.yaml:1:1: 2 documents",
		"servers:\n  a: [": "f.yaml:2:1: not YAML",
		"server: {}":       "f.yaml:1:9: server: unknown field",
		"servers:\n  a:\n    url: http://x\n    tokenn: y":                         `f.yaml:4:13: servers.a.tokenn: unknown field`,
		"servers:\n  a:\n    url: http://x\n    url: http://y":                     `f.yaml:4:5: key "url" stands at line 3 too`,
		"servers:\n  a: {url: [x]}":                                                "f.yaml:2:12: servers.a.url: array is not of the type wanted",
		"servers:\n  a: {}":                                                        "f.yaml:2:6: servers.a: name is",
		"servers:\n  a: {name: default}":                                           "f.yaml:2:13: servers.a.name: an entry of the file has a url",
		"servers:\n  a: {url: 'ftp://x'}":                                          "f.yaml:2:12: servers.a.url: not an http(s) URL; write https://host/prefix",
		"servers:\n  a: {url: 'http://u:p@x'}":                                     "f.yaml:2:12: servers.a.url: the URL has a user",
		"servers:\n  a:\n    url: http://x\n    timeout: 31s":                      "f.yaml:4:14: servers.a.timeout: 31s is out of bounds; set 1s to 30s",
		"servers:\n  a:\n    url: http://x\n    headers: [{name: X}]":              "f.yaml:4:15: servers.a.headers[0]: a header has one value",
		"servers:\n  a:\n    url: http://x\n    headers: [{name: Host, value: y}]": "f.yaml:2:3: servers.a: header Host is not to be set by hand",
		"servers:\n  a:\n    url: http://x\n    dialect: linkerd":                  `f.yaml:4:14: servers.a.dialect: "linkerd" is unknown`,
	} {
		if got, err := parseServers("f.yaml", []byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q:\n got %v, %v\nwant %s", text, got, err, want)
		}
	}
}

func TestNamed_theFlagIsTheDefaultServer(t *testing.T) {
	file := filepath.Join(t.TempDir(), "servers.yaml")
	if err := os.WriteFile(file, []byte("servers: {a: {url: 'http://a'}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Prometheus{URL: "http://x", Config: file}.named()
	if err != nil || got["default"].URL != "http://x" || got["a"].URL != "http://a" {
		t.Errorf("got %v, %v", got, err)
	}
	if err := os.WriteFile(file, []byte("servers: {default: {url: 'http://a'}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (Prometheus{URL: "http://x", Config: file}).named(); err == nil {
		t.Error("two default servers were accepted")
	}
	if got, err := (Prometheus{Config: file}).named(); err != nil || got["default"].URL != "http://a" {
		t.Errorf("got %v, %v", got, err)
	}
	for _, p := range []Prometheus{{URL: "x"}, {Config: file + ".none"}} {
		if got, err := p.named(); err == nil {
			t.Errorf("%+v: got %v", p, got)
		}
	}
}
