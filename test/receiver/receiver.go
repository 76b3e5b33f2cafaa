// Package receiver is the other end of Sluice's webhooks: it checks Standard Webhooks signatures, keeps every note that
// comes, says which came twice, and answers as it is told to. Tests and the demo use it; it never sends anything.
//
//	r, err := receiver.Start(ctx, receiver.Config{Secret: "whsec_..."})
//	r.Script(receiver.Reply{Status: 503, RetryAfter: time.Second}) // the next answer; 200 after that
//	counts := r.Counts()
package receiver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const maxBody = 1 << 20

// Config says what is listened on and which secret signs.
type Config struct {
	Addr   string     // "127.0.0.1:0"
	Secret string     // whsec_ and base64
	OnNote func(Note) // called for each delivery, before it is answered; nil: nobody listens
	TLS    bool       // https, with a certificate that nobody trusts who does not know CA
}

// Reply is a scripted answer.
type Reply struct {
	Status     int
	RetryAfter time.Duration // whole seconds
	Delay      time.Duration // before it, unless the sender goes away first
	Location   string        // of a redirect
}

// Note is one delivery, in the order of arrival.
type Note struct {
	ID        string
	Kind      string // the last part but one of the event's type, as in dev.sluice.rollout.<kind>.v1
	At        time.Time
	Problem   string // why it was refused; empty: the signature holds and the body is an event
	Status    int    // what it was answered
	Duplicate bool   // a note of this id was accepted before
	Body      []byte
}

// Verified reports that the note was signed by the secret and readable.
func (n Note) Verified() bool { return n.Problem == "" }

// Accepted reports that the sender was told that the note has arrived.
func (n Note) Accepted() bool { return n.Status >= 200 && n.Status <= 299 }

// Counts sums up the deliveries.
type Counts struct {
	Sent      int // distinct ids that were accepted
	Verified  int // distinct ids that were accepted and verified
	Duplicate int // deliveries of an id that was accepted before
	Refused   int // deliveries with a bad signature or an unreadable body
}

// Receiver is a listening receiver. Its methods may be called from any goroutine.
type Receiver struct {
	secret string
	onNote func(Note)
	addr   string
	http   *http.Server
	done   chan struct{}
	cert   *x509.Certificate // nil: plain http

	mu       sync.Mutex // guards what follows
	script   []Reply
	notes    []Note
	accepted map[string]bool
}

// Start listens until Close.
func Start(ctx context.Context, cfg Config) (*Receiver, error) {
	if cfg.Addr == "" {
		cfg.Addr = "127.0.0.1:0"
	}
	if _, err := secretKey(cfg.Secret); err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("starting the webhook receiver: %w", err)
	}
	r := &Receiver{secret: cfg.Secret, onNote: cfg.OnNote, addr: l.Addr().String(), done: make(chan struct{}), accepted: map[string]bool{}}
	r.http = &http.Server{Handler: r, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	if cfg.TLS {
		l = r.secure(l)
	}
	go func() {
		defer close(r.done)
		_ = r.http.Serve(l) // always http.ErrServerClosed
	}()
	return r, nil
}

// secure gives a listener that speaks TLS with the certificate of Go's own test servers.
func (r *Receiver) secure(l net.Listener) net.Listener {
	template := httptest.NewUnstartedServer(nil)
	template.StartTLS()
	defer template.Close()
	r.cert = template.Certificate()
	return tls.NewListener(l, template.TLS.Clone())
}

// CA is the certificate to trust, in PEM; nil without TLS.
func (r *Receiver) CA() []byte {
	if r.cert == nil {
		return nil
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.cert.Raw})
}

// URL is where notes are to be posted.
func (r *Receiver) URL() string {
	if r.cert != nil {
		return "https://" + r.addr + "/notes"
	}
	return "http://" + r.addr + "/notes"
}

// Script queues answers for the next deliveries; when they are used up, good notes get 200 and bad ones 401 again.
func (r *Receiver) Script(replies ...Reply) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.script = append(r.script, replies...)
}

// Notes gives all deliveries so far.
func (r *Receiver) Notes() []Note {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.notes)
}

// Counts sums up the deliveries so far.
func (r *Receiver) Counts() Counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	var c Counts
	for _, n := range r.notes {
		if n.Duplicate {
			c.Duplicate++
		}
		if !n.Verified() {
			c.Refused++
		}
		if n.Accepted() && !n.Duplicate {
			c.Sent++
			if n.Verified() {
				c.Verified++
			}
		}
	}
	return c
}

// Close stops listening and breaks what is under way.
func (r *Receiver) Close() error {
	err := r.http.Close()
	<-r.done
	return err
}

// ServeHTTP implements http.Handler.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	at := time.Now()
	if req.Method != http.MethodPost {
		http.Error(w, "notes are posted", http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxBody))
	if err != nil {
		http.Error(w, "reading the note: "+err.Error(), http.StatusBadRequest)
		return
	}
	note := Note{ID: req.Header.Get("webhook-id"), At: at, Body: body, Status: http.StatusOK}
	if note.Kind, err = kindOf(body); err != nil {
		note.Problem, note.Status = err.Error(), http.StatusBadRequest
	}
	if err := Verify(r.secret, req.Header, body, at); err != nil {
		note.Problem, note.Status = err.Error(), http.StatusUnauthorized
	}
	if !r.scripted(w, req, &note) {
		return
	}
	r.keep(w, note)
}

// scripted lets a note have the next scripted answer; false says that the sender went away before it.
func (r *Receiver) scripted(w http.ResponseWriter, req *http.Request, note *Note) bool {
	r.mu.Lock()
	var reply Reply
	if len(r.script) > 0 {
		reply, r.script = r.script[0], r.script[1:]
	}
	r.mu.Unlock()
	if reply.Delay > 0 {
		timer := time.NewTimer(reply.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-req.Context().Done():
			return false
		}
	}
	if reply.Status > 0 {
		note.Status = reply.Status
	}
	if reply.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(reply.RetryAfter/time.Second)))
	}
	if reply.Location != "" {
		w.Header().Set("Location", reply.Location)
	}
	return true
}

func (r *Receiver) keep(w http.ResponseWriter, note Note) {
	r.mu.Lock()
	defer r.mu.Unlock()
	note.Duplicate = r.accepted[note.ID]
	if note.Accepted() {
		r.accepted[note.ID] = true
	}
	r.notes = append(r.notes, note)
	if r.onNote != nil {
		r.onNote(note)
	}
	w.WriteHeader(note.Status)
}

// kindOf reads the kind from a CloudEvent in structured JSON.
func kindOf(body []byte) (string, error) {
	var event struct {
		SpecVersion string `json:"specversion"`
		Type        string `json:"type"`
	}
	if err := json.Unmarshal(body, &event); err != nil {
		return "", fmt.Errorf("the body is not a CloudEvent: %w", err)
	}
	parts := strings.Split(event.Type, ".")
	if event.SpecVersion != "1.0" || len(parts) < 2 {
		return "", fmt.Errorf("the body is not a CloudEvent 1.0 with a type: specversion %q, type %q", event.SpecVersion, event.Type)
	}
	return parts[len(parts)-2], nil
}
