package replicas

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/test/authority"
	"github.com/sluice-dev/sluice/test/kube"
	"github.com/sluice-dev/sluice/test/poll"
	"github.com/sluice-dev/sluice/test/proxy"
	"github.com/sluice-dev/sluice/xds/bootstrap"
)

// secret is what a Secret of Sluice's namespace holds; nil: it is not there.
func (s *site) secret(name string) map[string][]byte {
	out := &corev1.Secret{}
	if err := s.client.Get(s.t.Context(), client.ObjectKey{Namespace: s.system, Name: name}, out); err != nil {
		return nil
	}
	return out.Data
}

// unpacked puts a Secret's content into files, as kubelet does.
func unpacked(t *testing.T, data map[string][]byte) func(dir string) authority.Files {
	return func(dir string) authority.Files {
		t.Helper()
		f := authority.Files{Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key"), CA: filepath.Join(dir, "ca.crt")}
		for _, path := range []string{f.Cert, f.Key, f.CA} {
			if err := os.WriteFile(path, data[filepath.Base(path)], 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return f
	}
}

// lasting waits for what takes more than one life of a certificate.
func lasting(t *testing.T, what string, cond func() error) {
	t.Helper()
	if err := poll.Until(3*patience, cond); err != nil {
		t.Fatalf("waiting for %s: %v", what, err)
	}
}

// TestIssued_replicasAndEnvoyLiveOnWhatSluiceMakes starts two replicas with no certificate anywhere, and a gateway whose files are
// those of its Secret. Certificates are renewed and taken before they end, and no stream ends for it; when the leader is killed, the
// gateway comes back to the other replica, which renews from then on with the same authority.
func TestIssued_replicasAndEnvoyLiveOnWhatSluiceMakes(t *testing.T) {
	t.Parallel()
	const life = 30 * time.Second
	s := found(t, kube.Own(t, kube.Options{Port: proxy.FreePort(t)}).Config(t), 1) // controllers of other tests would lead here, too
	s.lease = 10 * time.Second                                                     // others run beside it
	s.apply(s.mesh())
	identities := filepath.Join(t.TempDir(), "identities.yaml")
	text := fmt.Sprintf("proxies:\n- {identity: spiffe://cluster.local/ns/%s/sa/sluice-gateway, kind: gateway, labels: {istio: %s-1}}\n", s.system, s.shop)
	if err := os.WriteFile(identities, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var replicas []*replica
	var doors []string
	for i := range 2 {
		doors = append(doors, fmt.Sprintf("127.0.0.1:%d", proxy.FreePort(t)))
		replicas = append(replicas, s.replica(fmt.Sprintf("sluice-%d", i), "--xds-tls-addr", doors[i], "--xds-secret", "sluice-xds", "--xds-names", "127.0.0.1",
			"--gateway-secret", "sluice-gateway", "--certificate-life", life.String(), "--proxy-identities", identities))
	}
	eventually(t, "the Secret of the gateway", func() error {
		if s.secret("sluice-gateway") == nil {
			return fmt.Errorf("it is not there")
		}
		return nil
	})
	held, authorities, begun := s.secret("sluice-gateway"), s.secret("sluice-xds")["ca.crt"], time.Now()
	mine := mounted(t, unpacked(t, held))
	renewals := 0
	kubelet := func() {
		if now := s.secret("sluice-gateway"); !bytes.Equal(now["tls.crt"], held["tls.crt"]) {
			held, renewals = now, renewals+1
			mine.renew(unpacked(t, held))
		}
	}
	e := s.renewingEdge(front(t, doors[0], doors[1]), s.system, bootstrap.TLS(mine.files))
	s.apply(s.rollout(stays, stays))
	e.serves(0)
	connections := e.counter(`^cluster\.sluice-xds;\.upstream_cx_total$`)

	const ends = "sluice_xds_certificate_expiry_timestamp_seconds"
	lasting(t, "the first certificates to have ended and two renewals to be in use", func() error {
		kubelet()
		updates := e.counter(`^cluster\.sluice-xds;\.client_ssl_socket_factory\.ssl_context_update_by_sds$`)
		if old := time.Since(begun); old < life+time.Second || renewals < 2 || updates < 4 {
			return fmt.Errorf("after %v: %d renewals, Envoy took %d", old, renewals, updates)
		}
		return nil
	})
	for _, r := range replicas {
		if left := time.Until(time.Unix(int64(r.metric(ends, "")), 0)); left <= 0 || left > life {
			t.Errorf("%s shows a certificate that ends in %v", r.name, left)
		}
	}
	if n := e.counter(`^cluster\.sluice-xds;\.upstream_cx_total$`); n != connections || e.counter(`^control_plane\.connected_state$`) != 1 {
		t.Errorf("%d connections were made, and %d before: the stream did not stay", n, connections)
	}

	leader, other := replicas[0], replicas[1]
	if other.metric("sluice_leader", "") == 1 {
		leader, other = other, leader
	}
	leader.kill()
	before := renewals
	lasting(t, "the other replica to renew", func() error {
		kubelet()
		if renewals < before+2 { // the first may have been made by the one that is dead
			return fmt.Errorf("%d renewals, %d before", renewals, before)
		}
		return nil
	})
	s.inSync(other.name, 1)
	if !bytes.Equal(authorities, s.secret("sluice-xds")["ca.crt"]) || !bytes.Equal(authorities, held["ca.crt"]) {
		t.Error("the authority is another one")
	}
	e.serves(0)
}
