package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Held are Certificates in memory. The zero value holds none: until some are put, nobody gets in by a door that has it.
type Held struct {
	mu            sync.Mutex // guards the rest
	cert, key, ca []byte
	count         uint64 // how often some were put
}

// Put replaces what is held, in PEM. As with files it counts for new connections, if it fits together.
func (h *Held) Put(cert, key, ca []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cert, h.key, h.ca, h.count = slices.Clone(cert), slices.Clone(key), slices.Clone(ca), h.count+1
}

// Any reports whether some were put.
func (h *Held) Any() bool { return h.newer(0) }

func (h *Held) newer(than uint64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.count != than
}

func (h *Held) get() (cert, key, ca []byte, count uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.cert, h.key, h.ca, h.count
}

// Certificate is that of the server as it is held now, for other doors of the same process.
func (h *Held) Certificate() (*tls.Certificate, error) {
	cert, key, _, count := h.get()
	if count == 0 {
		return nil, errors.New("there is no certificate of this server yet")
	}
	out, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate of this server: %w", err)
	}
	return &out, nil
}
