package cli_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"
)

const secureMesh = `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front, namespace: shop}
spec:
  selector: {app: gw}
  servers:
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: [shop.example], tls: {httpsRedirect: true}}
  - {port: {number: 443, name: https, protocol: HTTPS}, hosts: [shop.example], tls: {mode: SIMPLE, credentialName: front}}
  - {port: {number: 6379, name: redis, protocol: TCP}, hosts: ["*"]}
  - {port: {number: 9443, name: tls, protocol: TLS}, hosts: ["*"], tls: {mode: PASSTHROUGH}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: shop}
spec:
  hosts: ["*"]
  gateways: [front]
  http: [{name: primary, route: [{destination: {host: reviews}}]}]
  tcp: [{match: [{port: 6379}], route: [{destination: {host: reviews}}]}]
  tls: [{match: [{sniHosts: [pass.example]}], route: [{destination: {host: reviews}}]}]
`

// secretManifest is a Secret with a fresh certificate, and its key as it stands in there.
func secretManifest(t *testing.T) (text, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Unix(1<<33, 0), DNSNames: []string{"shop.example"}}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, der []byte) string {
		return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	key = encode("PRIVATE KEY", der)
	return fmt.Sprintf("apiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\nmetadata: {name: front, namespace: shop}\ndata: {tls.crt: %s, tls.key: %s}\n", encode("CERTIFICATE", cert), key), key
}

func TestRoute_choosesByTheServerName(t *testing.T) {
	secret, _ := secretManifest(t)
	dir := files(t, map[string]string{"mesh.yaml": secureMesh, "service.yaml": shopService, "secret.yaml": secret})
	for _, c := range []struct {
		args    []string
		outcome string
		route   string
	}{
		{[]string{"https://shop.example/"}, "route", "primary"},
		{[]string{"https://else.example/", "--sni", "shop.example"}, "noRoute", ""},
		{[]string{"https://shop.example/", "--sni", "else.example"}, "noListener", ""},
		{[]string{"https://10.0.0.1/", "-H", "Host: shop.example"}, "noListener", ""},
		{[]string{"https://10.0.0.1/", "-H", "Host: shop.example", "--sni", "SHOP.example"}, "route", "primary"},
		{[]string{"http://shop.example:443/", "--tls"}, "route", "primary"},
		{[]string{"http://shop.example:443/"}, "noListener", ""},
		{[]string{"http://shop.example/"}, "tlsRequired", ""},
		{[]string{"https://shop.example/", "--port", "80"}, "noListener", ""},
		{[]string{"tcp://10.0.0.1:6379"}, "route", ""},
		{[]string{"tcp://pass.example:9443", "--tls"}, "route", ""},
		{[]string{"https://pass.example:9443/"}, "route", ""},
		{[]string{"tcp://pass.example:9443", "--sni", "shop.example"}, "noListener", ""},
		{[]string{"tcp://shop.example:443"}, "noListener", ""},
	} {
		a := route(t, append([]string{"-f", dir}, c.args...)...)
		if a.Outcome != c.outcome || (c.route != "" && a.RouteName != c.route) {
			t.Errorf("%v: %s by %q, want %s by %q", c.args, a.Outcome, a.RouteName, c.outcome, c.route)
		}
	}
}

func TestRoute_wantsTheSecretUnlessToldToTrust(t *testing.T) {
	dir := files(t, map[string]string{"mesh.yaml": secureMesh, "service.yaml": shopService})
	a := route(t, "-f", dir, "https://shop.example/")
	if a.Outcome != "noListener" || !slices.ContainsFunc(a.Problems, func(p struct{ Code, Severity, Object, Field, Path string }) bool {
		return p.Code == "S015" && p.Field == "spec.servers[1].tls.credentialName"
	}) {
		t.Errorf("without the Secret: %+v", a)
	}
	if a := route(t, "-f", dir, "--partial", "https://shop.example/"); a.Outcome != "route" {
		t.Errorf("with --partial: %+v", a)
	}
}

func TestRoute_neverShowsWhatASecretHolds(t *testing.T) {
	secret, key := secretManifest(t)
	broken := strings.Replace(secret, "tls.key: ", "tls.key: AAAA", 1)
	for name, text := range map[string]string{"good": secret, "broken": broken, "no base64": strings.Replace(secret, "tls.key: ", "tls.key: '%' #", 1)} {
		dir := files(t, map[string]string{"mesh.yaml": secureMesh, "secret.yaml": text})
		for _, output := range []string{"text", "json"} {
			_, out, errs := runCLI(t, "", "route", "-f", dir, "https://shop.example/", "-o", output)
			plain, err := base64.StdEncoding.DecodeString(key)
			if err != nil {
				t.Fatal(err)
			}
			if all := out + errs; strings.Contains(all, key[40:80]) || strings.Contains(all, string(plain[40:80])) || strings.Contains(all, "PRIVATE") {
				t.Errorf("%s, %s: the key is shown in %s", name, output, all)
			}
		}
	}
}

func TestRoute_saysTheServerNameInText(t *testing.T) {
	secret, _ := secretManifest(t)
	dir := files(t, map[string]string{"mesh.yaml": secureMesh, "service.yaml": shopService, "secret.yaml": secret})
	for want, args := range map[string][]string{
		"GET https://shop.example/ at":                                        {"https://shop.example/"},
		"GET https://shop.example/ by TLS for else.example at":                {"https://shop.example/", "--sni", "else.example"},
		"GET https://10.0.0.1/ by TLS without a server name at":               {"https://10.0.0.1/"},
		"a connection to pass.example:9443 by TLS for pass.example at":        {"tcp://pass.example:9443", "--tls"},
		"of listener 0.0.0.0_6379\n\n      100%   (all)   reviews.shop.svc.c": {"tcp://10.0.0.1:6379"},
	} {
		if _, out, errs := runCLI(t, "", append([]string{"route", "-f", dir}, args...)...); !strings.Contains(out, want) {
			t.Errorf("%v: the text lacks %q:\n%s%s", args, want, out, errs)
		}
	}
	if code, _, errs := runCLI(t, "", "route", "-f", dir, "tcp://shop.example"); code != 2 || !strings.Contains(errs, "port") {
		t.Errorf("a tcp URL without a port: exit %d, %q", code, errs)
	}
}

func TestRoute_takesThePortOfTheServerWhereAServiceLeadsElsewhere(t *testing.T) {
	const front = "apiVersion: v1\nkind: Service\nmetadata: {name: gw, namespace: shop}\nspec: {selector: {app: gw}, ports: [{name: http, port: 80, targetPort: 8080}]}\n"
	dir := files(t, map[string]string{"mesh.yaml": shopMesh, "service.yaml": shopService, "front.yaml": front})
	for _, args := range [][]string{{"http://shop.example/"}, {"http://shop.example/", "--port", "80"}} {
		if a := route(t, append([]string{"-f", dir}, args...)...); a.RouteName != "primary" || a.Listener != "0.0.0.0_8080" {
			t.Errorf("%v: %+v", args, a)
		}
	}
}
