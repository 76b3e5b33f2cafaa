package replicas

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/test/authority"
	"github.com/sluice-dev/sluice/test/kube"
	"github.com/sluice-dev/sluice/test/proxy"
	"github.com/sluice-dev/sluice/xds/bootstrap"
	"github.com/sluice-dev/sluice/xds/ir"
)

// TestIssued_aSidecarLivesOnASecretThatSluiceFills makes an empty Secret in the shop, as the chart does for xds.tls.proxies. The replica
// fills it; a sidecar that has nothing but that is served over mutual TLS, as what its certificate says it is.
func TestIssued_aSidecarLivesOnASecretThatSluiceFills(t *testing.T) {
	t.Parallel()
	s := found(t, kube.Own(t, kube.Options{Port: proxy.FreePort(t)}).Config(t), 1) // controllers of other tests would lead here, too
	s.lease = 10 * time.Second                                                     // others run beside it
	s.apply(s.mesh())
	const name, account = "reviews-proxy", "reviews"
	empty := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.shop, Name: name, Labels: map[string]string{"sluice.dev/certificates": "self"}}}
	if err := s.client.Create(t.Context(), empty); err != nil {
		t.Fatal(err)
	}
	identity := fmt.Sprintf("spiffe://cluster.local/ns/%s/sa/%s", s.shop, account)
	identities := filepath.Join(t.TempDir(), "identities.yaml")
	if err := os.WriteFile(identities, fmt.Appendf(nil, "proxies:\n- {identity: %s, kind: sidecar, labels: {app: reviews}}\n", identity), 0o600); err != nil {
		t.Fatal(err)
	}
	door := fmt.Sprintf("127.0.0.1:%d", proxy.FreePort(t))
	s.replica("sluice-0", "--xds-tls-addr", door, "--xds-secret", "sluice-xds", "--xds-names", "127.0.0.1",
		"--proxy-secret", fmt.Sprintf("%s/%s=%s", s.shop, name, account), "--proxy-identities", identities)
	s.apply(s.rollout(stays, stays))
	filled := &corev1.Secret{}
	eventually(t, "the Secret to be filled", func() error {
		if err := s.client.Get(t.Context(), client.ObjectKeyFromObject(empty), filled); err != nil {
			return err
		}
		if len(filled.Data["tls.crt"]) == 0 {
			return errors.New("it is empty")
		}
		return nil
	})
	if len(filled.Data["ca.key"]) > 0 {
		t.Error("the authority's key left Sluice's namespace")
	}
	files := unpacked(t, filled.Data)(t.TempDir())
	sidecar := s.sidecar(door, files)
	s.inSync("sluice-0", 1)
	dump := string(sidecar.ConfigDump(t))
	for _, want := range []string{"|v1|" + s.host(), "|v2|" + s.host()} {
		if !strings.Contains(dump, want) {
			t.Errorf("the sidecar has no cluster %s", want)
		}
	}

	foreign := authority.New(t).Issue(t, t.TempDir(), identity) // who says so himself is not served
	files.Cert, files.Key = foreign.Cert, foreign.Key
	other := s.sidecar(door, files)
	eventually(t, "a certificate of another authority to be refused", func() error {
		body, err := other.Get("/stats?filter=" + `^cluster\.sluice-xds;\.(upstream_cx_total|upstream_cx_destroy_remote)`)
		if err != nil || strings.Contains(string(body), "upstream_cx_destroy_remote: 0") || !strings.Contains(string(body), "upstream_cx_destroy_remote") {
			return fmt.Errorf("%s (%w)", body, err)
		}
		return nil
	})
	s.inSync("sluice-0", 1)
}

// sidecar starts an Envoy of the shop, beside a service.
func (s *site) sidecar(xds string, files authority.Files) *proxy.Proxy {
	s.t.Helper()
	file, err := bootstrap.JSON(bootstrap.Options{Kind: ir.KindSidecar, ID: fmt.Sprintf("sidecar~127.0.0.1~reviews-1.%s~cluster.local", s.shop), Namespace: s.shop, Labels: map[string]string{"app": "reviews"},
		XDS: xds, TLS: bootstrap.TLS(files), Admin: "127.0.0.1:0"})
	if err != nil {
		s.t.Fatal(err)
	}
	return proxy.Start(s.t, file)
}
