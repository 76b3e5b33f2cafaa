package app

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestIssued(t *testing.T) {
	for _, c := range []struct {
		name    string
		issue   Issue
		names   []string
		gateway string
		life    time.Duration
		err     string
	}{
		{name: "nothing", life: leafLife},
		{name: "the server", issue: Issue{Secret: "x"}, names: []string{"sluice.ns.svc", "sluice.ns.svc.example"}, life: leafLife},
		{name: "by other names", issue: Issue{Secret: "x", Names: []string{"a"}}, names: []string{"a"}, life: leafLife},
		{name: "and the gateway", issue: Issue{Secret: "x", Gateway: "g"}, names: []string{"sluice.ns.svc", "sluice.ns.svc.example"}, gateway: "spiffe://domain/ns/ns/sa/sluice-gateway", life: leafLife},
		{name: "of an account", issue: Issue{Secret: "x", Names: []string{"a"}, Gateway: "g", Account: "edge"}, names: []string{"a"}, gateway: "spiffe://domain/ns/ns/sa/edge", life: leafLife},
		{name: "for a minute", issue: Issue{Secret: "x", Names: []string{"a"}, Life: time.Minute}, names: []string{"a"}, life: time.Minute},
		{name: "for a second", issue: Issue{Secret: "x", Life: time.Second}, err: "from 10s to 8760h0m0s, not 1s"},
		{name: "for too long", issue: Issue{Secret: "x", Life: 400 * day}, err: "from 10s"},
		{name: "a gateway alone", issue: Issue{Gateway: "g"}, err: "--xds-secret"},
		{name: "and proxies elsewhere", issue: Issue{Secret: "x", Names: []string{"a"}, Proxies: []string{"shop/front-tls=front"}}, names: []string{"a"}, gateway: "spiffe://domain/ns/shop/sa/front", life: leafLife},
		{name: "proxies alone", issue: Issue{Proxies: []string{"shop/front-tls=front"}}, err: "--xds-secret"},
		{name: "proxies of nobody", issue: Issue{Secret: "x", Proxies: []string{"shop/front-tls"}}, err: "\"shop/front-tls\" is not NAMESPACE/SECRET=ACCOUNT"},
		{name: "a life alone", issue: Issue{Life: time.Hour}, err: "--xds-secret"},
	} {
		cfg := Config{Namespace: "ns", Mesh: Mesh{DomainSuffix: "example"}, Proxies: Proxies{TrustDomain: "domain", Issue: c.issue}}
		got, err := cfg.issued()
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.err)
		}
		if err != nil {
			continue
		}
		gateway := ""
		for _, p := range got.Proxies {
			gateway = p.URI
		}
		if !cmp.Equal(got.Server.Hosts, c.names) || gateway != c.gateway || got.Term.Leaf != c.life || got.Server.Secret != c.issue.Secret {
			t.Errorf("%s: %v %q %v, want %v %q %v", c.name, got.Server.Hosts, gateway, got.Term.Leaf, c.names, c.gateway, c.life)
		}
	}
}
