package app

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/sluice-dev/sluice/test/kube"
	xdsserver "github.com/sluice-dev/sluice/xds/server"
)

// crew are accounts of a namespace, by what they may do.
type crew struct {
	t     *testing.T
	admin kubernetes.Interface
	ns    string
}

// account makes an account that has the rules, and gives a token of it.
func (c crew) account(name string, rules ...rbacv1.PolicyRule) string {
	c.t.Helper()
	ctx, full := c.t.Context(), c.ns+"-"+name
	_, err := c.admin.CoreV1().ServiceAccounts(c.ns).Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	if len(rules) > 0 {
		role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: full}, Rules: rules}
		binding := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: full}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: full},
			Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: c.ns, Name: name}}}
		if _, err := c.admin.RbacV1().ClusterRoles().Create(ctx, role, metav1.CreateOptions{}); err != nil {
			c.t.Fatal(err)
		}
		if _, err := c.admin.RbacV1().ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{}); err != nil {
			c.t.Fatal(err)
		}
		c.t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			_ = c.admin.RbacV1().ClusterRoleBindings().Delete(ctx, full, metav1.DeleteOptions{}) // the namespace that they are about is gone
			_ = c.admin.RbacV1().ClusterRoles().Delete(ctx, full, metav1.DeleteOptions{})
		})
	}
	token, err := c.admin.CoreV1().ServiceAccounts(c.ns).CreateToken(ctx, name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	return token.Status.Token
}

// counted counts the requests that pass.
type counted struct {
	http.RoundTripper
	n *atomic.Int64
}

func (c counted) RoundTrip(r *http.Request) (*http.Response, error) {
	c.n.Add(1)
	return c.RoundTripper.RoundTrip(r)
}

// Who comes without a token that the API server knows gets 401, whom it does not grant the path 403; the one who asks it has
// the two rights of the chart and no other. What it says counts for a minute.
func TestReaders_onlyWhoMayGetMetrics(t *testing.T) {
	t.Parallel()
	cfg := kube.Start(t)
	admin, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	staff := crew{t, admin, kube.Namespace(t, cfg)}
	sluice := staff.account("sluice",
		rbacv1.PolicyRule{APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"tokenreviews"}, Verbs: []string{"create"}},
		rbacv1.PolicyRule{APIGroups: []string{"authorization.k8s.io"}, Resources: []string{"subjectaccessreviews"}, Verbs: []string{"create"}})
	may := staff.account("prometheus", rbacv1.PolicyRule{NonResourceURLs: []string{"/metrics"}, Verbs: []string{"get"}})
	mayNot := staff.account("somebody")

	asked, now := &atomic.Int64{}, time.Now()
	as := &rest.Config{Host: cfg.Host, BearerToken: sluice, TLSClientConfig: rest.TLSClientConfig{CAData: cfg.CAData, CAFile: cfg.CAFile}}
	as.Wrap(func(next http.RoundTripper) http.RoundTripper { return counted{next, asked} })
	client, err := rest.HTTPClientFor(as)
	if err != nil {
		t.Fatal(err)
	}
	r, err := newReaders(as, client, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	r.now = func() time.Time { return now }
	page := r.only(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "sluice_leader 1") }))
	ask := func(method, path, authorization string) *httptest.ResponseRecorder {
		req, w := httptest.NewRequestWithContext(t.Context(), method, path, nil), httptest.NewRecorder()
		if authorization != "" {
			req.Header.Set("Authorization", authorization)
		}
		page.ServeHTTP(w, req)
		return w
	}
	kube.Eventually(t, 10*time.Second, func() error { // new roles count after a moment
		clear(r.known)
		if w := ask(http.MethodGet, "/metrics", "Bearer "+may); w.Code != http.StatusOK {
			return fmt.Errorf("%d: %s", w.Code, w.Body)
		}
		return nil
	})
	for name, row := range map[string]struct {
		method, path, authorization string
		want                        int
	}{
		"who may":          {http.MethodGet, "/metrics", "bearer " + may, http.StatusOK},
		"another verb":     {http.MethodPost, "/metrics", "Bearer " + may, http.StatusForbidden},
		"another page":     {http.MethodGet, "/debug", "Bearer " + may, http.StatusForbidden},
		"who may not":      {http.MethodGet, "/metrics", "Bearer " + mayNot, http.StatusForbidden},
		"nobody":           {http.MethodGet, "/metrics", "", http.StatusUnauthorized},
		"an empty token":   {http.MethodGet, "/metrics", "Bearer ", http.StatusUnauthorized},
		"a wrong token":    {http.MethodGet, "/metrics", "Bearer " + may[:len(may)-8] + "AAAAAAAA", http.StatusUnauthorized},
		"no bearer":        {http.MethodGet, "/metrics", "Basic " + may, http.StatusUnauthorized},
		"an endless token": {http.MethodGet, "/metrics", "Bearer " + string(make([]byte, longestToken+1)), http.StatusUnauthorized},
	} {
		if w := ask(row.method, row.path, row.authorization); w.Code != row.want || (w.Body.String() == "sluice_leader 1") != (row.want == http.StatusOK) {
			t.Errorf("%s: %d %q, want %d", name, w.Code, w.Body, row.want)
		}
	}
	before := asked.Load()
	for range 10 {
		ask(http.MethodGet, "/metrics", "Bearer "+may)
		ask(http.MethodGet, "/metrics", "Bearer "+mayNot)
	}
	if n := asked.Load() - before; n != 0 {
		t.Errorf("%d questions about tokens that are known", n)
	}
	now = now.Add(knownFor)
	if ask(http.MethodGet, "/metrics", "Bearer "+may); asked.Load()-before != 2 {
		t.Errorf("%d questions about a token that was known a minute ago, want 2", asked.Load()-before)
	}
}

func TestReaders_letNobodyInWhomTheyCannotCheck(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	r, err := newReaders(&rest.Config{Host: gone.URL}, http.DefaultClient, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	req, w := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil), httptest.NewRecorder()
	req.Header.Set("Authorization", "Bearer abc")
	r.only(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { t.Error("somebody was let in") })).ServeHTTP(w, req)
	if w.Code != http.StatusServiceUnavailable || len(r.known) != 0 {
		t.Errorf("%d, and %d answers are kept; want 503 and none", w.Code, len(r.known))
	}
}

func TestReaders_forgetBeforeTheyAreTooMany(t *testing.T) {
	t.Parallel()
	now := time.Now()
	r := &readers{now: func() time.Time { return now }, known: map[[32]byte]standing{}}
	for i := range 3 * knownMost {
		r.remember([32]byte{byte(i), byte(i >> 8)}, http.StatusUnauthorized)
		if len(r.known) > knownMost {
			t.Fatalf("%d answers are kept, at most %d are to be", len(r.known), knownMost)
		}
	}
	now = now.Add(knownFor)
	if r.remember([32]byte{255, 255}, http.StatusOK); len(r.known) != 1 {
		t.Errorf("%d answers are kept, want the one that is not too old", len(r.known))
	}
}

// On this machine alone metrics are for everybody, elsewhere for whom the API server knows, unless the opposite is said.
func TestMetricsServer_isOpenOnThisMachine(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		addr string
		open bool
		want bool // guarded
	}{
		"off": {"0", false, false}, "loopback": {"127.0.0.1:8080", false, false}, "loopback by IPv6": {"[::1]:8080", false, false},
		"all addresses": {":8080", false, true}, "a Pod's": {"10.1.2.3:8080", false, true}, "all, on purpose": {":8080", true, false},
	} {
		c := Config{Listen: Listen{Metrics: row.addr}, Outside: Outside{Telemetry: Telemetry{Open: row.open}}, Proxies: Proxies{Cert: "/tls/a/tls.crt", Key: "/tls/b/tls.key"}}
		o, err := c.metricsServer(&xdsserver.Held{})
		if err != nil {
			t.Fatal(err)
		}
		if o.BindAddress != row.addr || o.SecureServing != row.want || (o.FilterProvider != nil) != row.want {
			t.Errorf("%s: at %s, TLS %t, guarded %t; want %t of both", name, o.BindAddress, o.SecureServing, o.FilterProvider != nil, row.want)
		}
		if row.want && (o.CertDir != "/tls/a/" || o.CertName != "tls.crt" || o.KeyName != "../b/tls.key") {
			t.Errorf("%s: certificate %q %q and key %q", name, o.CertDir, o.CertName, o.KeyName)
		}
	}
}
