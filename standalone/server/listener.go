package server

import (
	"net"
	"sync"

	"github.com/sluice-dev/sluice/standalone/port"
)

// listener remembers its open connections, so that a stop need not wait for clients that watch.
type listener struct {
	net.Listener

	mu   sync.Mutex // guards open
	open map[net.Conn]struct{}
}

// listen takes the wanted port, or a free one when it is busy or not wanted.
func listen(wanted int) (*listener, error) {
	l, err := port.Listen(wanted)
	if err != nil {
		return nil, err
	}
	return &listener{Listener: l, open: map[net.Conn]struct{}{}}, nil
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	t := &conn{Conn: c, of: l}
	l.open[t] = struct{}{}
	return t, nil
}

// cut closes every connection that is still open.
func (l *listener) cut() {
	l.mu.Lock()
	var all []net.Conn
	for c := range l.open {
		all = append(all, c)
	}
	l.mu.Unlock()
	for _, c := range all {
		_ = c.Close() // whoever is at the other end learns it
	}
}

// conn is a connection that its listener knows.
type conn struct {
	net.Conn
	of *listener
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}
