package prom_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/analysis/prom"
	"github.com/sluice-dev/sluice/egress"
)

// secret is what every hidden text of these tests holds, so that it can be looked for.
const secret = "CANARY-7f3a"

// vault holds Secrets and a clock.
type vault struct {
	mu    sync.Mutex // guards all
	now   time.Time
	data  map[string]map[string][]byte // by namespace/name
	err   error
	reads int
}

func (v *vault) set(change func(*vault)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	change(v)
}

func (v *vault) clock() time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.now
}

func (v *vault) read(_ context.Context, namespace, name string) (map[string][]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.reads++
	if v.err != nil {
		return nil, v.err
	}
	data, known := v.data[namespace+"/"+name]
	if !known {
		return nil, errors.New("there is no such Secret")
	}
	return data, nil
}

func newVault() *vault {
	return &vault{now: time.Unix(1_000_000, 0), data: map[string]map[string][]byte{}}
}

func servers(t *testing.T, v *vault, named map[string]prom.Reference) *prom.Servers {
	t.Helper()
	s, err := prom.NewServers(prom.ServersConfig{
		Named: named, Namespace: "sluice-system", Secrets: v.read, Guard: egress.New(egress.Policy{AllowLoopback: true}), Now: v.clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// web is a server that keeps the headers of the last query and answers as it is told.
type web struct {
	*httptest.Server
	mu     sync.Mutex // guards header
	header http.Header
}

func newWeb(t *testing.T, handler http.HandlerFunc) *web {
	w := &web{}
	w.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.header = r.Header.Clone()
		w.mu.Unlock()
		handler(rw, r)
	}))
	t.Cleanup(w.Close)
	return w
}

func (w *web) got(name string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.header.Get(name)
}

func empty() http.HandlerFunc { return answer(200, success()) }

func ask(t *testing.T, s *prom.Servers, ref prom.Reference) error {
	t.Helper()
	q, err := s.Querier("team-a", ref)
	if err != nil {
		return err
	}
	_, err = q.Series(t.Context(), query())
	return err
}

func reason(err error) analysis.Reason {
	if f, ok := errors.AsType[*prom.Failure](err); ok {
		return f.Reason
	}
	return ""
}

func TestServers_sendWhatTheSecretHolds(t *testing.T) {
	w := newWeb(t, empty())
	w.Start()
	for name, row := range map[string]struct {
		data    map[string][]byte
		headers []prom.HeaderReference
		header  string
		want    string
	}{
		"token":  {map[string][]byte{"token": []byte(secret + "\n")}, nil, "Authorization", "Bearer " + secret},
		"basic":  {map[string][]byte{"username": []byte("u"), "password": []byte(secret)}, nil, "Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("u:"+secret))},
		"header": {map[string][]byte{"apiKey": []byte(secret)}, []prom.HeaderReference{{Name: "x-api-key", SecretKey: "apiKey"}}, "X-Api-Key", secret},
		"value":  {map[string][]byte{"token": []byte(secret)}, []prom.HeaderReference{{Name: "X-Scope-OrgID", Value: "one"}}, "X-Scope-OrgID", "one"},
	} {
		v := newVault()
		v.data["team-a/metrics"] = row.data
		v.data["sluice-system/metrics"] = row.data
		ref := prom.Reference{URL: w.URL, Secret: "metrics", Headers: row.headers}
		if err := ask(t, servers(t, v, nil), ref); err != nil || w.got(row.header) != row.want {
			t.Errorf("%s: %v; %s is %q, want %q", name, err, row.header, w.got(row.header), row.want)
		}
		if err := ask(t, servers(t, v, map[string]prom.Reference{"other": ref}), prom.Reference{Name: "other"}); err != nil || w.got(row.header) != row.want {
			t.Errorf("%s, by name: %v; %s is %q, want %q", name, err, row.header, w.got(row.header), row.want)
		}
	}
}

func TestServers_refuseSecretsThatCannotBeUsed(t *testing.T) {
	w := newWeb(t, empty())
	w.Start()
	for name, row := range map[string]struct {
		data    map[string]string
		headers []prom.HeaderReference
	}{
		"token with basic":      {map[string]string{"token": secret, "username": "u", "password": secret}, nil},
		"no password":           {map[string]string{"username": "u"}, nil},
		"no username":           {map[string]string{"password": secret}, nil},
		"colon":                 {map[string]string{"username": "u:v", "password": secret}, nil},
		"line break":            {map[string]string{"token": secret + "\nX-Evil: 1"}, nil},
		"nothing of use":        {map[string]string{"other": secret}, nil},
		"plain with authority":  {map[string]string{"token": secret, "ca.crt": secret}, nil},
		"no such key":           {map[string]string{"token": secret}, []prom.HeaderReference{{Name: "X-A", SecretKey: "a"}}},
		"two authorizations":    {map[string]string{"token": secret, "a": secret}, []prom.HeaderReference{{Name: "authorization", SecretKey: "a"}}},
		"line break in a value": {map[string]string{"a": secret + "\r\nX: y"}, []prom.HeaderReference{{Name: "X-A", SecretKey: "a"}}},
	} {
		v := newVault()
		v.data["team-a/metrics"] = map[string][]byte{}
		for key, value := range row.data {
			v.data["team-a/metrics"][key] = []byte(value)
		}
		err := ask(t, servers(t, v, nil), prom.Reference{URL: w.URL, Secret: "metrics", Headers: row.headers})
		if reason(err) != analysis.Unauthorized || strings.Contains(err.Error(), secret) || !strings.Contains(err.Error(), "team-a/metrics") {
			t.Errorf("%s: %v, want Unauthorized that names the Secret and shows nothing of it", name, err)
		}
	}
	if w.header != nil {
		t.Errorf("the server was asked with %v", w.header)
	}
}

func TestServers_refuseReferencesThatCannotBeUsed(t *testing.T) {
	s := servers(t, newVault(), map[string]prom.Reference{"one": {URL: "http://127.0.0.1:1"}})
	for name, ref := range map[string]prom.Reference{
		"unknown name":     {Name: "two"},
		"name and URL":     {Name: "one", URL: "http://x"},
		"user":             {URL: "http://u:" + secret + "@x"},
		"query":            {URL: "http://x?token=" + secret},
		"dialect":          {URL: "http://x", Dialect: "linkerd"},
		"server name":      {URL: "http://x", ServerName: "y"},
		"host header":      {URL: "http://x", Headers: []prom.HeaderReference{{Name: "host", Value: "y"}}},
		"no Secret":        {URL: "http://x", Headers: []prom.HeaderReference{{Name: "X-A", SecretKey: "y"}}},
		"no value":         {URL: "http://x", Headers: []prom.HeaderReference{{Name: "X-A"}}},
		"twice":            {URL: "http://x", Headers: []prom.HeaderReference{{Name: "X-A", Value: "1"}, {Name: "x-a", Value: "2"}}},
		"name of a header": {URL: "http://x", Headers: []prom.HeaderReference{{Name: "X A", Value: "1"}}},
	} {
		if _, err := s.Querier("team-a", ref); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.Querier("team-a", prom.Reference{Name: "two"}); err == nil || !strings.Contains(err.Error(), "there is one") {
		t.Errorf("an unknown name: %v, want the known ones", err)
	}
	if err := ask(t, s, prom.Reference{}); reason(err) != analysis.NotConfigured || !strings.Contains(err.Error(), "--prometheus=URL") {
		t.Errorf("no default: %v", err)
	}
	for name, ref := range map[string]prom.Reference{"no URL": {}, "another name": {Name: "one"}} {
		v := newVault()
		if _, err := prom.NewServers(prom.ServersConfig{Named: map[string]prom.Reference{"x": ref}, Secrets: v.read, Guard: egress.New(egress.Policy{}), Now: v.clock}); err == nil {
			t.Errorf("named, %s: accepted", name)
		}
	}
}

func TestServers_useNoSecretThatIsOlderThanAMinute(t *testing.T) {
	w := newWeb(t, empty())
	w.Start()
	v := newVault()
	v.data["team-a/metrics"] = map[string][]byte{"token": []byte("old")}
	s := servers(t, v, nil)
	ref := prom.Reference{URL: w.URL, Secret: "metrics"}
	at := func(after time.Duration, want string, change func(*vault)) {
		t.Helper()
		v.set(func(v *vault) { v.now = time.Unix(1_000_000, 0).Add(after); change(v) })
		err := ask(t, s, ref)
		if want == "" && reason(err) == analysis.Unauthorized {
			return
		}
		if err != nil || w.got("Authorization") != "Bearer "+want {
			t.Errorf("after %v: %v, sent %q, want %q", after, err, w.got("Authorization"), want)
		}
	}
	none := func(*vault) {}
	at(0, "old", none)
	at(29*time.Second, "old", func(v *vault) { v.data["team-a/metrics"] = map[string][]byte{"token": []byte("new")} })
	at(31*time.Second, "new", none)
	if v.reads != 2 {
		t.Errorf("read %d times, want twice", v.reads)
	}
	at(62*time.Second, "new", func(v *vault) { v.err = errors.New("the API server does not give it") })
	at(73*time.Second, "new", none)
	at(78*time.Second, "", none)
	reads := v.reads
	at(79*time.Second, "", none)
	if v.reads != reads {
		t.Error("a Secret that cannot be read is asked for at each query")
	}
	at(84*time.Second, "new", func(v *vault) { v.err = nil })
	at(120*time.Second, "new", func(v *vault) { delete(v.data, "team-a/metrics") })
	at(130*time.Second, "", none)
}

func TestServers_showNoSecret(t *testing.T) {
	basic := base64.StdEncoding.EncodeToString([]byte("u:" + secret + "/+ &"))
	v := newVault()
	v.data["team-a/token"] = map[string][]byte{"token": []byte(secret)}
	v.data["team-a/basic"] = map[string][]byte{"username": []byte("u"), "password": []byte(secret + "/+ &")}
	v.data["team-a/header"] = map[string][]byte{"key": []byte(secret)}
	s := servers(t, v, nil)
	for name, handler := range map[string]http.HandlerFunc{
		"error":     answer(400, `{"status":"error","errorType":"bad_data","error":"no access with `+secret+` or `+basic+` or `+url.QueryEscape(secret+"/+ &")+`"}`),
		"type":      answer(400, `{"status":"error","errorType":"`+secret+`","error":"x"}`),
		"warning":   answer(200, `{"status":"success","warnings":["`+secret+`"],"data":{"resultType":"matrix","result":[]}}`),
		"status":    answer(200, `{"status":"`+secret+`"}`),
		"wrongtype": answer(200, `{"status":"success","data":{"resultType":"`+secret+`","result":[]}}`),
		"cut":       answer(400, `{"status":"error","errorType":"x","error":"`+strings.Repeat("x", 230)+secret+`"}`),
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://"+secret+"/", http.StatusFound)
		},
		"label": answer(200, success(series(secret, canary, "", "", `[1005,"5"]`))),
		"echo": func(w http.ResponseWriter, r *http.Request) {
			answer(400, fmt.Sprintf(`{"status":"error","errorType":"x","error":%q}`, fmt.Sprint(r.Header)))(w, r)
		},
	} {
		w := newWeb(t, handler)
		w.Start()
		for _, ref := range []prom.Reference{
			{URL: w.URL, Secret: "token"}, {URL: w.URL, Secret: "basic"},
			{URL: w.URL, Secret: "header", Headers: []prom.HeaderReference{{Name: "X-Key", SecretKey: "key"}}},
		} {
			err := ask(t, s, ref)
			if reason(err) == "" {
				t.Errorf("%s: %v, want a failure", name, err)
				continue
			}
			whole := v.data["team-a/"+ref.Secret]
			for _, hidden := range [][]byte{whole["token"], whole["password"], whole["key"]} {
				if len(hidden) > 0 && strings.Contains(err.Error(), string(hidden)) || ref.Secret == "basic" && strings.Contains(err.Error(), basic) {
					t.Errorf("%s with %s: %v", name, ref.Secret, err)
				}
			}
		}
		w.Close()
	}
}

func TestServers_dialThroughTheGuard(t *testing.T) {
	w := newWeb(t, empty())
	w.Start()
	v := newVault()
	s, err := prom.NewServers(prom.ServersConfig{Secrets: v.read, Guard: egress.New(egress.Policy{}), Now: v.clock})
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{w.URL, "http://169.254.169.254/latest", "http://[::1]:1", "http://[::ffff:169.254.169.254]", "http://0.0.0.0:9090"} {
		if err := ask(t, s, prom.Reference{URL: address}); reason(err) != analysis.Unreachable || !strings.Contains(err.Error(), "not allowed") {
			t.Errorf("%s: %v, want refused", address, err)
		}
	}
	if w.header != nil {
		t.Error("the machine itself was asked")
	}
}

func TestServers_followNoRedirect(t *testing.T) {
	target := newWeb(t, empty())
	target.Start()
	w := newWeb(t, func(rw http.ResponseWriter, r *http.Request) {
		http.Redirect(rw, r, target.URL, http.StatusTemporaryRedirect)
	})
	w.Start()
	v := newVault()
	v.data["team-a/metrics"] = map[string][]byte{"token": []byte(secret)}
	if err := ask(t, servers(t, v, nil), prom.Reference{URL: w.URL, Secret: "metrics"}); reason(err) != analysis.HTTPStatus || target.header != nil {
		t.Errorf("%v; the other server was asked with %v", err, target.header)
	}
}

// certificate is a self-signed certificate for a name, and its key.
func certificate(t *testing.T, name string) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	bytes, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: bytes})
}

func TestServers_verifyAndShowCertificates(t *testing.T) {
	serverCert, serverKey := certificate(t, "prometheus.internal")
	clientCert, clientKey := certificate(t, "sluice")
	pair, err := tls.X509KeyPair(serverCert, serverKey)
	if err != nil {
		t.Fatal(err)
	}
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(clientCert)
	start := func(version uint16, auth tls.ClientAuthType) *web {
		w := newWeb(t, empty())
		w.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: auth, ClientCAs: clients, MaxVersion: version}
		w.StartTLS()
		return w
	}
	plain, mutual, old := start(0, tls.NoClientCert), start(0, tls.RequireAndVerifyClientCert), start(tls.VersionTLS11, tls.NoClientCert)
	full := map[string][]byte{"ca.crt": serverCert, "tls.crt": clientCert, "tls.key": clientKey}
	for name, row := range map[string]struct {
		web        *web
		data       map[string][]byte
		serverName string
		want       analysis.Reason // empty: an answer
	}{
		"trusted":           {plain, map[string][]byte{"ca.crt": serverCert}, "prometheus.internal", ""},
		"mutual":            {mutual, full, "prometheus.internal", ""},
		"no certificate":    {mutual, map[string][]byte{"ca.crt": serverCert}, "prometheus.internal", analysis.Unreachable},
		"unknown authority": {plain, map[string][]byte{"ca.crt": clientCert}, "prometheus.internal", analysis.Unreachable},
		"machine's roots":   {plain, map[string][]byte{"token": []byte(secret)}, "prometheus.internal", analysis.Unreachable},
		"another name":      {plain, map[string][]byte{"ca.crt": serverCert}, "", analysis.Unreachable},
		"old version":       {old, map[string][]byte{"ca.crt": serverCert}, "prometheus.internal", analysis.Unreachable},
		"key missing":       {plain, map[string][]byte{"ca.crt": serverCert, "tls.crt": clientCert}, "prometheus.internal", analysis.Unauthorized},
		"wrong key":         {plain, map[string][]byte{"tls.crt": clientCert, "tls.key": serverKey}, "prometheus.internal", analysis.Unauthorized},
		"no PEM":            {plain, map[string][]byte{"ca.crt": []byte(secret)}, "prometheus.internal", analysis.Unauthorized},
	} {
		v := newVault()
		v.data["team-a/metrics"] = row.data
		err := ask(t, servers(t, v, nil), prom.Reference{URL: row.web.URL, Secret: "metrics", ServerName: row.serverName})
		if reason(err) != row.want || (row.want == "") != (err == nil) {
			t.Errorf("%s: %v, want %q", name, err, row.want)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%s shows the Secret: %v", name, err)
		}
	}
}

func TestSeries_ofIstioProxiesAndOtherTargets(t *testing.T) {
	var asked string
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		asked = r.PostForm.Get("query")
		one := func(name, cluster, class string) string {
			return fmt.Sprintf(`{"metric":{"__name__":%q,"cluster_name":%q,"job":"j","pod":"p-1"%s},"values":[[1005,"5"]]}`, name, cluster, class)
		}
		answer(200, success(one(completed, canary, ""), one("envoy_cluster_upstream_rq", canary, `,"response_code_class":"5xx"`)))(w, r)
	}))
	t.Cleanup(web.Close)
	server, err := prom.New(prom.Config{URL: web.URL, Dialect: prom.Istio, TargetLabels: []string{"pod"}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := server.Series(t.Context(), query())
	if err != nil || len(got) != 2 || got[0].Target != `"p-1"` {
		t.Fatalf("got %+v, %v", got, err)
	}
	for _, want := range []string{`__name__=~"envoy_cluster_upstream_rq_completed|envoy_cluster_upstream_rq"`, `cluster_name=~"outbound`,
		`response_code_class=~"|5xx"`, `response_code=""`} {
		if !strings.Contains(asked, want) {
			t.Errorf("asked %s, want %s in it", asked, want)
		}
	}
}

func timeout(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), d)
}

func serverOf(t *testing.T, handler http.Handler) string {
	t.Helper()
	w := httptest.NewServer(handler)
	t.Cleanup(w.Close)
	return w.URL
}
