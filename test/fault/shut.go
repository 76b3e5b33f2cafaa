package fault

import (
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/test/poll"
)

// reopenWithin is how long another program may have the address of a door that was shut.
const reopenWithin = 10 * time.Second

// admit lets in who comes to a listener.
func (d *Door) admit(l net.Listener) {
	server := &http.Server{Handler: d, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
	d.mu.Lock()
	d.server = server
	d.mu.Unlock()
	d.proxy.running.Go(func() { _ = server.Serve(l) }) // always http.ErrServerClosed
}

// Shut cuts off who is connected, and has connections refused, as the API server does that is being restarted. Reopen
// ends it.
func (d *Door) Shut() {
	d.mu.Lock()
	server := d.server
	d.mu.Unlock()
	_ = server.Close() // what is left of it does not matter
}

// Reopen lets clients in again, at the same address.
func (d *Door) Reopen(t testing.TB) {
	t.Helper()
	var l net.Listener
	err := poll.Until(reopenWithin, func() (err error) {
		l, err = (&net.ListenConfig{}).Listen(t.Context(), "tcp", d.addr)
		return err
	})
	if d.dead.Err() != nil {
		err = errors.Join(err, errors.New("the door is closed for good"))
	}
	if err != nil {
		t.Fatal(err)
	}
	d.admit(l)
}
