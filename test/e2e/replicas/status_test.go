package replicas

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/test/authority"
	"github.com/sluice-dev/sluice/test/proxy"
	"github.com/sluice-dev/sluice/xds/bootstrap"
)

// TestStatus_saysWhatAProxyHas asks a controller, over mutual TLS, what an Envoy has that came the same way.
func TestStatus_saysWhatAProxyHas(t *testing.T) {
	s := open(t, 1)
	ca := authority.New(t)
	mine, gateway := ca.Issue(t, t.TempDir(), "127.0.0.1"), fmt.Sprintf("spiffe://cluster.local/ns/%s/sa/gateway", s.shop)
	const reader = "spiffe://cluster.local/ns/ops/sa/reader"
	identities := filepath.Join(t.TempDir(), "identities.yaml")
	text := fmt.Sprintf("proxies:\n- {identity: %s, kind: gateway, labels: {istio: %s-1}}\n", gateway, s.shop)
	if err := os.WriteFile(identities, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	secure := fmt.Sprintf("127.0.0.1:%d", proxy.FreePort(t))
	s.replica("sluice-0", "--xds-tls-addr", secure, "--xds-cert", mine.Cert, "--xds-key", mine.Key, "--xds-ca", mine.CA,
		"--proxy-identities", identities, "--csds-readers", reader)
	files := ca.Issue(t, t.TempDir(), gateway)
	h, e := s.follow(), s.edge(0, secure, bootstrap.TLS(files))
	s.apply(s.rollout(stays, stays))
	h.adopted()
	s.want("v2")
	h.settled(15)
	s.inSync("sluice-0", 1)

	expect := func(want int, parts []string, args ...string) {
		t.Helper()
		code, out, errs := s.sluice(append([]string{"proxy-status"}, args...)...)
		t.Logf("sluice proxy-status %s: exit %d\n%s%s", strings.Join(args, " "), code, out, errs)
		if code != want || !containsAll(strings.Join(strings.Fields(out+errs), " "), parts) {
			t.Errorf("want exit %d, and %q", want, parts)
		}
	}
	as := func(f authority.Files) []string {
		return []string{"--xds", secure, "--cert", f.Cert, "--key", f.Key, "--ca", f.CA}
	}
	expect(0, []string{"1/1 proxies in sync", s.shop + "/reviews 15%", "1/1"}, "-n", s.system)
	ops := as(ca.Issue(t, t.TempDir(), reader))
	expect(0, []string{e.node, "RouteConfiguration 1/1", "|v2|" + s.host() + " 15/100"}, append([]string{e.node}, ops...)...)
	expect(0, []string{"RouteConfiguration", "SYNCED"}, append([]string{e.node, "-o", "json"}, ops...)...)
	expect(5, []string{"no proxy"}, append([]string{"nobody"}, ops...)...)
	expect(7, nil, append([]string{e.node}, as(files)...)...)
	expect(6, nil, e.node, "--xds", secure)
	expect(2, []string{"needed together"}, e.node, "--xds", secure, "--cert", files.Cert)
}
