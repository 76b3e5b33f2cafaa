package sim_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strconv"
	"strings"
	"testing"
	"time"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/sluice-dev/sluice/test/poll"
	"github.com/sluice-dev/sluice/test/proxy"
	"github.com/sluice-dev/sluice/xds/bootstrap"
	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/istio"
	"github.com/sluice-dev/sluice/xds/manifest"
	"github.com/sluice-dev/sluice/xds/server"
)

const edgeObjects = `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  servers:
  - {port: {number: HTTP, name: http, protocol: HTTP}, bind: 127.0.0.1, hosts: [a.example], tls: {httpsRedirect: true}}
  - {port: {number: PLAIN, name: plain, protocol: HTTP}, bind: 127.0.0.1, hosts: ["*"]}
  - {port: {number: TLS, name: a, protocol: HTTPS}, bind: 127.0.0.1, hosts: [a.example], tls: {mode: SIMPLE, credentialName: a}}
  - {port: {number: TLS, name: b, protocol: HTTPS}, bind: 127.0.0.1, hosts: [b.example], tls: {mode: SIMPLE, credentialName: b}}
  - {port: {number: TLS, name: m, protocol: HTTPS}, bind: 127.0.0.1, hosts: [m.example], tls: {mode: MUTUAL, credentialName: m}}
  - {port: {number: TLS, name: o, protocol: HTTPS}, bind: 127.0.0.1, hosts: [o.example], tls: {mode: OPTIONAL_MUTUAL, credentialName: m}}
  - {port: {number: TLS, name: pass, protocol: TLS}, bind: 127.0.0.1, hosts: ["*.pass.example"], tls: {mode: PASSTHROUGH}}
  - {port: {number: TLS, name: inner, protocol: TLS}, bind: 127.0.0.1, hosts: [inner.example], tls: {mode: SIMPLE, credentialName: a}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: all, namespace: shop}
spec:
  hosts: ["*"]
  gateways: [edge]
  http:
  - match: [{port: PLAIN}]
    route: [{destination: {host: pay.example}}]
  - route: [{destination: {host: web.example}}]
  tls: [{match: [{sniHosts: [x.pass.example]}], route: [{destination: {host: raw.example}}]}]
  tcp: [{route: [{destination: {host: web.example}}]}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: web, namespace: shop}
spec: {hosts: [web.example], ports: [{number: WEB, name: http, protocol: HTTP}], resolution: STATIC, endpoints: [{address: 127.0.0.1}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: pay, namespace: shop}
spec: {hosts: [pay.example], ports: [{number: PAY, name: http, protocol: HTTP}], resolution: STATIC, endpoints: [{address: 127.0.0.1}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: raw, namespace: shop}
spec: {hosts: [raw.example], ports: [{number: PAY, name: tls, protocol: TLS}], resolution: STATIC, endpoints: [{address: 127.0.0.1}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: pay, namespace: shop}
spec: {host: pay.example, trafficPolicy: {tls: {mode: MUTUAL, credentialName: client}}}
`

// edge is a real Envoy at a gateway of certificates, fed by the compiler through our own server.
type edge struct {
	t       *testing.T
	text    string
	ports   map[string]int
	secrets map[string]*istio.Secret
	server  *server.Server
	proxy   *proxy.Proxy
}

func openEdge(t *testing.T) *edge {
	t.Helper()
	e := &edge{t: t, ports: map[string]int{}, secrets: map[string]*istio.Secret{}}
	ca := authority()
	web := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, in *http.Request) {
		fmt.Fprintf(out, "web %s", in.Header.Get("X-Forwarded-Client-Cert"))
	}))
	t.Cleanup(web.Close)
	pay := httptest.NewUnstartedServer(http.HandlerFunc(func(out http.ResponseWriter, in *http.Request) {
		fmt.Fprintf(out, "pay for %s", in.TLS.PeerCertificates[0].Subject.CommonName)
	}))
	pay.TLS = &tls.Config{
		Certificates: []tls.Certificate{ca.pair(t, "pay", "pay.example", "x.pass.example")}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.pool(),
	}
	pay.Config.ErrorLog = log.New(io.Discard, "", 0)
	pay.StartTLS()
	t.Cleanup(pay.Close)
	e.ports["WEB"], e.ports["PAY"] = web.Listener.Addr().(*net.TCPAddr).Port, pay.Listener.Addr().(*net.TCPAddr).Port
	e.text = edgeObjects
	for _, name := range []string{"HTTP", "PLAIN", "TLS"} {
		e.ports[name] = proxy.FreePort(t)
	}
	for name, port := range e.ports {
		e.text = strings.ReplaceAll(e.text, "number: "+name+",", "number: "+strconv.Itoa(port)+",")
		e.text = strings.ReplaceAll(e.text, "port: "+name+"}", "port: "+strconv.Itoa(port)+"}")
	}
	e.set("a", "tls", "a", "a.example", "inner.example")
	e.set("b", "tls", "b", "b.example")
	e.set("m", "crl", "m", "m.example", "o.example")
	e.set("client", "generic", "client", "client.example")
	e.serve()
	return e
}

// set makes a Secret with a certificate called by a name.
func (e *edge) set(secret, kind, name string, hosts ...string) {
	e.t.Helper()
	data := secretData(e.t, kind, hosts)
	cert, key := authority().issue(e.t, name, hosts...)
	data["tls.crt"], data["tls.key"] = cert, key
	delete(data, "cert")
	delete(data, "key")
	e.secrets[secret] = &istio.Secret{Namespace: "shop", Name: secret, Data: data}
}

// publish compiles what there is, and gives it to the proxy.
func (e *edge) publish() envoy.Resources {
	e.t.Helper()
	mesh := manifest.New()
	if err := mesh.Read("mesh.yaml", bytes.NewReader([]byte(e.text))); err != nil {
		e.t.Fatal(err)
	}
	in := mesh.Input("", "")
	for _, s := range e.secrets {
		in.Secrets = append(in.Secrets, s)
	}
	class := ir.ProxyClass{Kind: ir.KindGateway, Namespace: "shop"}
	cfg, _ := istio.Translate(in, class)
	res, err := envoy.Build(cfg)
	if err != nil {
		e.t.Fatal(err)
	}
	if err := e.server.Publish(e.t.Context(), class, res); err != nil {
		e.t.Fatal(err)
	}
	return res
}

func (e *edge) serve() {
	e.t.Helper()
	var err error
	if e.server, err = server.New(server.Config{Now: time.Now}); err != nil {
		e.t.Fatal(err)
	}
	l, err := (&net.ListenConfig{}).Listen(e.t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		e.t.Fatal(err)
	}
	ctx, done := e.t.Context(), make(chan error, 1)
	go func() { done <- e.server.Serve(ctx, l) }()
	e.t.Cleanup(func() {
		if err := <-done; err != nil {
			e.t.Error(err)
		}
	})
	res := e.publish()
	e.server.Open()
	file, err := bootstrap.JSON(bootstrap.Options{Kind: ir.KindGateway, Namespace: "shop", XDS: l.Addr().String(), Admin: "127.0.0.1:0"})
	if err != nil {
		e.t.Fatal(err)
	}
	e.proxy = proxy.Start(e.t, file)
	e.proxy.WaitLive(e.t)
	e.eventually(func() error {
		if got := len(e.listeners()); got != len(res.Listeners) {
			return fmt.Errorf("%d of %d listeners", got, len(res.Listeners))
		}
		return nil
	})
}

func (e *edge) eventually(f func() error) {
	e.t.Helper()
	if err := poll.Until(rigPatience, f); err != nil {
		e.t.Fatal(err)
	}
}

// listeners are the versions of the listeners that serve.
func (e *edge) listeners() map[string]string {
	e.t.Helper()
	var dump adminv3.ConfigDump
	if err := protojson.Unmarshal(e.proxy.ConfigDump(e.t), &dump); err != nil {
		e.t.Fatal(err)
	}
	out := map[string]string{}
	for _, c := range dump.GetConfigs() {
		var list adminv3.ListenersConfigDump
		if c.UnmarshalTo(&list) != nil {
			continue
		}
		for _, l := range list.GetDynamicListeners() {
			if l.GetActiveState() != nil {
				out[l.GetName()] = l.GetActiveState().GetVersionInfo()
			}
		}
	}
	return out
}

// client asks for a server name, checks it, and shows the certificates given.
func (e *edge) client(sni string, own ...tls.Certificate) *http.Client {
	transport := &http.Transport{
		ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{
			ServerName: sni, RootCAs: authority().pool(), MinVersion: tls.VersionTLS12,
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				if len(own) == 0 {
					return &tls.Certificate{}, nil
				}
				return &own[0], nil
			},
		},
	}
	e.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Timeout: 10 * time.Second, Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// get asks on a port, and gives the answer with its body.
func (e *edge) get(ctx context.Context, c *http.Client, scheme, port, host string) (*http.Response, string, error) {
	e.t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s://127.0.0.1:%d/x?y=1", scheme, e.ports[port]), nil)
	if err != nil {
		e.t.Fatal(err)
	}
	req.Host = host
	resp, err := c.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

// expect asks by TLS and wants an answer that begins so.
func (e *edge) expect(c *http.Client, host, want string) *http.Response {
	e.t.Helper()
	resp, body, err := e.get(e.t.Context(), c, "https", "TLS", host)
	if err != nil || resp.StatusCode != http.StatusOK || !strings.HasPrefix(body, want) {
		e.t.Fatalf("%s: %v %q %v, want 200 %q", host, resp, body, err, want)
	}
	return resp
}

// refuse asks by TLS and wants no answer.
func (e *edge) refuse(c *http.Client, host string) {
	e.t.Helper()
	if resp, _, err := e.get(e.t.Context(), c, "https", "TLS", host); err == nil {
		e.t.Errorf("%s is answered %d, want no connection", host, resp.StatusCode)
	}
}

func TestEnvoy_showsTheCertificateOfTheServerName(t *testing.T) {
	e := openEdge(t)
	for _, name := range []string{"a", "b"} {
		resp := e.expect(e.client(name+".example"), name+".example", "web")
		if got := resp.TLS.PeerCertificates[0].Subject.CommonName; got != name || resp.ProtoMajor != 2 {
			t.Errorf("%s.example: certificate %q, HTTP/%d; want %q by HTTP/2", name, got, resp.ProtoMajor, name)
		}
	}
	e.refuse(e.client("unknown.example"), "a.example")
	resp, _, err := e.get(t.Context(), e.client(""), "http", "HTTP", "a.example")
	if err != nil || resp.StatusCode != http.StatusMovedPermanently || resp.Header.Get("Location") != "https://a.example/x?y=1" {
		t.Errorf("a plain request: %v %v, want 301 to https", resp, err)
	}
	if _, _, err := e.get(t.Context(), e.client(""), "http", "TLS", "a.example"); err == nil {
		t.Error("a plain request on the secure port is answered")
	}

	ca, stranger := authority(), signer("foreign")
	e.refuse(e.client("m.example"), "m.example")
	e.refuse(e.client("m.example", stranger.pair(t, "client")), "m.example")
	e.refuse(e.client("m.example", ca.pair(t, "revoked")), "m.example")
	resp = e.expect(e.client("m.example", ca.pair(t, "client", "client.example")), "m.example", "web Hash=")
	_, body, err := e.get(t.Context(), e.client("m.example", ca.pair(t, "client", "client.example")), "https", "TLS", "m.example")
	for _, part := range []string{`Subject="CN=client"`, "DNS=client.example", "Cert="} {
		if err != nil || !strings.Contains(body, part) {
			t.Errorf("the upstream is told %q (%v) of the client, want %s in it", body, err, part)
		}
	}
	if got := resp.TLS.PeerCertificates[0].Subject.CommonName; got != "m" {
		t.Errorf("certificate %q, want m", got)
	}
	e.expect(e.client("o.example"), "o.example", "web")
	e.expect(e.client("o.example", ca.pair(t, "client")), "o.example", "web Hash=")
	e.refuse(e.client("o.example", stranger.pair(t, "client")), "o.example")
}

func TestEnvoy_forwardsByTheServerNameAndEncryptsAgain(t *testing.T) {
	e := openEdge(t)
	own := authority().pair(t, "through", "through.example")
	resp := e.expect(e.client("x.pass.example", own), "x.pass.example", "pay for through")
	if got := resp.TLS.PeerCertificates[0].Subject.CommonName; got != "pay" {
		t.Errorf("passed through: certificate %q, want that of the backend", got)
	}
	e.refuse(e.client("y.pass.example", own), "y.pass.example")
	resp = e.expect(e.client("inner.example"), "inner.example", "web")
	if got := resp.TLS.PeerCertificates[0].Subject.CommonName; got != "a" || resp.ProtoMajor != 1 {
		t.Errorf("ended and forwarded: certificate %q by HTTP/%d, want a by HTTP/1", got, resp.ProtoMajor)
	}
	for host, want := range map[string]int{"pay.example": http.StatusOK, "other.example": http.StatusServiceUnavailable} {
		resp, body, err := e.get(t.Context(), e.client(""), "http", "PLAIN", host)
		if err != nil || resp.StatusCode != want || (want == http.StatusOK && body != "pay for client") {
			t.Errorf("encrypted for %s: %v %q %v, want %d", host, resp, body, err, want)
		}
	}
}

func TestEnvoy_takesANewCertificateWithoutANewListener(t *testing.T) {
	e := openEdge(t)
	before, open := e.listeners(), e.client("a.example")
	e.expect(open, "a.example", "web")
	e.set("a", "tls", "renewed", "a.example", "inner.example")
	e.publish()
	e.eventually(func() error {
		resp, _, err := e.get(t.Context(), e.client("a.example"), "https", "TLS", "a.example")
		if err != nil || resp.TLS.PeerCertificates[0].Subject.CommonName != "renewed" {
			return fmt.Errorf("a new connection: %v %w", resp, err)
		}
		return nil
	})
	reused := false
	trace := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused }})
	if resp, _, err := e.get(trace, open, "https", "TLS", "a.example"); err != nil || !reused || resp.TLS.PeerCertificates[0].Subject.CommonName != "a" {
		t.Errorf("the open connection: %v %v, reused %v; want it to serve on", resp, err, reused)
	}
	for name, version := range e.listeners() {
		if before[name] != version {
			t.Errorf("listener %s went from version %s to %s", name, before[name], version)
		}
	}
}

func TestEnvoy_servesTheOthersWhileASecretIsMissing(t *testing.T) {
	e := openEdge(t)
	secret := e.secrets["b"]
	delete(e.secrets, "b")
	e.publish()
	answered := func() error {
		_, _, err := e.get(t.Context(), e.client("b.example"), "https", "TLS", "b.example")
		return err
	}
	e.eventually(func() error {
		if answered() == nil {
			return errors.New("a server without its Secret still answers")
		}
		return nil
	})
	e.expect(e.client("a.example"), "a.example", "web")
	e.secrets["b"] = secret
	e.publish()
	e.eventually(answered)
}
