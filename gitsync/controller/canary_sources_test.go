package controller

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/gitsync/hook"
	"github.com/sluice-dev/sluice/test/authority"
	"github.com/sluice-dev/sluice/test/gitserver/gitssh"
	"github.com/sluice-dev/sluice/test/gitserver/signing"
	"github.com/sluice-dev/sluice/test/kube"
)

// confided is one Source with a Secret, and the reason that it must come to.
type confided struct {
	name, url, want string
	secret          map[string]string
	change          func(*v1alpha1.SourceSpec) // nil: the Secret is the one of spec.secretRef
	writes          bool                       // the last good commit is pushed, or refused
}

// teller makes Sources whose servers and proxies try to have their secrets told.
type teller struct {
	*world
	*canaries
	rows []confided
}

func (f *teller) add(rows ...confided) { f.rows = append(f.rows, rows...) }

// behind serves the repositories to those who prove themselves, and gives the address.
func (f *teller) behind(proof func(header string) bool) string {
	s := httptest.NewServer(gate{f.git, proof})
	f.Cleanup(s.Close)
	return s.URL
}

// wants gives the reason that each way of a gate comes to.
func wants() map[string]string {
	return map[string]string{"refuse": "AuthFailed", "fail": "Unreachable", "packet": "Unreachable", "kind": "Unreachable", "redirect": "RedirectRefused",
		"broken": "Unreachable", "band": "Unreachable", "list": "BuildFailed"}
}

// everyWay adds a Source that is let in, and one for each way in which a server may repeat what it was told.
func (f *teller) everyWay(kind, base string, secret map[string]string) {
	f.add(confided{name: kind, url: base + "/app.git", secret: secret, want: v1alpha1.ReasonApplied})
	for way, want := range wants() {
		f.add(confided{name: kind + "-" + way, url: base + "/" + way + "/app.git", secret: secret, want: want})
	}
}

func (f *teller) overHTTP() {
	password, bearer := f.secret("basic password"), f.secret("bearer token")
	basic := f.behind(func(header string) bool {
		_, got, _ := (&http.Request{Header: http.Header{"Authorization": {header}}}).BasicAuth()
		return got == password
	})
	f.everyWay("basic", basic, f.pair("ana", password))
	f.add(confided{name: "basic-wrong", url: basic + "/app.git", secret: f.pair("ana", f.secret("wrong password")), want: "AuthFailed"},
		confided{name: "basic-half", url: basic + "/app.git", secret: map[string]string{"password": password}, want: "SecretInvalid"},
		confided{name: "basic-both", url: basic + "/app.git", secret: map[string]string{"username": "ana", "password": password, "bearerToken": bearer}, want: "SecretInvalid"})
	f.everyWay("bearer", f.behind(func(header string) bool { return header == "Bearer "+bearer }), map[string]string{"bearerToken": bearer})
}

func (f *teller) asApp() {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		f.Fatal(err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	f.guard("key of the App", text)
	token := f.secret("token of the App")
	f.pair("x-access-token", token)
	secret := func(way string) map[string]string {
		s := httptest.NewServer(parrot{token, way, func(assertion string) { f.guard("assertion of the App", assertion) }})
		f.Cleanup(s.Close)
		return map[string]string{"githubAppID": "7", "githubAppPrivateKey": text, "githubAppInstallationID": "42", "githubAppBaseURL": s.URL}
	}
	base := f.behind(func(header string) bool {
		_, got, _ := (&http.Request{Header: http.Header{"Authorization": {header}}}).BasicAuth()
		return got == token
	})
	f.everyWay("app", base, secret(""))
	for way, want := range map[string]string{"refuse": "AuthFailed", "broken": "Unreachable", "text": "Unreachable"} {
		f.add(confided{name: "app-api-" + way, url: base + "/app.git", secret: secret(way), want: want})
	}
	garbage := secret("")
	garbage["githubAppPrivateKey"] = f.secret("garbage for the App's key")
	f.add(confided{name: "app-garbage", url: base + "/app.git", secret: garbage, want: "SecretInvalid"})
}

func (f *teller) read(file string) string {
	raw, err := os.ReadFile(file)
	if err != nil {
		f.Fatal(err)
	}
	return string(raw)
}

func (f *teller) overTLS() {
	ours, theirs := authority.New(f.TB), authority.New(f.TB)
	server, known, stranger := ours.Issue(f.TB, f.TempDir(), "127.0.0.1"), ours.Issue(f.TB, f.TempDir(), "sluice"), theirs.Issue(f.TB, f.TempDir(), "stranger")
	pair, err := tls.LoadX509KeyPair(server.Cert, server.Key)
	if err != nil {
		f.Fatal(err)
	}
	s := httptest.NewUnstartedServer(gate{f.git, func(string) bool { return true }})
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: x509.NewCertPool()}
	s.TLS.ClientCAs.AppendCertsFromPEM([]byte(f.read(server.CA)))
	s.StartTLS()
	f.Cleanup(s.Close)
	f.guard("client key", f.read(known.Key))
	f.guard("stranger's client key", f.read(stranger.Key))
	secret := func(ca, cert, key string) map[string]string {
		return map[string]string{"ca.crt": ca, "tls.crt": cert, "tls.key": key}
	}
	ca, cert, url := f.read(server.CA), f.read(known.Cert), s.URL+"/app.git"
	f.add(confided{name: "tls", url: url, secret: secret(ca, cert, f.read(known.Key)), want: v1alpha1.ReasonApplied},
		confided{name: "tls-stranger", url: url, secret: secret(ca, f.read(stranger.Cert), f.read(stranger.Key)), want: "TLSFailed"},
		confided{name: "tls-swapped", url: url, secret: secret(ca, f.read(known.Key), cert), want: "SecretInvalid"},
		confided{name: "tls-garbage", url: url, secret: secret(ca, cert, f.secret("garbage for tls.key")), want: "SecretInvalid"},
		confided{name: "ca-other", url: url, secret: secret(f.read(stranger.CA), cert, f.read(known.Key)), want: "TLSFailed"},
		confided{name: "ca-garbage", url: url, secret: secret(f.secret("garbage for ca.crt"), cert, f.read(known.Key)), want: "SecretInvalid"})
}

// sshKey makes a key pair; the private half is guarded.
func (f *teller) sshKey(passphrase string) (private string, signer ssh.Signer) {
	_, raw, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(raw, "")
	if passphrase != "" {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(raw, "", []byte(passphrase))
	}
	if err != nil {
		f.Fatal(err)
	}
	if signer, err = ssh.NewSignerFromKey(raw); err != nil {
		f.Fatal(err)
	}
	private = string(pem.EncodeToMemory(block))
	f.guard("private key for SSH", private)
	return private, signer
}

func (f *teller) overSSH() {
	phrase := f.secret("passphrase")
	host, hostSigner := f.sshKey("")
	locked, signer := f.sshKey(phrase)
	stranger, _ := f.sshKey("")
	s, err := gitssh.Start(f.Context(), gitssh.Config{Dir: f.TempDir(), HostKeys: [][]byte{[]byte(host)}, Authorized: []ssh.PublicKey{signer.PublicKey()}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(s.Close)
	dir, err := f.git.Git(f.Context(), "app", "rev-parse", "--absolute-git-dir")
	if err != nil {
		f.Fatal(err)
	}
	known := knownHost(s.Addr, hostSigner)
	secret := func(identity, password, hosts string) map[string]string {
		return map[string]string{"identity": identity, "password": password, "known_hosts": hosts}
	}
	f.add(confided{name: "ssh", url: s.URL(dir), secret: secret(locked, phrase, known), want: v1alpha1.ReasonApplied},
		confided{name: "ssh-nothing", url: s.URL(dir + "x"), secret: secret(locked, phrase, known), want: "Unreachable"},
		confided{name: "ssh-stranger", url: s.URL(dir), secret: secret(stranger, "", known), want: "AuthFailed"},
		confided{name: "ssh-phrase", url: s.URL(dir), secret: secret(locked, f.secret("wrong passphrase"), known), want: "SecretInvalid"},
		confided{name: "ssh-garbage", url: s.URL(dir), secret: secret(f.secret("garbage for identity"), phrase, known), want: "SecretInvalid"},
		confided{name: "ssh-hosts", url: s.URL(dir), secret: secret(locked, phrase, f.secret("garbage for known_hosts")), want: "SecretInvalid"},
		confided{name: "ssh-marker", url: s.URL(dir), secret: secret(locked, phrase, "@"+f.secret("marker of known_hosts")+" "+known), want: "SecretInvalid"},
		confided{name: "ssh-mismatch", url: s.URL(dir), secret: secret(locked, phrase, knownHost(s.Addr, signer)), want: "HostKeyMismatch"})
}

func knownHost(address string, key ssh.Signer) string {
	host, port, _ := bytes.Cut([]byte(address), []byte(":"))
	return fmt.Sprintf("[%s]:%s %s", host, port, ssh.MarshalAuthorizedKey(key.PublicKey()))
}

func (f *teller) throughProxies() {
	password := f.secret("proxy password")
	s := httptest.NewServer(leakyProxy{password})
	f.Cleanup(s.Close)
	row := func(name, want string, secret map[string]string) confided {
		return confided{name: name, url: f.git.URL("app"), want: want, secret: secret, change: func(s *v1alpha1.SourceSpec) {
			s.ProxySecretRef = &v1alpha1.LocalRef{Name: name}
		}}
	}
	with := func(address string, pair map[string]string) map[string]string {
		pair["address"] = address
		return pair
	}
	inside := f.secret("password in the proxy's address")
	f.add(row("proxy", v1alpha1.ReasonApplied, with(s.URL, f.pair("ana", password))),
		row("proxy-wrong", "Unreachable", with(s.URL, f.pair("ana", f.secret("wrong proxy password")))),
		row("proxy-broken", "Unreachable", with(s.URL, f.pair("ana", "BROKEN"+f.secret("another wrong proxy password")))),
		row("proxy-inside", "SecretInvalid", map[string]string{"address": "http://ana:" + inside + "@127.0.0.1:1"}),
		row("proxy-garbage", "SecretInvalid", map[string]string{"address": ":" + inside}))
}

// writing adds Sources that are read by anybody and written to with a secret, at servers that repeat it in every place.
func (f *teller) writing() {
	password := f.secret("write password")
	secret := f.pair("writer", password)
	front := httptest.NewServer(writers{gate{f.git, func(header string) bool {
		_, got, _ := (&http.Request{Header: http.Header{"Authorization": {header}}}).BasicAuth()
		return got == password
	}}})
	f.Cleanup(front.Close)
	row := func(name, way string, secret map[string]string) {
		f.add(confided{name: name, url: front.URL + way + "/app.git", want: v1alpha1.ReasonApplied, secret: secret, writes: true, change: func(s *v1alpha1.SourceSpec) {
			s.WriteBack = &v1alpha1.SourceWriteBack{SecretRef: v1alpha1.LocalRef{Name: name}}
		}})
	}
	row("write", "", secret)
	for way := range wants() {
		row("write-"+way, "/"+way, secret)
	}
	row("write-wrong", "", f.pair("writer", f.secret("wrong write password")))
	row("write-half", "", map[string]string{"password": password})
	row("write-garbage", "", map[string]string{"identity": f.secret("garbage for a write key"), "known_hosts": "x"})
}

func (f *teller) verified(key signing.Key) {
	row := func(name, want string, keys map[string]string) confided {
		return confided{name: name, url: f.git.URL("app"), want: want, secret: keys, change: func(s *v1alpha1.SourceSpec) {
			s.Verify = &v1alpha1.SourceVerify{Mode: v1alpha1.VerifyHead, SecretRef: v1alpha1.LocalRef{Name: name}}
		}}
	}
	garbage := f.secret("garbage for keys")
	other := signing.SSH(f.TB, "ed25519")
	f.add(row("verify", v1alpha1.ReasonApplied, map[string]string{"a.pub": string(bytes.TrimSpace(key.Public)) + " " + f.secret("comment of a key")}),
		row("verify-other", "SignatureRefused", map[string]string{"a.pub": string(other.Public)}),
		row("verify-pub", "SecretInvalid", map[string]string{"a.pub": garbage}),
		row("verify-asc", "SecretInvalid", map[string]string{"a.asc": garbage}),
		row("verify-armour", "SecretInvalid", map[string]string{"a.asc": "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n" + garbage + "\n-----END PGP PUBLIC KEY BLOCK-----\n"}))
}

// create makes the Secrets and the Sources, each with a directory of its own in the repository.
func (f *teller) create(key signing.Key) {
	files := map[string]string{}
	for _, row := range f.rows {
		files[row.name+"/cm.yaml"] = configMap(row.name, "one")
	}
	if err := f.tree.Write(files); err != nil {
		f.Fatal(err)
	}
	f.gitdo("add", "--all")
	f.gitdo(append(slices.Clone(key.Args()), "commit", "-S", "--quiet", "-m", "all")...)
	f.gitdo("push", "--quiet", "origin", "HEAD:refs/heads/main")
	for _, row := range f.rows {
		meta := metav1.ObjectMeta{Namespace: f.ns, Name: row.name}
		if err := f.client.Create(f.Context(), &corev1.Secret{ObjectMeta: meta, StringData: row.secret}); err != nil {
			f.Fatal(err)
		}
		src := &v1alpha1.Source{ObjectMeta: meta, Spec: v1alpha1.SourceSpec{URL: row.url, Ref: v1alpha1.SourceRef{Branch: "main"}, Path: row.name, Interval: v1alpha1.DurationOf(time.Hour)}}
		if row.change == nil {
			src.Spec.SecretRef = &v1alpha1.LocalRef{Name: row.name}
		} else {
			row.change(&src.Spec)
		}
		if err := f.client.Create(f.Context(), src); err != nil {
			f.Fatalf("%s: %v", row.name, err)
		}
	}
}

// arrive waits until each Source has come to its reason.
func (f *teller) arrive() {
	for _, row := range f.rows {
		kube.Eventually(f, 2*soon, func() error {
			src := &v1alpha1.Source{}
			if err := f.client.Get(f.Context(), types.NamespacedName{Namespace: f.ns, Name: row.name}, src); err != nil {
				return err
			}
			var said []string
			for _, kind := range []string{v1alpha1.ConditionReady, v1alpha1.ConditionReconciling} {
				if c := v1alpha1.Condition(src.Status.Conditions, kind); c != nil {
					if c.Reason == row.want && (!row.writes || len(src.Status.WriteBack) > 0) {
						return nil
					}
					said = append(said, c.Reason+": "+c.Message)
				}
			}
			return fmt.Errorf("%s: %q, want %s", row.name, said, row.want)
		})
	}
}

// deliver sends webhooks: what proves itself by a token, and what does not.
func (f *teller) deliver() {
	secret, short := f.secret("webhook token"), f.secret("short token")[:fragment]
	for name, token := range map[string]string{"token": secret, "short": short} {
		if err := f.client.Create(f.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: f.ns, Name: name}, StringData: map[string]string{"token": token}}); err != nil {
			f.Fatal(err)
		}
		spec := v1alpha1.SourceSpec{URL: f.git.URL("none"), Path: "app", Interval: v1alpha1.DurationOf(time.Hour),
			Webhook: &v1alpha1.SourceWebhook{Provider: v1alpha1.WebhookGeneric, SecretRef: v1alpha1.LocalRef{Name: name}}}
		if err := f.client.Create(f.Context(), &v1alpha1.Source{ObjectMeta: metav1.ObjectMeta{Namespace: f.ns, Name: "hook-" + name}, Spec: spec}); err != nil {
			f.Fatal(err)
		}
	}
	body, at := []byte(`{"ref":"`+secret+`"}`), time.Now()
	header := func(id, signature string) map[string]string {
		return map[string]string{"Content-Type": "application/json", "webhook-id": id, "webhook-timestamp": fmt.Sprint(at.Unix()), "webhook-signature": signature, "X-Gitlab-Token": secret}
	}
	for _, row := range []struct {
		source, signature string
		want              int
	}{{"hook-token", hook.Sign([]byte(secret), "one", at, body), http.StatusAccepted}, {"hook-token", "v1," + secret, http.StatusUnauthorized},
		{"hook-short", hook.Sign([]byte(short), "one", at, body), http.StatusUnauthorized}, {secret, hook.Sign([]byte(secret), "one", at, body), http.StatusUnauthorized}} {
		kube.Eventually(f, soon, func() error { // the Secret is new to the cache
			if got := f.post(body, header("one", row.signature), row.source); got != row.want {
				return fmt.Errorf("%s: %d, want %d", row.source, got, row.want)
			}
			return nil
		})
	}
}

// TestSecrets_areNeverShown gives each kind of secret to success and to failure, with servers that repeat all that they
// are told, and then looks for it everywhere.
func TestSecrets_areNeverShown(t *testing.T) {
	t.Parallel()
	c := newCanaries()
	f := &teller{world: newWorldThatLogs(t, c.logger()), canaries: c}
	key := signing.SSH(t, "ed25519")
	f.overHTTP()
	f.asApp()
	f.overTLS()
	f.overSSH()
	f.throughProxies()
	f.verified(key)
	f.writing()
	f.create(key)
	f.deliver()
	f.arrive()
	if got := f.tip("refs/sluice/prod/" + f.ns + "/write/last-good"); len(got) != 40 {
		t.Errorf("the last good commit is %q: nothing was written by the secret that may", got)
	}
	f.silent(t)
}
