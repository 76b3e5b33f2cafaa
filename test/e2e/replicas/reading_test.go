package replicas

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/sluice-dev/sluice/test/poll"
)

// guarded is the address of metrics that the chart gives: all of the Pod's, so that who asks must prove that they may.
func guarded(port int) string { return fmt.Sprintf(":%d", port) }

// account makes an account of Sluice's namespace and gives its token.
func (s *site) account(name string) string {
	s.t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: s.system, Name: name}}
	if err := s.client.Create(s.t.Context(), account); err != nil {
		s.t.Fatal(err)
	}
	c, err := kubernetes.NewForConfig(s.config)
	if err != nil {
		s.t.Fatal(err)
	}
	token, err := c.CoreV1().ServiceAccounts(s.system).CreateToken(s.t.Context(), name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	return token.Status.Token
}

// scraper is an account that may read metrics by the chart's role, as the one of a Prometheus. The role counts after a moment.
func (s *site) scraper() (token string) {
	s.t.Helper()
	token = s.account("prometheus")
	binding := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: s.system + "-reads-metrics"},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "sluice-metrics-reader"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: s.system, Name: "prometheus"}}}
	if err := s.client.Create(s.t.Context(), binding); err != nil {
		s.t.Fatal(err)
	}
	return token
}

// showsMetricsToReaders checks by TLS, with the certificate that Sluice made for itself, that the metrics at a guarded address are
// for whom the API server grants them, as it does to one whose token is given.
func (s *site) showsMetricsToReaders(port int, may string) {
	s.t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(s.secret("sluice-xds")["ca.crt"]) {
		s.t.Fatal("there is no authority yet")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "sluice." + s.system + ".svc", MinVersion: tls.VersionTLS12}}
	s.t.Cleanup(transport.CloseIdleConnections)
	client := http.Client{Timeout: 10 * time.Second, Transport: transport}
	ask := func(token string) (int, string, error) {
		req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, fmt.Sprintf("https://127.0.0.1:%d/metrics", port), nil)
		if err != nil {
			return 0, "", err
		}
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := client.Do(req)
		if err != nil {
			return 0, "", err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
		return resp.StatusCode, string(body), err
	}
	for _, row := range []struct {
		who, token string
		want       int
	}{{"nobody", "", http.StatusUnauthorized}, {"a token of no account", "abc", http.StatusUnauthorized}, {"who may not", s.account("somebody"), http.StatusForbidden}, {"who may", may, http.StatusOK}} {
		err := poll.Until(patience, func() error { // its certificate lasts seconds, and roles count after a moment
			code, body, err := ask(row.token)
			if err != nil || code != row.want || strings.Contains(body, "sluice_leader ") != (code == http.StatusOK) {
				return errors.Join(err, fmt.Errorf("metrics are answered %d: %.200s; want %d", code, body, row.want))
			}
			return nil
		})
		if err != nil {
			s.t.Errorf("%s: %v", row.who, err)
		}
	}
}
