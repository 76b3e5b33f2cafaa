package fault

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// lateAfter is how long after the client was cut off a late request is forwarded.
const lateAfter = 100 * time.Millisecond

// Write is a request that was to change something.
type Write struct {
	N     int
	Key   Key
	Body  []byte
	Fault Mode
	Code  int // of the server's answer, whether or not the client got it; 0: it was not asked
}

// Accepted reports that the server did as it was asked.
func (w Write) Accepted() bool { return w.Code >= 200 && w.Code < 300 }

// Proxy is the place where requests go wrong.
type Proxy struct {
	server    *url.URL
	transport http.RoundTripper
	end       context.Context
	running   sync.WaitGroup

	mu     sync.Mutex // guards the rest
	rules  []*Active
	writes []Write
	up     chan struct{} // closed: the server can be reached
}

// Start makes a proxy before the API server, for as long as the test runs.
func Start(t testing.TB, cfg *rest.Config) *Proxy {
	t.Helper()
	transport, err := rest.TransportFor(cfg)
	if err != nil {
		t.Fatal(err)
	}
	server, _, err := rest.DefaultServerUrlFor(cfg)
	if err != nil {
		t.Fatal(err)
	}
	end, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	p := &Proxy{server: server, transport: transport, end: end, up: make(chan struct{})}
	close(p.up)
	t.Cleanup(func() {
		cancel()
		p.running.Wait()
	})
	return p
}

// Add puts a rule in force. The first that applies to a request is used.
func (p *Proxy) Add(r Rule) *Active {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := newActive(r)
	p.rules = append(p.rules, a)
	return a
}

// Silence lets nothing through in either direction, and no connection end, until Resume.
func (p *Proxy) Silence() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.up:
		p.up = make(chan struct{})
	default:
	}
}

// Resume ends a Silence.
func (p *Proxy) Resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.up:
	default:
		close(p.up)
	}
}

// Writes are all writes so far, in the order in which they came.
func (p *Proxy) Writes() []Write {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Write(nil), p.writes...)
}

// note writes a request down and says what is to become of it.
func (p *Proxy) note(k Key, body []byte) (n int, a *Active) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.rules {
		if r.applies(k, body) && a == nil {
			a = r
		}
	}
	if !k.Writes() {
		return -1, a
	}
	w := Write{N: len(p.writes), Key: k, Body: body}
	if a != nil {
		w.Fault = a.rule.Mode
	}
	p.writes = append(p.writes, w)
	return w.N, a
}

func (p *Proxy) answered(n, code int) {
	if n < 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writes[n].Code = code
}

// passable returns when the server can be reached, or ctx has ended.
func (p *Proxy) passable(ctx context.Context) error {
	p.mu.Lock()
	up := p.up
	p.mu.Unlock()
	select {
	case <-up:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-p.end.Done():
		return p.end.Err()
	}
}

// Door is where one process enters.
type Door struct {
	proxy *Proxy
	name  string
	addr  string
	dead  context.Context
	kill  context.CancelFunc

	mu     sync.Mutex   // guards the rest
	server *http.Server // that lets in who comes
}

// Open makes a door.
func (p *Proxy) Open(t testing.TB, name string) *Door {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &Door{proxy: p, name: name, addr: l.Addr().String()}
	d.dead, d.kill = context.WithCancel(p.end)
	d.admit(l)
	p.running.Go(func() {
		<-d.dead.Done()
		d.Shut()
	})
	t.Cleanup(d.Close)
	return d
}

// Config is how a client reaches the API server by the door.
func (d *Door) Config() *rest.Config {
	return &rest.Config{Host: "http://" + d.addr, QPS: -1}
}

// URL is where the door is.
func (d *Door) URL() string { return "http://" + d.addr }

// Close ends every connection of the process, and lets no other in.
func (d *Door) Close() { d.kill() }

// ServeHTTP implements http.Handler.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || d.dead.Err() != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if d.proxy.passable(r.Context()) != nil {
		panic(http.ErrAbortHandler)
	}
	n, a := d.proxy.note(keyOf(d.name, r), body)
	if a == nil {
		d.forward(w, r, n)
		return
	}
	if a.rule.Kill && a.rule.Mode != Applied {
		d.kill()
	}
	switch a.rule.Mode {
	case Before:
		panic(http.ErrAbortHandler)
	case Applied:
		d.alone(r, body, n)
		if a.rule.Kill {
			d.kill()
		}
		panic(http.ErrAbortHandler)
	case Late:
		out := r.Clone(d.proxy.end)
		d.proxy.running.Go(func() {
			d.after(lateAfter)
			d.alone(out, body, n)
		})
		panic(http.ErrAbortHandler)
	case Held:
		d.held(w, r, heldRequest{a, body, n})
	case Forward:
		d.forward(w, r, n)
	case Conflict, Invalid, TooMany, Broken, Full:
		reply(w, a.rule.Mode)
	}
}

// heldRequest is one that waits for its rule to let it go.
type heldRequest struct {
	rule *Active
	body []byte
	n    int
}

func (d *Door) held(w http.ResponseWriter, r *http.Request, h heldRequest) {
	select {
	case <-h.rule.free:
	case <-d.proxy.end.Done():
		panic(http.ErrAbortHandler)
	}
	if r.Context().Err() == nil {
		d.forward(w, r, h.n)
		return
	}
	d.alone(r, h.body, h.n)
	panic(http.ErrAbortHandler)
}

func (d *Door) after(wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-d.proxy.end.Done():
	}
}

// alone forwards a request for which nobody waits any more.
func (d *Door) alone(r *http.Request, body []byte, n int) {
	out := r.Clone(d.proxy.end)
	out.RequestURI, out.Body = "", io.NopCloser(bytes.NewReader(body))
	out.URL.Scheme, out.URL.Host, out.Host = d.proxy.server.Scheme, d.proxy.server.Host, ""
	resp, err := d.proxy.transport.RoundTrip(out)
	if err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, resp.Body) // what it says nobody reads
	_ = resp.Body.Close()
	d.proxy.answered(n, resp.StatusCode)
}

func (d *Door) forward(w http.ResponseWriter, r *http.Request, n int) {
	rp := &httputil.ReverseProxy{
		Rewrite:       func(pr *httputil.ProxyRequest) { pr.SetURL(d.proxy.server); pr.Out.Host = "" },
		Transport:     d.proxy.transport,
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0),
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		ModifyResponse: func(resp *http.Response) error {
			d.proxy.answered(n, resp.StatusCode)
			resp.Body = &gated{ReadCloser: resp.Body, door: d, of: r.Context()}
			return nil
		},
	}
	rp.ServeHTTP(w, r)
}

// gated is an answer that stands still during a Silence.
type gated struct {
	io.ReadCloser
	door *Door
	of   context.Context
}

// Read implements io.Reader.
func (g *gated) Read(b []byte) (int, error) {
	n, err := g.ReadCloser.Read(b)
	if wait := g.door.proxy.passable(g.of); wait != nil {
		return 0, wait
	}
	return n, err
}

// reply refuses a request as the API server would.
func reply(w http.ResponseWriter, m Mode) {
	code, reason := m.status()
	message := fmt.Sprintf("injected: %s", m)
	if m == Full {
		message = NoSpace
	}
	w.Header().Set("Content-Type", "application/json")
	if m == TooMany {
		w.Header().Set("Retry-After", "1")
	}
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
		"message": message}) // a client that is gone needs no answer
}
