package meshgen

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/istio"
	"github.com/sluice-dev/sluice/xds/registry"
)

func (m *Mesh) setService(t *rapid.T, namespace, name string) registry.Service {
	s := registry.Service{
		Host: name + "." + namespace + ".svc.cluster.local", Namespace: namespace,
		VIPs:      []string{rapid.SampledFrom([]string{"10.1.0.1", "10.1.0.2", "10.1.0.3"}).Draw(t, "vip")},
		ExportTo:  rapid.SampledFrom([][]string{nil, nil, nil, {"."}, {"shop"}}).Draw(t, "export"),
		Endpoints: endpoints(t), Selector: rapid.SampledFrom([]map[string]string{nil, {"version": "v1"}, {"app": "a"}}).Draw(t, "selector"),
		Origin: registry.Origin{Kind: "Service", Namespace: namespace, Name: name},
	}
	numbers := rapid.SampledFrom([][]int{{80}, {80}, {80, 81}, {81}}).Draw(t, "ports")
	for _, n := range numbers {
		p := rapid.SampledFrom([]registry.Protocol{registry.HTTP, registry.HTTP, registry.GRPC, registry.TCP, registry.TLS}).Draw(t, "protocol")
		s.Ports = append(s.Ports, registry.Port{Name: fmt.Sprintf("p%d", n), Number: n, Protocol: p})
	}
	m.services[namespace+"/"+name] = s
	return s
}

func (m *Mesh) setPod(t *rapid.T) registry.Workload {
	w := registry.Workload{
		Namespace: rapid.SampledFrom(namespaces()[:2]).Draw(t, "namespace"), Name: rapid.SampledFrom(names()).Draw(t, "pod"),
		Endpoint: registry.Endpoint{
			Address: rapid.SampledFrom([]string{"10.0.0.1", "10.0.0.7"}).Draw(t, "address"), Ready: rapid.Bool().Draw(t, "ready"),
			Labels: map[string]string{"version": rapid.SampledFrom([]string{"v1", "v2"}).Draw(t, "version"), "app": "gw"},
		},
	}
	m.pods[w.Namespace+"/"+w.Name] = w
	return w
}

func endpoints(t *rapid.T) []registry.Endpoint {
	var out []registry.Endpoint
	for i := range rapid.IntRange(0, 4).Draw(t, "endpoints") {
		out = append(out, registry.Endpoint{
			Address: fmt.Sprintf("10.0.0.%d", i+1), Ready: rapid.IntRange(0, 3).Draw(t, "ready") > 0,
			Labels:   map[string]string{"version": rapid.SampledFrom([]string{"v1", "v2"}).Draw(t, "version"), "app": "gw"},
			Locality: rapid.SampledFrom([]registry.Locality{{}, {Region: "eu", Zone: "a"}, {Region: "eu", Zone: "b"}, {Region: "us"}}).Draw(t, "locality"),
			Weight:   uint32(rapid.IntRange(0, 2).Draw(t, "weight")),
		})
	}
	return out
}

// moveEndpoints leaves the shape of a service as it is.
func (m *Mesh) moveEndpoints(t *rapid.T, to Target) string {
	keys := slices.Sorted(maps.Keys(m.services))
	if len(keys) == 0 {
		return "no service to change"
	}
	k := rapid.SampledFrom(keys).Draw(t, "service")
	s := m.services[k]
	s.Endpoints = endpoints(t)
	m.services[k] = s
	to.SetService(s)
	return fmt.Sprintf("move endpoints of %s: %+v", s.Host, s.Endpoints)
}

func (m *Mesh) dropService(t *rapid.T, to Target) string {
	keys := slices.Sorted(maps.Keys(m.services))
	if len(keys) == 0 {
		return "no service to drop"
	}
	k := rapid.SampledFrom(keys).Draw(t, "service")
	s := m.services[k]
	delete(m.services, k)
	to.DropService(s.Host, s.Namespace)
	return "drop service " + s.Host
}

func (m *Mesh) setSplit(t *rapid.T) ir.Split {
	namespace := rapid.SampledFrom(namespaces()[:2]).Draw(t, "namespace")
	s := ir.Split{
		Key:    namespace + "/" + rapid.SampledFrom(names()).Draw(t, "rollout"),
		UID:    "u",
		Host:   rapid.SampledFrom([]string{"a", "a", "b", "b", "c", "a.shop", "x.example"}).Draw(t, "host"),
		Stable: rapid.SampledFrom([]string{"v1", "v1", "v1", "v2", "v9"}).Draw(t, "stable"),
		Canary: rapid.SampledFrom([]string{"", "v2", "v2", "v9"}).Draw(t, "canary"),
		Weight: rapid.SampledFrom([]int{0, 15, 50, 100}).Draw(t, "weight"),
		Seq:    uint64(rapid.IntRange(0, 5).Draw(t, "seq")),
	}
	s.Extra = extra(t)
	s.Managed = rapid.SampledFrom([][]string{nil, nil, {"v1"}}).Draw(t, "managed")
	s.Routes = rapid.SampledFrom([][]string{nil, nil, nil, {"r1"}, {"default"}}).Draw(t, "routes")
	if at := rapid.IntRange(0, 2).Draw(t, "created"); at > 0 {
		s.Created = time.Date(2026, 1, at, 0, 0, 0, 0, time.UTC)
	}
	m.splits[s.Key] = s
	return s
}

// extra is what a split renders besides weights.
func extra(t *rapid.T) ir.Extra {
	var out ir.Extra
	out.Match = rapid.SampledFrom([][]ir.ClientMatch{
		nil, nil, nil,
		{{Headers: []ir.HeaderMatch{{Name: "x-beta", Kind: ir.Exact, Value: "1"}}}},
		{{Cookies: []ir.HeaderMatch{{Name: "beta", Kind: ir.Prefix, Value: "a"}}}, {Headers: []ir.HeaderMatch{{Name: "x-user", Kind: ir.Regex, Value: "[ab]"}}}},
	}).Draw(t, "match")
	out.Copies = rapid.SampledFrom([]*ir.Copies{nil, nil, nil, {Percent: 10}, {Percent: 50, Methods: []string{"GET", "HEAD"}}}).Draw(t, "copies")
	out.Affinity = rapid.SampledFrom([]*ir.Affinity{nil, nil, nil, {Header: "x-user"}, {Cookie: &ir.Cookie{Name: "sluice-a", Path: "/"}}}).Draw(t, "affinity")
	out.Preview = rapid.SampledFrom([]*ir.Preview{nil, nil, nil, {Host: "b"}, {Host: "c", Canary: true}}).Draw(t, "preview")
	return out
}

// weigh changes the weight of a split and nothing else but, now and then, what is rendered besides.
func (m *Mesh) weigh(t *rapid.T, to Target) string {
	keys := slices.Sorted(maps.Keys(m.splits))
	if len(keys) == 0 {
		return m.editSplit(t, to)
	}
	s := m.splits[rapid.SampledFrom(keys).Draw(t, "split")]
	s.Weight = rapid.SampledFrom([]int{0, 15, 50, 100}).Draw(t, "weight")
	if rapid.IntRange(0, 3).Draw(t, "besides") == 0 {
		preview := s.Preview
		if s.Extra = extra(t); preview != nil {
			s.Preview = &ir.Preview{Host: preview.Host, Canary: !preview.Canary}
		}
	}
	s.Seq++
	m.splits[s.Key] = s
	to.SetSplit(s)
	return fmt.Sprintf("weigh %s at %d", s.Key, s.Weight)
}

func (m *Mesh) editSplit(t *rapid.T, to Target) string {
	keys := slices.Sorted(maps.Keys(m.splits))
	if len(keys) > 0 && rapid.IntRange(0, 2).Draw(t, "drop") == 0 {
		k := rapid.SampledFrom(keys).Draw(t, "split")
		delete(m.splits, k)
		to.DropSplit(k)
		return "drop split " + k
	}
	s := m.setSplit(t)
	to.SetSplit(s)
	return fmt.Sprintf("set split %+v", s)
}

// setSecret makes a Secret that holds a certificate, or one that cannot be used.
func (m *Mesh) setSecret(t *rapid.T) *istio.Secret {
	s := &istio.Secret{Namespace: rapid.SampledFrom(namespaces()[:2]).Draw(t, "namespace"), Name: rapid.SampledFrom([]string{"cert", "cert-cacert"}).Draw(t, "secret")}
	if rapid.IntRange(0, 3).Draw(t, "sound") == 0 {
		s.Data = map[string][]byte{"tls.crt": []byte("no certificate")}
	} else {
		s.Data = m.schema.pair
	}
	m.secrets[s.Namespace+"/"+s.Name] = s
	return s
}

func (m *Mesh) dropSecret(t *rapid.T, to Target) string {
	keys := slices.Sorted(maps.Keys(m.secrets))
	if len(keys) == 0 {
		return "no secret to drop"
	}
	s := m.secrets[rapid.SampledFrom(keys).Draw(t, "secret")]
	delete(m.secrets, s.Namespace+"/"+s.Name)
	to.DropSecret(s.Namespace, s.Name)
	return "drop secret " + s.Namespace + "/" + s.Name
}

// pair is a certificate that signs itself, with its key.
func pair() map[string][]byte {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic("making a key: " + err.Error())
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC), IsCA: true, BasicConstraintsValid: true}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic("making a certificate: " + err.Error())
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic("encoding a key: " + err.Error())
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	return map[string][]byte{"tls.crt": block, "ca.crt": block, "tls.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})}
}
