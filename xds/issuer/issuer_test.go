package issuer_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/test/kube"
	"github.com/sluice-dev/sluice/xds/authority"
	"github.com/sluice-dev/sluice/xds/issuer"
)

func TestMain(m *testing.M) { kube.Main(m) }

const (
	day           = 24 * time.Hour
	serverSecret  = "sluice-xds"
	gatewaySecret = "sluice-gateway"
	identity      = "spiffe://cluster.local/ns/system/sa/sluice-gateway"
)

// bench is a namespace with issuers and a clock that is set.
type bench struct {
	t      *testing.T
	client client.Client
	ns     string
	mu     sync.Mutex // guards now
	now    time.Time
}

func newBench(t *testing.T) *bench {
	t.Helper()
	cfg := kube.Start(t)
	c, err := client.New(cfg, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &bench{t: t, client: c, ns: kube.Namespace(t, cfg), now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
}

func (b *bench) pass(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(d)
}

func (b *bench) time() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

// taken is what an issuer handed over last.
type taken struct {
	*issuer.Issuer
	leads         bool
	times         int
	cert, key, ca []byte
	log           bytes.Buffer
}

func (b *bench) issuer(leads bool, more ...issuer.Kept) *taken {
	b.t.Helper()
	out := &taken{leads: leads}
	var err error
	out.Issuer, err = issuer.New(issuer.Config{
		Client: b.client, Namespace: b.ns, Now: b.time, Term: authority.Term{Authority: 3650 * day, Leaf: 90 * day}, Leads: func() bool { return out.leads },
		Server:  issuer.Kept{Secret: serverSecret, Wanted: authority.Wanted{Name: "sluice", Hosts: []string{"sluice.ns.svc"}, Usage: x509.ExtKeyUsageServerAuth}},
		Proxies: append([]issuer.Kept{{Secret: gatewaySecret, Wanted: authority.Wanted{Name: "gateway", URI: identity, Usage: x509.ExtKeyUsageClientAuth}}}, more...),
		Take:    func(cert, key, ca []byte) { out.times, out.cert, out.key, out.ca = out.times+1, cert, key, ca },
		Log:     slog.New(slog.NewTextHandler(&out.log, nil)),
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

func (b *bench) secret(name string) *corev1.Secret {
	b.t.Helper()
	out := &corev1.Secret{}
	if err := b.client.Get(b.t.Context(), client.ObjectKey{Namespace: b.ns, Name: name}, out); err != nil {
		b.t.Fatal(err)
	}
	return out
}

// make makes a Secret as somebody else would.
func (b *bench) make(name string) *corev1.Secret {
	b.t.Helper()
	out := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: b.ns, Name: name}, Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{"tls.crt": []byte("cert"), "tls.key": []byte("key"), "ca.crt": []byte("ca")}}
	if err := b.client.Create(b.t.Context(), out); err != nil {
		b.t.Fatal(err)
	}
	return out
}

// verify checks a Secret's certificate by the authorities in another's, and gives it.
func (b *bench) verify(of, by *corev1.Secret, usage x509.ExtKeyUsage) *x509.Certificate {
	b.t.Helper()
	pairs, err := authority.Parse(of.Data["tls.crt"], of.Data["tls.key"])
	if err != nil {
		b.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(by.Data["ca.crt"])
	if _, err := pairs[0].Cert.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: b.time(), KeyUsages: []x509.ExtKeyUsage{usage}}); err != nil {
		b.t.Errorf("%s by the authorities of %s: %v", of.Name, by.Name, err)
	}
	return pairs[0].Cert
}

// agree checks that server and gateway trust each other, and counts the authorities.
func (b *bench) agree(authorities int) (server, gateway *corev1.Secret) {
	b.t.Helper()
	server, gateway = b.secret(serverSecret), b.secret(gatewaySecret)
	if got := b.verify(server, gateway, x509.ExtKeyUsageServerAuth); got.VerifyHostname("sluice.ns.svc") != nil {
		b.t.Errorf("the server is called %v", got.DNSNames)
	}
	if got := b.verify(gateway, server, x509.ExtKeyUsageClientAuth); len(got.URIs) != 1 || got.URIs[0].String() != identity {
		b.t.Errorf("the gateway is %v", got.URIs)
	}
	if n := bytes.Count(server.Data["ca.crt"], []byte("BEGIN")); n != authorities || !bytes.Equal(server.Data["ca.crt"], gateway.Data["ca.crt"]) {
		b.t.Errorf("%d authorities, want %d; both sides have the same: %t", n, authorities, bytes.Equal(server.Data["ca.crt"], gateway.Data["ca.crt"]))
	}
	if len(gateway.Data["ca.key"]) > 0 {
		b.t.Error("the gateway has the key of the authority")
	}
	return server, gateway
}

// settle lets an issuer work until nothing is left to do.
func (b *bench) settle(i *taken) {
	b.t.Helper()
	kube.Eventually(b.t, 20*time.Second, func() error {
		if !i.Work(b.t.Context()) {
			return errors.New("something is left to do\n" + i.log.String())
		}
		return nil
	})
}

func TestIssuer_makesAndRenews(t *testing.T) {
	b := newBench(t)
	leader, other := b.issuer(true), b.issuer(false)
	if other.Work(t.Context()) || other.times != 0 {
		t.Fatal("who does not lead found or made something")
	}
	b.settle(leader)
	b.settle(other)
	server, gateway := b.agree(1)
	if other.times != 1 || !bytes.Equal(other.cert, server.Data["tls.crt"]) || !bytes.Equal(other.key, server.Data["tls.key"]) || !bytes.Equal(other.ca, server.Data["ca.crt"]) {
		t.Errorf("who does not lead took it %d times", other.times)
	}

	b.pass(50 * day)
	b.settle(leader)
	if again, _ := b.agree(1); again.ResourceVersion != server.ResourceVersion {
		t.Error("a certificate of which nearly half is left is renewed")
	}
	b.pass(10 * day)
	b.settle(leader)
	for _, s := range []*corev1.Secret{server, gateway} {
		if bytes.Equal(b.secret(s.Name).Data["tls.crt"], s.Data["tls.crt"]) {
			t.Errorf("%s is not renewed after two thirds of its life", s.Name)
		}
	}
	b.settle(other)
	if next, _ := b.agree(1); !bytes.Equal(other.cert, next.Data["tls.crt"]) {
		t.Error("who does not lead has not taken what was renewed")
	}
}

func TestIssuer_changesTheAuthorityWithOverlap(t *testing.T) {
	b := newBench(t)
	leader := b.issuer(true)
	b.settle(leader)
	first, _ := b.agree(1)
	b.pass(2440 * day)
	b.settle(leader)
	server, gateway := b.agree(2)
	b.verify(server, first, x509.ExtKeyUsageServerAuth) // who has not learnt of the new one
	b.verify(gateway, first, x509.ExtKeyUsageClientAuth)
	b.pass(100 * day)
	b.settle(leader)
	server, _ = b.agree(2)
	newest := server.DeepCopy()
	newest.Data["ca.crt"] = newest.Data["ca.crt"][:bytes.LastIndex(newest.Data["ca.crt"], []byte("-----BEGIN"))]
	b.verify(server, newest, x509.ExtKeyUsageServerAuth) // who has learnt of the new one only
	b.pass(1111 * day)
	b.settle(leader)
	b.agree(1)
}

func TestIssuer_leavesWhatOthersMade(t *testing.T) {
	b := newBench(t)
	server, gateway := b.make(serverSecret), b.make(gatewaySecret)
	leader := b.issuer(true)
	b.settle(leader)
	for _, s := range []*corev1.Secret{server, gateway} {
		if now := b.secret(s.Name); now.ResourceVersion != s.ResourceVersion {
			t.Errorf("%s was written", s.Name)
		}
	}
	if leader.times != 1 || string(leader.cert) != "cert" {
		t.Errorf("it is handed over %d times", leader.times)
	}
	if err := b.client.Delete(t.Context(), gateway); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if leader.Work(t.Context()) {
			t.Error("without the key of the authority nothing is left to do")
		}
	}
	if strings.Count(leader.log.String(), "was made by another") != 1 {
		t.Errorf("that the gateway's cannot be made is said once:\n%s", leader.log.String())
	}
}

// Proxies of other namespaces have their certificates there, in Secrets that somebody made and marked for it; no other is made
// or written.
func TestIssuer_fillsSecretsElsewhere(t *testing.T) {
	b := newBench(t)
	shop := kube.Namespace(t, kube.Start(t))
	of := func(name string) issuer.Kept {
		uri := "spiffe://cluster.local/ns/" + shop + "/sa/" + name
		return issuer.Kept{Namespace: shop, Secret: name, Wanted: authority.Wanted{Name: name, URI: uri, Usage: x509.ExtKeyUsageClientAuth}}
	}
	theirs := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: "theirs"}, StringData: map[string]string{"tls.crt": "cert"}}
	marked := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: "marked", Labels: map[string]string{issuer.Label: "self"}}}
	for _, s := range []*corev1.Secret{theirs, marked} {
		if err := b.client.Create(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	leader := b.issuer(true, of("theirs"), of("missing"), of("marked"))
	kube.Eventually(t, 20*time.Second, func() error {
		if leader.Work(t.Context()) {
			t.Fatal("a Secret is missing, and nothing is left to do")
		}
		return b.client.Get(t.Context(), client.ObjectKeyFromObject(marked), marked)
	})
	cert := b.verify(marked, b.secret(serverSecret), x509.ExtKeyUsageClientAuth)
	if len(cert.URIs) != 1 || cert.URIs[0].String() != of("marked").URI || len(marked.Data["ca.key"]) > 0 {
		t.Errorf("it holds a certificate of %v, with %d bytes of the authority's key", cert.URIs, len(marked.Data["ca.key"]))
	}
	if strings.Count(leader.log.String(), shop+"/missing does not exist: make it, empty, with the label sluice.dev/certificates: self") != 1 {
		t.Errorf("what is missing is said once:\n%s", leader.log.String())
	}
	before := theirs.ResourceVersion
	if err := b.client.Get(t.Context(), client.ObjectKeyFromObject(theirs), theirs); err != nil || theirs.ResourceVersion != before {
		t.Errorf("a Secret of somebody else was written (%v)", err)
	}
	if err := b.client.Delete(t.Context(), marked); err != nil {
		t.Fatal(err)
	}
	if leader.Work(t.Context()) || b.client.Get(t.Context(), client.ObjectKeyFromObject(marked), marked) == nil {
		t.Error("a Secret of another namespace was made")
	}
}

func TestIssuer_makesAnewWhatIsDamaged(t *testing.T) {
	b := newBench(t)
	leader := b.issuer(true)
	b.settle(leader)
	first, _ := b.agree(1)
	for _, damage := range []string{"tls.crt", "tls.key", "ca.crt", "ca.key"} {
		s := b.secret(serverSecret)
		s.Data[damage] = []byte("damaged")
		if err := b.client.Update(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		b.settle(leader)
		b.agree(1)
	}
	if bytes.Equal(b.secret(serverSecret).Data["ca.crt"], first.Data["ca.crt"]) {
		t.Error("an authority without a key stays")
	}
}

// Two that believe that they lead, and start or renew at the same moment, end with one authority and one certificate.
func TestIssuer_ofTwoThatRaceOneWins(t *testing.T) {
	b := newBench(t)
	two := []*taken{b.issuer(true), b.issuer(true)}
	race := func() {
		var both sync.WaitGroup
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		for _, i := range two {
			both.Go(func() {
				for !i.Work(ctx) && ctx.Err() == nil {
				}
			})
		}
		both.Wait()
		for _, i := range two { // each sees what the other did last
			b.settle(i)
		}
	}
	for range 10 {
		race()
		server, gateway := b.agree(1)
		if !bytes.Equal(two[0].ca, two[1].ca) || !bytes.Equal(two[0].cert, two[1].cert) || !bytes.Equal(two[0].key, two[1].key) {
			t.Fatal("the two have something else")
		}
		for _, i := range two {
			if text := i.log.String(); strings.Contains(text, "level=WARN") || strings.Contains(text, "level=ERROR") {
				t.Errorf("the one that lost complains:\n%s", text)
			}
		}
		for _, s := range []*corev1.Secret{server, gateway} {
			if err := b.client.Delete(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
	}
	race()
	server, _ := b.agree(1)
	b.pass(70 * day)
	race()
	if again, _ := b.agree(1); bytes.Equal(again.Data["tls.crt"], server.Data["tls.crt"]) || !bytes.Equal(again.Data["ca.crt"], server.Data["ca.crt"]) {
		t.Error("the certificate is not renewed by the same authority")
	}
}
