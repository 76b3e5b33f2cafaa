package gogit

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sluice-dev/sluice/egress"
	"github.com/sluice-dev/sluice/gitsync"
	"github.com/sluice-dev/sluice/test/gitserver"
	"github.com/sluice-dev/sluice/test/gitserver/gitssh"
	"github.com/sluice-dev/sluice/test/gitserver/gittest"
)

// authorityOf makes a CA and gives its PEM and a function that issues certificates.
func authorityOf(t *testing.T) (ca string, issue func(name string) (certificate, key string)) {
	t.Helper()
	root, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	top := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, top, top, &root.PublicKey, root)
	if err != nil {
		t.Fatal(err)
	}
	text := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return text("CERTIFICATE", der), func(name string) (string, string) {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotBefore: top.NotBefore, NotAfter: top.NotAfter,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
		if ip := net.ParseIP(name); ip != nil {
			leaf.IPAddresses = []net.IP{ip}
		} else {
			leaf.DNSNames = []string{name}
		}
		der, err := x509.CreateCertificate(rand.Reader, leaf, top, &key.PublicKey, root)
		if err != nil {
			t.Fatal(err)
		}
		return text("CERTIFICATE", der), text("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key))
	}
}

// secured serves a handler by TLS with a certificate for a name, and asks for one of clientCA where that is set.
func secured(t *testing.T, h http.Handler, certificate, key, clientCA string) string {
	t.Helper()
	pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(h)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if clientCA != "" {
		s.TLS.ClientAuth, s.TLS.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		s.TLS.ClientCAs.AppendCertsFromPEM([]byte(clientCA))
	}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL
}

func TestFetch_tlsByOwnAuthorityAndClientCertificate(t *testing.T) {
	t.Parallel()
	s := gittest.Start(t, gitserver.Config{})
	gittest.Push(t, gittest.Repository(t, s, "app"), "first", map[string]string{"a": "1"})
	ca, issue := authorityOf(t)
	otherCA, otherIssue := authorityOf(t)
	cert, key := issue("127.0.0.1")
	wrongCert, wrongKey := issue("elsewhere.example.com")
	mine, myKey := issue("sluice")
	theirs, theirKey := otherIssue("stranger")
	open, wrong, strict := secured(t, s, cert, key, ""), secured(t, s, wrongCert, wrongKey, ""), secured(t, s, cert, key, ca)
	for _, row := range []struct {
		name, url string
		secret    gitsync.Secret
		want      gitsync.Reason
	}{
		{"own authority", open, gitsync.Secret{CA: ca}, ""},
		{"machine's roots only", open, gitsync.Secret{}, gitsync.TLSFailed},
		{"another authority", open, gitsync.Secret{CA: otherCA}, gitsync.TLSFailed},
		{"another name", wrong, gitsync.Secret{CA: ca}, gitsync.TLSFailed},
		{"client certificate", strict, gitsync.Secret{CA: ca, Certificate: mine, Key: myKey}, ""},
		{"no client certificate", strict, gitsync.Secret{CA: ca}, gitsync.TLSFailed},
		{"a stranger's client certificate", strict, gitsync.Secret{CA: ca, Certificate: theirs, Key: theirKey}, gitsync.TLSFailed},
		{"certificate without its key", strict, gitsync.Secret{CA: ca, Certificate: mine, Key: theirKey}, gitsync.SecretInvalid},
	} {
		_, err := repositories(t, Limits{}).Fetch(t.Context(), gitsync.Ref{Remote: gitsync.Remote{URL: row.url + "/app.git", Secret: row.secret}}, "")
		if got := gitsync.ReasonOf(err, "no Failure"); got != row.want {
			t.Errorf("%s: %v (%s), want %q", row.name, err, got, row.want)
		}
	}
}

// forge is the API of a forge that records what it is asked.
type forge struct {
	key     *rsa.PublicKey
	seconds int

	mu    sync.Mutex
	asked []string // guarded by mu
}

func (f *forge) calls() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.asked...)
}

// ServeHTTP implements http.Handler.
func (f *forge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.asked = append(f.asked, r.Method+" "+r.URL.Path)
	n := len(f.asked)
	f.mu.Unlock()
	if err := f.check(r.Header.Get("Authorization")); err != nil {
		http.Error(w, "canary-answer "+err.Error(), http.StatusUnauthorized)
		return
	}
	if r.Method == http.MethodGet {
		_, _ = io.WriteString(w, `{"id": 42}`)
		return
	}
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintf(w, `{"token":"canary-token","expires_at":%q,"n":%d}`, time.Now().Add(time.Duration(f.seconds)*time.Second).UTC().Format(time.RFC3339), n)
}

func (f *forge) check(header string) error {
	part := strings.Split(strings.TrimPrefix(header, "Bearer "), ".")
	if len(part) != 3 {
		return errors.New("no token")
	}
	signature, err := base64.RawURLEncoding.DecodeString(part[2])
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(part[0] + "." + part[1]))
	if err := rsa.VerifyPKCS1v15(f.key, crypto.SHA256, sum[:], signature); err != nil {
		return err
	}
	claims, err := base64.RawURLEncoding.DecodeString(part[1])
	if err != nil {
		return err
	}
	var c struct {
		Iss      string
		Iat, Exp int64
	}
	if err := json.Unmarshal(claims, &c); err != nil {
		return err
	}
	if left := c.Exp - time.Now().Unix(); c.Iss != "7" || left > 600 || left < 500 || c.Iat > time.Now().Unix() {
		return fmt.Errorf("claims %+v", c)
	}
	return nil
}

func TestFetch_asGitHubApp(t *testing.T) {
	t.Parallel()
	s := gittest.Start(t, gitserver.Config{Username: "x-access-token", Password: "canary-token"})
	w := gittest.Repository(t, s, "shop/deploy")
	gittest.Push(t, w, "first", map[string]string{"a": "1"})
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	for _, row := range []struct {
		installation string
		seconds      int
		want         string
	}{
		{"", 3600, "GET /repos/shop/deploy/installation POST /app/installations/42/access_tokens"},
		{"43", 3600, "POST /app/installations/43/access_tokens"},
		{"", 1, ""}, // renewed for each request, since its end is near
	} {
		f := &forge{key: &key.PublicKey, seconds: row.seconds}
		api := httptest.NewServer(f)
		t.Cleanup(api.Close)
		ref := gitsync.Ref{Remote: gitsync.Remote{URL: s.URL("shop/deploy"), Secret: gitsync.Secret{App: gitsync.App{ID: "7", Key: text, Installation: row.installation, BaseURL: api.URL}}}}
		r := repositories(t, Limits{})
		fetch(t, r, ref, "")
		fetch(t, r, ref, "")
		got := strings.Join(f.calls(), " ")
		if row.want != "" && got != row.want {
			t.Errorf("installation %q: asked %s, want %s", row.installation, got, row.want)
		}
		if row.want == "" && strings.Count(got, "POST") < 3 {
			t.Errorf("a token that ends soon: asked %s, want it renewed", got)
		}
		ref.Remote.Secret.App.ID = "8"
		_, err := r.Fetch(t.Context(), ref, "")
		if reasonOf(t, err) != gitsync.AuthFailed || strings.Contains(err.Error(), "canary") {
			t.Errorf("another App: %v, want AuthFailed without the answer", err)
		}
	}
	for name, app := range map[string]gitsync.App{"no key": {ID: "7", Key: "canary"}, "plain http": {ID: "7", Key: text, BaseURL: "http://canary.example.com"}} {
		_, err := repositories(t, Limits{}).Fetch(t.Context(), gitsync.Ref{Remote: gitsync.Remote{URL: s.URL("shop/deploy"), Secret: gitsync.Secret{App: app}}}, "")
		if reasonOf(t, err) != gitsync.SecretInvalid || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v, want SecretInvalid that names keys only", name, err)
		}
	}
}

// connectProxy is an HTTP proxy that demands credentials and counts.
type connectProxy struct{ tunnels atomic.Int64 }

// ServeHTTP implements http.Handler.
func (p *connectProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte("ana:canary-proxy"))
	if r.Method != http.MethodConnect || r.Header.Get("Proxy-Authorization") != want {
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	}
	out, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", r.Host)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	in, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		out.Close()
		return
	}
	p.tunnels.Add(1)
	_, _ = io.WriteString(in, "HTTP/1.1 200 OK\r\n\r\n")
	join(in, out)
}

// join copies both ways until either side ends.
func join(a, b net.Conn) {
	var both sync.WaitGroup
	one := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		a.Close()
		b.Close()
	}
	both.Go(func() { one(a, b) })
	one(b, a)
	both.Wait()
}

// socksProxy is a SOCKS5 proxy that demands the user ana.
func socksProxy(t *testing.T) (string, *atomic.Int64) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	count := &atomic.Int64{}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if out := socksHello(conn); out != nil {
					count.Add(1)
					join(conn, out)
				}
			}()
		}
	}()
	return l.Addr().String(), count
}

// socksHello reads the greeting, user and request for an IPv4 address, and connects.
func socksHello(conn net.Conn) net.Conn {
	read := func(n int) []byte {
		b := make([]byte, n)
		_, _ = io.ReadFull(conn, b)
		return b
	}
	read(int(read(2)[1]))
	_, _ = conn.Write([]byte{5, 2})
	user := string(read(int(read(2)[1])))
	password := string(read(int(read(1)[0])))
	if user != "ana" || password != "canary-proxy" {
		_, _ = conn.Write([]byte{1, 1})
		return nil
	}
	_, _ = conn.Write([]byte{1, 0})
	head := read(4)
	if head[3] != 1 {
		return nil
	}
	address, port := net.IP(read(4)), read(2)
	out, err := net.Dial("tcp", net.JoinHostPort(address.String(), strconv.Itoa(int(port[0])<<8|int(port[1]))))
	if err != nil {
		return nil
	}
	_, _ = conn.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	return out
}

func TestFetch_throughProxies(t *testing.T) {
	t.Parallel()
	ca, issue := authorityOf(t)
	cert, key := issue("127.0.0.1")
	p := &connectProxy{}
	plain := httptest.NewServer(p)
	t.Cleanup(plain.Close)
	safe := secured(t, p, cert, key, "")
	socks, passed := socksProxy(t)
	host, user := edKey(t), edKey(t)
	w := newSSHWorld(t, gitssh.Start, gitssh.Config{HostKeys: [][]byte{host.pem}, Authorized: []ssh.PublicKey{user.signer.PublicKey()}})
	gittest.Push(t, w.tree, "first", map[string]string{"a": "1"})
	overTLS := secured(t, w.git, cert, key, "")
	remotes := map[string]gitsync.Remote{"http": {URL: w.git.URL("app")}, "https": {URL: overTLS + "/app.git", Secret: gitsync.Secret{CA: ca}},
		"ssh": {URL: w.server.URL(w.dir), Secret: gitsync.Secret{Identity: string(user.pem), KnownHosts: host.line(w.server.Addr)}}}
	for name, remote := range remotes {
		for _, proxy := range []gitsync.Proxy{{Address: plain.URL}, {Address: safe, CA: ca}, {Address: "socks5://" + socks}} {
			before := p.tunnels.Load() + passed.Load()
			proxy.Username, proxy.Password = "ana", "canary-proxy"
			remote.Proxy = proxy
			fetch(t, repositories(t, Limits{}), gitsync.Ref{Remote: remote}, "")
			if p.tunnels.Load()+passed.Load() == before {
				t.Errorf("%s through %s went elsewhere", name, proxy.Address)
			}
			remote.Proxy.Password = "canary-wrong"
			_, err := repositories(t, Limits{}).Fetch(t.Context(), gitsync.Ref{Remote: remote}, "")
			if err == nil || strings.Contains(err.Error(), "canary") || (!strings.HasPrefix(proxy.Address, "socks5") && reasonOf(t, err) != gitsync.AuthFailed) {
				t.Errorf("%s through %s with another password: %v, want AuthFailed without it", name, proxy.Address, err)
			}
		}
	}
}

func TestFetch_deniedTargetsAreNotAskedOfAProxy(t *testing.T) {
	t.Parallel()
	p := &connectProxy{}
	plain := httptest.NewServer(p)
	t.Cleanup(plain.Close)
	guard := egress.New(egress.Policy{AllowLoopback: true})
	r, err := New(Config{Dir: t.TempDir(), Now: time.Now, Dial: guard.DialContext, Vet: guard.Vet})
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Fetch(t.Context(), gitsync.Ref{Remote: gitsync.Remote{URL: "https://169.254.169.254/r", Proxy: gitsync.Proxy{Address: plain.URL}}}, "")
	if reasonOf(t, err) != gitsync.AddressRefused || p.tunnels.Load() != 0 {
		t.Errorf("a denied target: %v after %d tunnels, want AddressRefused", err, p.tunnels.Load())
	}
}

// TestOpen_everyCredentialParts changes each part of the credentials alone: each must give a handle of its own.
func TestOpen_everyCredentialParts(t *testing.T) {
	t.Parallel()
	base := strings.Join(credentials(gitsync.Remote{}), "|")
	seen := map[string]bool{base: true}
	var visit func(v reflect.Value, remote *gitsync.Remote)
	visit = func(v reflect.Value, remote *gitsync.Remote) {
		for i := range v.NumField() {
			f := v.Field(i)
			if f.Kind() == reflect.Struct {
				visit(f, remote)
				continue
			}
			f.SetString("x")
			if text := strings.Join(credentials(*remote), "|"); seen[text] {
				t.Errorf("%s of %s is not told apart", v.Type().Field(i).Name, v.Type())
			} else {
				seen[text] = true
			}
			f.SetString("")
		}
	}
	remote := &gitsync.Remote{}
	visit(reflect.ValueOf(&remote.Secret).Elem(), remote)
	visit(reflect.ValueOf(&remote.Proxy).Elem(), remote)
}
