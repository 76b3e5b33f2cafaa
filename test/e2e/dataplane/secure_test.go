package dataplane

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/test/authority"
	"github.com/sluice-dev/sluice/test/poll"
	"github.com/sluice-dev/sluice/test/proxy"
	"github.com/sluice-dev/sluice/xds/bootstrap"
	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/server"
)

// TestEnvoy_overMutualTLS lets an Envoy prove who it is. The certificates of the server are replaced while it is
// connected, at last by those of another authority: its stream goes on, and what it is sent arrives. An Envoy of another
// namespace gets nothing.
func TestEnvoy_overMutualTLS(t *testing.T) {
	ca := authority.New(t)
	mine := ca.Issue(t, t.TempDir(), "127.0.0.1")
	plane := serveSecure(t, server.Certificates(mine))
	e := startOn(t, plane, 0, bootstrap.TLS(ca.Issue(t, t.TempDir(), "spiffe://cluster.local/ns/shop/sa/gateway")))
	impostor(t, plane, bootstrap.TLS(ca.Issue(t, t.TempDir(), "spiffe://cluster.local/ns/bank/sa/gateway")))
	for i, issuer := range []*authority.Authority{ca, authority.New(t)} {
		issuer.Issue(t, filepath.Dir(mine.Cert), "127.0.0.1")
		seq, weight := uint64(i+2), 50*(i+1)
		e.plane.publish(gatewayClass, e.resources(seq, weight))
		e.plane.done(seq)
		within(t, weight, 200, e.ask(200))
	}
	if n := counter(t, e.envoy, "cluster.sluice-xds;.upstream_cx_total"); n > 2 { // one for ADS, one at most for load reports
		t.Errorf("Envoy has connected %d times", n)
	}
	if n := counter(t, e.envoy, "cluster_manager.cds.update_attempt"); n == 0 {
		t.Error("the statistics say nothing")
	}
	if n := counter(t, e.envoy, "cluster.sluice-xds;.upstream_cx_destroy"); n != 0 {
		t.Errorf("%d connections were closed", n)
	}
}

// impostor holds that an Envoy whose certificate is of another namespace than it says is turned away.
func impostor(t *testing.T, p *plane, files bootstrap.TLS) {
	t.Helper()
	file, err := bootstrap.JSON(bootstrap.Options{Kind: ir.KindGateway, ID: "g2", Namespace: "shop", XDS: p.addr, TLS: files, Admin: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	e := proxy.Start(t, file)
	defer e.Stop(t)
	err = poll.Until(patience, func() error {
		if counter(t, e, "cluster.sluice-xds;.upstream_rq_total") < 2 {
			return errors.New("it has not tried twice")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"listener_manager.lds.update_success", "cluster_manager.cds.update_success"} {
		if n := counter(t, e, name); n != 0 {
			t.Errorf("%s = %d, want 0", name, n)
		}
	}
	if !strings.Contains(e.Log(), "its certificate is of namespace") {
		t.Error("Envoy's log does not say why it is turned away")
	}
}

// counter reads one of Envoy's statistics; 0 where it does not exist.
func counter(t *testing.T, e *proxy.Proxy, name string) int {
	t.Helper()
	data, err := e.Get("/stats?format=json&filter=" + strings.ReplaceAll(name, ";", "."))
	if err != nil {
		t.Fatal(err)
	}
	var out struct {
		Stats []struct {
			Name  string
			Value int
		}
	}
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	for _, s := range out.Stats {
		if s.Name == name {
			return s.Value
		}
	}
	return 0
}

// serveSecure starts a server that knows proxies by their certificates only.
func serveSecure(t *testing.T, files server.Certificates) *plane {
	t.Helper()
	s, err := server.New(server.Config{Now: time.Now, Prover: gateways{}})
	if err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", proxy.FreePort(t))
	return run(t, s, addr, func(ctx context.Context) error {
		return s.ListenAndServe(ctx, server.Door{Addr: addr, Certificates: &files})
	})
}

// gateways proves the labels of the gateways of shop.
type gateways struct{}

func (gateways) Prove(c server.Claim) (server.Proof, bool) {
	return server.Proof{Kind: ir.KindGateway, Labels: map[string]string{"istio": "ingressgateway"}}, c.Namespace == "shop"
}
