package replicas

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/test/authority"
	"github.com/sluice-dev/sluice/test/proxy"
	"github.com/sluice-dev/sluice/xds/bootstrap"
	"github.com/sluice-dev/sluice/xds/ir"
)

// mount is a directory into which a Secret is put as into a Pod: the files are links into another directory, and a renewed
// Secret moves one link.
type mount struct {
	t     *testing.T
	dir   string
	files authority.Files
}

// mounted makes the directory with what issue puts into another.
func mounted(t *testing.T, issue func(dir string) authority.Files) *mount {
	t.Helper()
	m := &mount{t: t, dir: t.TempDir()}
	m.renew(issue)
	link := func(path string) string {
		out := filepath.Join(m.dir, filepath.Base(path))
		if err := os.Symlink(filepath.Join("..data", filepath.Base(path)), out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	m.files = authority.Files{Cert: link(m.files.Cert), Key: link(m.files.Key), CA: link(m.files.CA)}
	return m
}

// renew puts other content in place, at once as a whole.
func (m *mount) renew(issue func(dir string) authority.Files) {
	m.t.Helper()
	fresh, err := os.MkdirTemp(m.dir, "..")
	if err != nil {
		m.t.Fatal(err)
	}
	issued := issue(fresh)
	if m.files.Cert == "" {
		m.files = issued
	}
	next := filepath.Join(m.dir, "..data_tmp")
	if err := errors.Join(os.Symlink(filepath.Base(fresh), next), os.Rename(next, filepath.Join(m.dir, "..data"))); err != nil {
		m.t.Fatal(err)
	}
}

// TestRenewed_envoyTakesItsCertificateWithoutARestart renews the certificates of a gateway and of the controller before they
// end. The stream stays; after the first ones have ended, Envoy comes back with the renewed one, and who has only the first
// is refused.
func TestRenewed_envoyTakesItsCertificateWithoutARestart(t *testing.T) {
	t.Parallel()
	const life = time.Minute // all has to be there before it is over
	s := open(t, 1)
	ca := authority.New(t)
	gateway := fmt.Sprintf("spiffe://cluster.local/ns/%s/sa/gateway", s.shop)
	const reader = "spiffe://cluster.local/ns/ops/sa/reader"
	identities := filepath.Join(t.TempDir(), "identities.yaml")
	text := fmt.Sprintf("proxies:\n- {identity: %s, kind: gateway, labels: {istio: %s-1}}\n", gateway, s.shop)
	if err := os.WriteFile(identities, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	lasting := func(life time.Duration, names ...string) func(dir string) authority.Files {
		return func(dir string) authority.Files { return ca.IssueFor(t, life, dir, names...) }
	}
	server := mounted(t, lasting(life, "127.0.0.1"))
	first := ca.IssueFor(t, life, t.TempDir(), reader)
	mine, issued := mounted(t, lasting(life, gateway)), time.Now()
	secure := fmt.Sprintf("127.0.0.1:%d", proxy.FreePort(t))
	r := s.replica("sluice-0", "--xds-tls-addr", secure, "--xds-cert", server.files.Cert, "--xds-key", server.files.Key, "--xds-ca", server.files.CA,
		"--proxy-identities", identities, "--csds-readers", reader)
	h, e := s.follow(), s.renewingEdge(secure, s.shop, bootstrap.TLS(mine.files))
	s.apply(s.rollout(stays, stays))
	h.adopted()
	s.inSync("sluice-0", 1)
	asOps := []string{"proxy-status", e.node, "--xds", secure, "--cert", first.Cert, "--key", first.Key, "--ca", first.CA}
	if code, _, errs := s.sluice(asOps...); code != 0 {
		t.Errorf("before its end a certificate is refused: %d %s", code, errs)
	}

	const ends = "sluice_xds_certificate_expiry_timestamp_seconds"
	if left := time.Until(time.Unix(int64(r.metric(ends, "")), 0)); left <= 0 || left > life {
		t.Errorf("the metric says that the certificate ends in %v", left)
	}
	connections := e.counter(`^cluster\.sluice-xds;\.upstream_cx_total$`)
	server.renew(lasting(time.Hour, "127.0.0.1"))
	mine.renew(lasting(time.Hour, gateway))
	eventually(t, "Envoy to take the renewed certificate", func() error {
		if n := e.counter(`^cluster\.sluice-xds;\.client_ssl_socket_factory\.ssl_context_update_by_sds$`); n < 3 {
			return fmt.Errorf("%d updates, %d failures", n, e.counter(`key_rotation_failed`))
		}
		return nil
	})
	if left := time.Until(time.Unix(int64(r.metric(ends, "")), 0)); left < life {
		t.Errorf("after the renewal the metric says that the certificate ends in %v", left)
	}
	over := time.NewTimer(time.Until(issued.Add(life + time.Second)))
	<-over.C
	if n := e.counter(`^cluster\.sluice-xds;\.upstream_cx_total$`); n != connections || e.counter(`^control_plane\.connected_state$`) != 1 {
		t.Errorf("%d connections were made, and %d before: the stream did not stay", n, connections)
	}
	code, _, errs := s.sluice(asOps...)
	if code == 0 {
		t.Error("a certificate that has ended is taken")
	}
	t.Logf("with a certificate that has ended: exit %d, %s", code, errs)
	r.kill()
	r.start()
	s.inSync("sluice-0", 1)
	if n := e.counter(`^cluster\.sluice-xds;\.upstream_cx_total$`); n <= connections {
		t.Errorf("%d connections, and %d before the controller was killed", n, connections)
	}
}

// renewingEdge starts the first gateway, in a namespace, as one that takes renewed certificates.
func (s *site) renewingEdge(xds, namespace string, files bootstrap.TLS) *edge {
	s.t.Helper()
	e := &edge{t: s.t, site: s, node: "edge-1", port: s.gateways[0]}
	o := bootstrap.Options{Kind: ir.KindGateway, ID: e.node, Namespace: namespace, Labels: map[string]string{"istio": s.shop + "-1"},
		XDS: xds, TLS: files, Admin: "127.0.0.1:0", Renewed: s.t.TempDir()}
	for _, name := range []string{bootstrap.ProxySecret, bootstrap.AuthoritiesSecret} {
		text, err := bootstrap.Secret(o, name)
		if err == nil {
			err = os.WriteFile(filepath.Join(o.Renewed, name), text, 0o600)
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
	var err error
	if e.file, err = bootstrap.JSON(o); err != nil {
		s.t.Fatal(err)
	}
	e.start()
	return e
}
