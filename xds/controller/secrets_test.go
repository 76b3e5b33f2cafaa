package controller

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/test/kube"
	"github.com/sluice-dev/sluice/xds/envoy"
)

const secureGateway = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: secure}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 443, name: https, protocol: HTTPS}, hosts: [a.example], tls: {mode: SIMPLE, credentialName: front}}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: nobodys}
spec:
  selector: {app: nobody}
  servers: [{port: {number: 443, name: https, protocol: HTTPS}, hosts: [b.example], tls: {mode: SIMPLE, credentialName: other}}]
`

// named records which Secrets are asked for.
type named struct {
	SecretReader
	mu    sync.Mutex
	names []string
}

func (n *named) note(opts []client.ListOption) {
	o := client.ListOptions{}
	o.ApplyOptions(opts)
	n.mu.Lock()
	defer n.mu.Unlock()
	name, _ := o.FieldSelector.RequiresExactMatch(metav1.ObjectNameField)
	if !slices.Contains(n.names, name) {
		n.names = append(n.names, name)
	}
}

func (n *named) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	n.note(opts)
	return n.SecretReader.List(ctx, list, opts...)
}

func (n *named) Watch(ctx context.Context, list client.ObjectList, opts ...client.ListOption) (apiwatch.Interface, error) {
	n.note(opts)
	return n.SecretReader.Watch(ctx, list, opts...)
}

// allowed gives a reader that may read the Secrets of these names in the namespace, and nothing else.
func (s *site) allowed(names ...string) *named {
	s.t.Helper()
	user := "reader-of-" + s.namespace
	role := &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "reader"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"list", "watch"}, ResourceNames: names}},
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "reader"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "reader"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}},
	}
	for _, o := range []client.Object{role, binding} {
		if err := s.client.Create(s.t.Context(), o); err != nil {
			s.t.Fatal(err)
		}
	}
	cfg := rest.CopyConfig(kube.Start(s.t))
	cfg.Impersonate = rest.ImpersonationConfig{UserName: user}
	c, err := client.NewWithWatch(cfg, client.Options{Scheme: s.client.Scheme()})
	if err != nil {
		s.t.Fatal(err)
	}
	return &named{SecretReader: c}
}

func (s *site) read(r SecretReader) { s.mesh.secrets.reader = r }

// keyPair is a fresh certificate with its key.
func keyPair(t *testing.T) map[string][]byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Unix(1<<33, 0), DNSNames: []string{"a.example"}}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{
		"tls.crt": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}),
		"tls.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
	}
}

func (s *site) secret(name string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: name}, Type: corev1.SecretTypeTLS, Data: keyPair(s.t)}
}

// latest waits until the newest resources are as wanted.
func (s *site) latest(wanted func(envoy.Resources) bool) envoy.Resources {
	s.t.Helper()
	var out envoy.Resources
	kube.Eventually(s.t, 10*time.Second, func() error {
		all := s.proxies.all()
		if len(all) == 0 {
			return errors.New("nothing is published")
		}
		if out = all[len(all)-1]; !wanted(out) {
			return fmt.Errorf("of %d sets the newest has %d listeners and %d Secrets", len(all), len(out.Listeners), len(out.Secrets))
		}
		return nil
	})
	return out
}

func codes(ps []problem.Problem) []string {
	var out []string
	for _, p := range ps {
		out = append(out, p.Code+" "+p.Object)
	}
	return out
}

func TestController_followsTheSecretsThatItNeedsAndNoOthers(t *testing.T) {
	s := open(t)
	reader := s.allowed("front", "front-cacert")
	s.read(reader)
	s.apply(secureGateway)
	if err := s.client.Create(t.Context(), s.secret("front")); err != nil {
		t.Fatal(err)
	}
	s.start()
	<-s.ready
	first := s.latest(func(r envoy.Resources) bool { return len(r.Listeners) == 1 && len(r.Secrets) == 1 })
	if n := len(s.proxies.all()); n != 1 {
		t.Errorf("%d sets were published, the first of them without the Secret", n)
	}

	rotated := s.secret("front")
	if err := s.client.Update(t.Context(), rotated); err != nil {
		t.Fatal(err)
	}
	second := s.latest(func(r envoy.Resources) bool {
		return len(r.Secrets) == 1 && r.Secrets[0].Version != first.Secrets[0].Version
	})
	first.Secrets, second.Secrets = nil, nil
	if !equal(first, second) {
		t.Error("the rotation of a Secret changed more than the Secret")
	}

	if err := s.client.Delete(t.Context(), rotated); err != nil {
		t.Fatal(err)
	}
	s.latest(func(r envoy.Resources) bool { return len(r.Listeners) == 0 && len(r.Secrets) == 0 })
	kube.Eventually(t, 10*time.Second, func() error {
		got := codes(s.mesh.Problems())
		want := []string{"S034 Gateway/" + s.namespace + "/nobodys", "S015 Gateway/" + s.namespace + "/secure"}
		if !slices.Equal(got, want) {
			return fmt.Errorf("problems %v, want %v", got, want)
		}
		return nil
	})
	reader.mu.Lock()
	defer reader.mu.Unlock()
	slices.Sort(reader.names)
	if !slices.Equal(reader.names, []string{"front", "front-cacert"}) {
		t.Errorf("asked for %v, want front and front-cacert only", reader.names)
	}
}

func TestController_servesOnWhereASecretMayNotBeRead(t *testing.T) {
	s := open(t)
	s.read(s.allowed("unrelated"))
	s.apply(shop)
	s.apply(secureGateway)
	s.store(baking)
	s.start()
	<-s.ready
	s.published(map[string]uint32{"v1": 85, "v2": 15})
	if got := codes(s.mesh.Problems()); !slices.Contains(got, "S015 Gateway/"+s.namespace+"/secure") {
		t.Errorf("problems %v, want an S015", got)
	}
}

// stuck answers nothing about the Secret of one name.
type stuck struct {
	SecretReader
	name string
}

func (s stuck) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	o := client.ListOptions{}
	o.ApplyOptions(opts)
	if name, _ := o.FieldSelector.RequiresExactMatch(metav1.ObjectNameField); name == s.name {
		<-ctx.Done()
		return ctx.Err()
	}
	return s.SecretReader.List(ctx, list, opts...)
}

func TestController_lowersAWeightWhileSecretsAreAwaited(t *testing.T) {
	s := open(t)
	s.read(stuck{s.allowed("unrelated"), "front"})
	now := time.Now()
	s.mesh.secrets.now = func() time.Time { return now } // the wait never ends
	s.apply(shop)
	s.store(baking)
	s.start()
	<-s.ready
	s.published(map[string]uint32{"v1": 85, "v2": 15})
	s.apply(secureGateway)
	kube.Eventually(t, 10*time.Second, func() error {
		s.mesh.secrets.mu.Lock()
		defer s.mesh.secrets.mu.Unlock()
		if len(s.mesh.secrets.watched) == 0 {
			return errors.New("the Secret is not asked for")
		}
		return nil
	})
	s.store(failed)
	s.published(map[string]uint32{"v1": 100})
	out := s.latest(func(r envoy.Resources) bool { return len(r.Splits) == 1 && r.Splits[0].Weight == 0 })
	if len(out.Listeners) != 1 {
		t.Errorf("%d listeners, want what was there before the Secret was named", len(out.Listeners))
	}
}
