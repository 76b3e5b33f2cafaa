package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/xds/ir"
	xdsserver "github.com/sluice-dev/sluice/xds/server"
)

type onePod struct{ namespace, name string }

func (p onePod) PodLabels(namespace, name string) (map[string]string, bool) {
	return map[string]string{"app": "web"}, p == onePod{namespace, name}
}

const gatewayEntry = `proxies:
- identity: spiffe://cluster.local/ns/edge/sa/gateway
  kind: gateway
  labels: {istio: ingressgateway}
`

func TestProver_fileThenPods(t *testing.T) {
	path := filepath.Join(t.TempDir(), "identities.yaml")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(gatewayEntry)
	now := time.Unix(1e9, 0)
	var warnings []error
	p, err := newProver(&prover{
		path: path, now: func() time.Time { return now }, warn: func(err error) { warnings = append(warnings, err) },
		pods: onePod{"shop", "web-1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	edge := xdsserver.Claim{Identity: "spiffe://cluster.local/ns/edge/sa/gateway", Namespace: "edge", Name: "vm-1"}
	listed := xdsserver.Proof{Kind: ir.KindGateway, Labels: map[string]string{"istio": "ingressgateway"}}
	check := func(c xdsserver.Claim, want xdsserver.Proof, ok bool) {
		t.Helper()
		got, found := p.Prove(c)
		if diff := cmp.Diff(want, got); found != ok || ok && diff != "" {
			t.Errorf("Prove(%+v) = %v, want %v; (-want +got):\n%s", c, found, ok, diff)
		}
	}
	check(edge, listed, true)
	check(xdsserver.Claim{Identity: "spiffe://cluster.local/ns/shop/sa/web", Namespace: "shop", Name: "web-1"}, xdsserver.Proof{Labels: map[string]string{"app": "web"}}, true)
	check(xdsserver.Claim{Identity: "spiffe://cluster.local/ns/shop/sa/web", Namespace: "shop", Name: "web-2"}, xdsserver.Proof{}, false)

	write(strings.ReplaceAll(gatewayEntry, "kind: gateway", "kind: router, or so"))
	now = now.Add(2 * time.Second)
	check(edge, listed, true)
	now = now.Add(2 * time.Second)
	check(edge, listed, true)
	if len(warnings) != 1 || !strings.Contains(warnings[0].Error(), "proxies[0].kind") {
		t.Errorf("warnings = %v, want one of the kind", warnings)
	}
	write(strings.ReplaceAll(gatewayEntry, "ingressgateway", "egress"))
	now = now.Add(2 * time.Second)
	check(edge, xdsserver.Proof{Kind: ir.KindGateway, Labels: map[string]string{"istio": "egress"}}, true)
}

func TestParseIdentities_refusals(t *testing.T) {
	tests := []struct{ text, want string }{
		{"proxies: [{identity: spiffe://a/ns/b/sa/c}]", "proxies[0].kind"},
		{"proxies: [{identity: b, kind: gateway}]", "proxies[0].identity"},
		{"proxies: [{identity: spiffe://a/ns/b/sa/c, kind: grpc}, {identity: spiffe://a/ns/b/sa/c, kind: grpc}]", "stands twice"},
		{"proxies: [{identity: spiffe://a/ns/b/sa/c, kind: grpc, label: {}}]", "label"},
	}
	for _, tt := range tests {
		if _, err := parseIdentities([]byte(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want an error with %q", tt.text, err, tt.want)
		}
	}
}

func TestDoors(t *testing.T) {
	all := Proxies{Cert: "c", Key: "k", CA: "a"}
	secure := xdsserver.Door{Addr: ":15012", Certificates: &xdsserver.Certificates{Cert: "c", Key: "k", CA: "a"}}
	held := &xdsserver.Held{}
	made := Proxies{Issue: Issue{Secret: "sluice-xds"}}
	tests := []struct {
		name    string
		listen  Listen
		proxies Proxies
		want    []xdsserver.Door
		err     string
	}{
		{"plain text by itself", Listen{}, Proxies{}, []xdsserver.Door{{Addr: "127.0.0.1:15010"}}, ""},
		{"both", Listen{}, all, []xdsserver.Door{{Addr: "127.0.0.1:15010"}, secure}, ""},
		{"certificates only", Listen{XDS: "0"}, all, []xdsserver.Door{secure}, ""},
		{"certificates that are not used", Listen{SecureXDS: "0"}, all, []xdsserver.Door{{Addr: "127.0.0.1:15010"}}, ""},
		{"certificates that are made", Listen{XDS: "0"}, made, []xdsserver.Door{{Addr: ":15012", Held: held}}, ""},
		{"made and read", Listen{}, Proxies{Cert: "c", Key: "k", CA: "a", Issue: made.Issue}, nil, "not both"},
		{"made and not used", Listen{SecureXDS: "0"}, made, nil, "turned off"},
		{"nothing", Listen{XDS: "0"}, Proxies{}, nil, "no address"},
		{"no key", Listen{}, Proxies{Cert: "c", CA: "a"}, nil, "together"},
		{"no certificate at all", Listen{SecureXDS: ":15012"}, Proxies{}, nil, "needs a certificate"},
	}
	for _, tt := range tests {
		c, err := Config{Listen: tt.listen, Proxies: tt.proxies, Git: Git{CacheDir: t.TempDir()}}.withDefaults()
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.doors(held)
		if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: got error %v, want %q", tt.name, err, tt.err)
		}
		if diff := cmp.Diff(tt.want, got, cmp.Comparer(func(a, b *xdsserver.Held) bool { return a == b })); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}
