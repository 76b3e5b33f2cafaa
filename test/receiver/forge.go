package receiver

import (
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
)

// maxAsked is how much of a request's body is kept.
const maxAsked = 1 << 20

// Asked is a request that came to a Forge.
type Asked struct {
	Method, Path string // Path with its query, as it was sent
	Header       http.Header
	Body         map[string]any
	Status       int // of the answer
}

// Answer is what a Forge says to a request instead of 201 and an empty object.
type Answer struct {
	Status int
	Header map[string]string
	Body   string
}

// Forge is the API of a forge that records what it is asked, over HTTPS on loopback.
type Forge struct {
	server *httptest.Server

	mu     sync.Mutex
	asked  []Asked            // guarded by mu, as is answer
	answer func(Asked) Answer // nil: 201
}

// StartForge starts a Forge. answer decides what it says; nil: 201 to everything.
func StartForge(answer func(Asked) Answer) *Forge {
	f := &Forge{answer: answer}
	f.server = httptest.NewTLSServer(f)
	return f
}

// Close stops it.
func (f *Forge) Close() { f.server.Close() }

// URL is its address, without a slash at the end.
func (f *Forge) URL() string { return f.server.URL }

// CA is the certificate to trust, in PEM.
func (f *Forge) CA() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.server.Certificate().Raw})
}

// Asked gives what it was asked so far.
func (f *Forge) Asked() []Asked {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.asked)
}

// Of gives what it was asked at paths that contain text.
func (f *Forge) Of(text string) []Asked {
	return slices.DeleteFunc(f.Asked(), func(a Asked) bool { return !strings.Contains(a.Path, text) })
}

// ServeHTTP implements http.Handler.
func (f *Forge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(io.LimitReader(r.Body, maxAsked))
	a := Asked{Method: r.Method, Path: r.URL.RequestURI(), Header: r.Header.Clone()}
	said := Answer{Status: http.StatusCreated, Body: "{}"}
	if err != nil || len(raw) > 0 && json.Unmarshal(raw, &a.Body) != nil {
		said = Answer{Status: http.StatusBadRequest, Body: "not JSON"}
	} else if f.answer != nil {
		said = f.answer(a)
	}
	a.Status = said.Status
	f.mu.Lock()
	f.asked = append(f.asked, a)
	f.mu.Unlock()
	for name, value := range said.Header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(said.Status)
	_, _ = io.WriteString(w, said.Body) // a client that went away
}

// Client is one that trusts it.
func (f *Forge) Client() *http.Client { return f.server.Client() }
