package controller

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// Door is where webhooks come in. Cert and Key are files in PEM; without them it speaks plain text.
type Door struct {
	Address   string
	Cert, Key string
}

// ServeHooks listens until ctx ends. Certificates that cannot be used are an error at once.
func (c *Controller) ServeHooks(ctx context.Context, d Door) error {
	if (d.Cert == "") != (d.Key == "") {
		return errors.New("listening for webhooks: a certificate and its key belong together")
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", d.Address)
	if err != nil {
		return fmt.Errorf("listening for webhooks: %w", err)
	}
	defer listener.Close()
	server := &http.Server{Handler: c.Hooks(), ReadHeaderTimeout: headerTimeout, ReadTimeout: bodyTimeout + headerTimeout,
		WriteTimeout: bodyTimeout + headerTimeout + lookupFor, IdleTimeout: time.Minute, MaxHeaderBytes: maxHeader}
	if d.Cert != "" {
		pair := &certificate{door: d}
		if _, err := pair.get(nil); err != nil {
			return fmt.Errorf("listening for webhooks: %w", err)
		}
		listener = tls.NewListener(listener, &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: pair.get, NextProtos: []string{"http/1.1"}})
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// certificate is what the files hold; what was read before stays while they do not fit together, as in the middle of a
// change.
type certificate struct {
	door Door

	mu     sync.Mutex // guards what follows
	stamps [2]os.FileInfo
	pair   *tls.Certificate
}

// get gives each handshake what the files hold then.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	stamps, err := c.stat()
	if err == nil && c.pair != nil && sameFile(stamps[0], c.stamps[0]) && sameFile(stamps[1], c.stamps[1]) {
		return c.pair, nil
	}
	var pair tls.Certificate
	if err == nil {
		pair, err = tls.LoadX509KeyPair(c.door.Cert, c.door.Key)
	}
	if err != nil && c.pair == nil {
		return nil, fmt.Errorf("reading the certificate %s and its key %s: %w", c.door.Cert, c.door.Key, err)
	}
	if err == nil {
		c.pair, c.stamps = &pair, stamps
	}
	return c.pair, nil
}

func (c *certificate) stat() (stamps [2]os.FileInfo, err error) {
	for i, path := range []string{c.door.Cert, c.door.Key} {
		if stamps[i], err = os.Stat(path); err != nil {
			return stamps, err
		}
	}
	return stamps, nil
}

func sameFile(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}
