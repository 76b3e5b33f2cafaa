package controller

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/gitsync/hook"
	"github.com/sluice-dev/sluice/test/kube"
	"github.com/sluice-dev/sluice/test/poll"
)

func TestConcerns_table(t *testing.T) {
	t.Parallel()
	id := strings.Repeat("ab", 20)
	main, tag, pull := hook.Change{Ref: "refs/heads/main", After: id}, hook.Change{Ref: "refs/tags/shop/v1.0.0", After: id}, hook.Change{Ref: "refs/pull/7/head"}
	for _, row := range []struct {
		name    string
		ref     v1alpha1.SourceRef
		changes []hook.Change
		after   string
		want    bool
	}{
		{"nothing said", v1alpha1.SourceRef{Tag: "v1"}, nil, "", true},
		{"its branch", v1alpha1.SourceRef{Branch: "main"}, []hook.Change{main}, id, true},
		{"its branch, among others", v1alpha1.SourceRef{Branch: "main"}, []hook.Change{tag, pull, main}, id, true},
		{"its branch was deleted", v1alpha1.SourceRef{Branch: "main"}, []hook.Change{{Ref: "refs/heads/main", After: strings.Repeat("0", 40)}}, "", true},
		{"an id that ends in zeros", v1alpha1.SourceRef{Branch: "main"}, []hook.Change{{Ref: "refs/heads/main", After: strings.Repeat("a0", 20)}}, strings.Repeat("a0", 20), true},
		{"no id", v1alpha1.SourceRef{Branch: "main"}, []hook.Change{{Ref: "refs/heads/main", After: "HEAD~1"}}, "", true},
		{"another branch", v1alpha1.SourceRef{Branch: "next"}, []hook.Change{main}, "", false},
		{"a short name", v1alpha1.SourceRef{Branch: "next"}, []hook.Change{{Ref: "main"}}, "", true},
		{"HEAD and a branch", v1alpha1.SourceRef{}, []hook.Change{main}, "", true},
		{"HEAD and a tag", v1alpha1.SourceRef{}, []hook.Change{tag}, "", false},
		{"its tag", v1alpha1.SourceRef{Tag: "shop/v1.0.0"}, []hook.Change{tag}, "", true},
		{"another tag", v1alpha1.SourceRef{Tag: "v1.0.0"}, []hook.Change{tag}, "", false},
		{"a tag of its versions", v1alpha1.SourceRef{Semver: "1.x", TagPrefix: "shop/"}, []hook.Change{tag}, "", true},
		{"a tag of other versions", v1alpha1.SourceRef{Semver: "1.x", TagPrefix: "cart/"}, []hook.Change{tag}, "", false},
		{"versions and a branch", v1alpha1.SourceRef{Semver: "1.x"}, []hook.Change{main}, "", false},
		{"its ref", v1alpha1.SourceRef{Name: "refs/pull/7/head"}, []hook.Change{pull}, "", true},
		{"another ref", v1alpha1.SourceRef{Name: "refs/pull/8/head"}, []hook.Change{pull}, "", false},
		{"a commit", v1alpha1.SourceRef{Commit: id}, []hook.Change{main}, "", true},
	} {
		if after, got := concerns(row.ref, row.changes); got != row.want || after != row.after {
			t.Errorf("%s: %q, %v; want %q, %v", row.name, after, got, row.after, row.want)
		}
	}
}

func TestPlace_ignoresTheWayThere(t *testing.T) {
	t.Parallel()
	want := place("https://git.example.com/shop/deploy.git")
	for _, url := range []string{"https://GIT.example.com:443/shop/deploy", "ssh://git@git.example.com:2222/shop/deploy.git", "ssh://bot@git.example.com/shop/deploy/"} {
		if got := place(url); got != want {
			t.Errorf("%s: %s, want %s", url, got, want)
		}
	}
	if place("https://git.example.com/shop/other") == want || place("https://git.example.org/shop/deploy") == want {
		t.Error("another repository counts as the same")
	}
}

// replica is another controller of the same cluster, which does not run.
func (w *world) replica() *Controller {
	w.Helper()
	c, err := New(w.controller.config)
	if err != nil {
		w.Fatal(err)
	}
	return c
}

// TestReceiver_wakesEverySourceOfTheRepository tells one Source, and each that follows the pushed branch looks.
func TestReceiver_wakesEverySourceOfTheRepository(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.push("first", map[string]string{"app/a.yaml": configMap("a", "one")})
	w.source(nil)
	w.ready(v1alpha1.ReasonApplied, first)
	spec := func(url, branch string, suspend bool) v1alpha1.SourceSpec {
		return v1alpha1.SourceSpec{URL: url, Ref: v1alpha1.SourceRef{Branch: branch}, Path: "app", Suspend: suspend}
	}
	specs := map[string]v1alpha1.SourceSpec{"same": spec(w.git.URL("app"), "main", true), "alike": spec(strings.TrimSuffix(w.git.URL("app"), ".git")+"/", "", false),
		"branch": spec(w.git.URL("app"), "next", false), "other": spec(w.git.URL("other"), "main", false)}
	for name, s := range specs {
		if err := w.client.Create(t.Context(), &v1alpha1.Source{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: name}, Spec: s}); err != nil {
			t.Fatal(err)
		}
	}
	quiet := w.replica() // the same caches, and nobody who takes the hints
	var told []string
	if err := poll.Until(soon, func() error {
		clear(quiet.hints)
		if err := quiet.receiver.tell(t.Context(), w.git.URL("app"), hook.Hint{Push: true, Changes: []hook.Change{{Ref: "refs/heads/main", After: first}}}); err != nil {
			return err
		}
		told = nil
		for name := range quiet.hints {
			told = append(told, name.Name)
		}
		if len(told) != 2 || quiet.hints[types.NamespacedName{Namespace: w.ns, Name: "shop"}].after != first {
			return fmt.Errorf("woken %v with %v, want shop and alike", told, quiet.hints)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// TestReceiver_tellsTheLeader is a replica that does not lead: it patches, at once and again at the end of the second.
func TestReceiver_tellsTheLeader(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.push("first", map[string]string{"app/a.yaml": configMap("a", "one")})
	w.source(nil)
	w.ready(v1alpha1.ReasonApplied, first)
	follower := w.replica()
	follower.receiver.relay.elected = make(chan struct{})
	shop := types.NamespacedName{Namespace: w.ns, Name: "shop"}
	second := w.push("second", map[string]string{"app/a.yaml": configMap("a", "two")})
	begun := time.Now()
	var waiting sync.WaitGroup
	for range 20 {
		waiting.Go(func() {
			if err := follower.receiver.relay.wake(t.Context(), map[types.NamespacedName]string{shop: ""}); err != nil {
				t.Error(err)
			}
		})
	}
	waiting.Wait()
	if took := time.Since(begun); took < betweenHints/2 || took > soon {
		t.Errorf("twenty hints at once took %s, want the last told at the end of the second", took)
	}
	w.ready(v1alpha1.ReasonApplied, second)
	src := &v1alpha1.Source{}
	kube.Eventually(t, soon, func() error {
		if err := w.client.Get(t.Context(), shop, src); err != nil {
			return err
		}
		asked := src.Annotations[v1alpha1.AnnotationReconcile]
		if !strings.HasPrefix(asked, "hook ") || src.Status.LastHandledReconcile != asked {
			return fmt.Errorf("asked %q, handled %q", asked, src.Status.LastHandledReconcile)
		}
		return nil
	})
	patches := 0
	for _, f := range src.ManagedFields {
		if f.Subresource == "" && strings.Contains(string(f.FieldsV1.GetRawBytes()), "sluice.dev/reconcile") {
			patches++
		}
	}
	if patches != 1 {
		t.Errorf("%d managers own the annotation, want one", patches)
	}
	if err := follower.receiver.relay.wake(t.Context(), map[types.NamespacedName]string{{Namespace: w.ns, Name: "gone"}: ""}); err != nil {
		t.Errorf("a Source that is gone: %v", err)
	}
}

// TestReceiver_everyProvider sends what each forge sends, by its own proof.
func TestReceiver_everyProvider(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	body := []byte(`{"ref":"refs/heads/main","after":"0000000000000000000000000000000000000001"}`)
	mac := hmac.New(sha256.New, []byte(token))
	mac.Write(body)
	proof := hex.EncodeToString(mac.Sum(nil))
	first := w.push("first", map[string]string{"app/a.yaml": configMap("a", "one")})
	w.source(nil)
	w.ready(v1alpha1.ReasonApplied, first)
	for i, row := range []struct {
		provider v1alpha1.WebhookProvider
		header   [2]string
		event    [2]string
		want     int
	}{
		{v1alpha1.WebhookGitHub, [2]string{"X-Hub-Signature-256", "sha256=" + proof}, [2]string{"X-GitHub-Event", "push"}, http.StatusAccepted},
		{v1alpha1.WebhookGitHub, [2]string{"X-Hub-Signature-256", "sha256=" + proof}, [2]string{"X-GitHub-Event", "ping"}, http.StatusOK},
		{v1alpha1.WebhookGitHub, [2]string{"X-Hub-Signature-256", proof}, [2]string{"X-GitHub-Event", "push"}, http.StatusUnauthorized},
		{v1alpha1.WebhookGitLab, [2]string{"X-Gitlab-Token", token}, [2]string{"X-Gitlab-Event", "Push Hook"}, http.StatusAccepted},
		{v1alpha1.WebhookGitLab, [2]string{"X-Gitlab-Token", token + "x"}, [2]string{"X-Gitlab-Event", "Push Hook"}, http.StatusUnauthorized},
		{v1alpha1.WebhookGitea, [2]string{"X-Gitea-Signature", proof}, [2]string{"X-Gitea-Event", "push"}, http.StatusAccepted},
		{v1alpha1.WebhookGitea, [2]string{"X-Forgejo-Signature", proof}, [2]string{"X-Forgejo-Event", "push"}, http.StatusAccepted},
		{v1alpha1.WebhookBitbucket, [2]string{"X-Hub-Signature", "sha256=" + proof}, [2]string{"X-Event-Key", "repo:push"}, http.StatusAccepted},
		{v1alpha1.WebhookBitbucket, [2]string{"X-Hub-Signature", "sha256=" + proof}, [2]string{"X-Event-Key", "repo:refs_changed"}, http.StatusAccepted},
		{v1alpha1.WebhookBitbucket, [2]string{"X-Hub-Signature", "sha256=" + proof}, [2]string{"X-Event-Key", "diagnostics:ping"}, http.StatusOK},
	} {
		name := fmt.Sprintf("shop-%d", i)
		spec := v1alpha1.SourceSpec{URL: w.git.URL("app"), Suspend: true, Webhook: &v1alpha1.SourceWebhook{Provider: row.provider, SecretRef: v1alpha1.LocalRef{Name: "hook"}}}
		if err := w.client.Create(t.Context(), &v1alpha1.Source{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: name}, Spec: spec}); err != nil {
			t.Fatal(err)
		}
		header := map[string]string{"Content-Type": "application/json; charset=utf-8", row.header[0]: row.header[1], row.event[0]: row.event[1]}
		kube.Eventually(t, soon, func() error { // until the cache knows the Source
			got := w.post(body, header, name)
			if got == http.StatusUnauthorized && row.want != got {
				return fmt.Errorf("%s %v: %d, want %d", row.provider, row.event, got, row.want)
			}
			if got != row.want {
				t.Errorf("%s %v: %d, want %d", row.provider, row.event, got, row.want)
			}
			return nil
		})
		if again := w.post(body, header, name); row.want == http.StatusAccepted && again != http.StatusOK {
			t.Errorf("%s %v again: %d, want 200", row.provider, row.event, again)
		}
	}
}

func TestReceiver_boundsARepeatingSender(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.push("first", map[string]string{"app/a.yaml": configMap("a", "one")})
	w.source(nil)
	w.ready(v1alpha1.ReasonApplied, first)
	answers := map[int]int{}
	for range 2 * oneBurst {
		answers[w.hint("")]++
	}
	if answers[http.StatusTooManyRequests] == 0 || answers[http.StatusAccepted] < oneBurst {
		t.Errorf("answers %v, want a burst of %d and then 429", answers, oneBurst)
	}
	for range 2 * allBurst {
		answers[w.post([]byte("{}"), map[string]string{"Content-Type": "application/json"}, "nobody")]++
	}
	if answers[http.StatusTooManyRequests] < 20 || len(w.controller.receiver.sources) != 1 {
		t.Errorf("answers %v, %d Sources remembered; want a flood stopped and its names forgotten", answers, len(w.controller.receiver.sources))
	}
}

// pair writes a certificate for loopback with a name, and its key.
func pair(t *testing.T, d Door, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{d.Key: {Type: "PRIVATE KEY", Bytes: private}, d.Cert: {Type: "CERTIFICATE", Bytes: der}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestServeHooks_reloadsItsCertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.9.8.7:0") // an address of its own: the port stays free when it is let go
	if err != nil {
		t.Fatal(err)
	}
	d := Door{Address: l.Addr().String(), Cert: filepath.Join(dir, "crt"), Key: filepath.Join(dir, "key")}
	l.Close()
	c := &Controller{config: Config{Now: time.Now}, account: account{meters: newMeters()}}
	c.receiver = newReceiver(c)
	if err := c.ServeHooks(t.Context(), d); err == nil {
		t.Fatal("served without a certificate")
	}
	if err := c.ServeHooks(t.Context(), Door{Address: d.Address, Cert: d.Cert}); err == nil {
		t.Fatal("served with half a pair")
	}
	pair(t, d, "first")
	ctx, cancel := context.WithCancel(t.Context())
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := c.ServeHooks(ctx, d); err != nil {
			t.Error(err)
		}
	})
	defer serving.Wait()
	defer cancel()
	named := func(want string) error {
		conn, err := tls.Dial("tcp", d.Address, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			return err
		}
		defer conn.Close()
		if got := conn.ConnectionState().PeerCertificates[0].Subject.CommonName; got != want {
			return fmt.Errorf("served by %s, want %s", got, want)
		}
		return nil
	}
	kube.Eventually(t, soon, func() error { return named("first") })
	if err := os.WriteFile(d.Key, []byte("half of a change"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := named("first"); err != nil {
		t.Errorf("in the middle of a change: %v", err)
	}
	pair(t, d, "second")
	kube.Eventually(t, soon, func() error { return named("second") })
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	res, err := client.Post("https://"+d.Address+"/hooks/a/b", "text/plain", bytes.NewReader(nil))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusUnsupportedMediaType {
		t.Errorf("over TLS: %d, want 415", res.StatusCode)
	}
}
