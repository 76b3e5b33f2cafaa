package app

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/test/proxy"
)

// A connection that was asked for while nobody listened is made when somebody does.
func TestDialUntilBack_waitsForAListener(t *testing.T) {
	t.Parallel()
	addr := fmt.Sprintf("127.0.0.1:%d", proxy.FreePort(t)) // nobody takes it meanwhile
	got := make(chan error, 1)
	go func() {
		conn, err := dialUntilBack(t.Context(), "tcp", addr)
		if err == nil {
			err = conn.Close()
		}
		got <- err
	}()
	wait := time.NewTimer(3 * tryEvery / 2)
	select {
	case err := <-got:
		t.Fatalf("nobody listens, and the answer is %v", err)
	case <-wait.C:
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := <-got; err != nil {
		t.Error(err)
	}
}

// Whoever does not wait that long is told why.
func TestDialUntilBack_endsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := dialUntilBack(ctx, "tcp", "127.0.0.1:1"); err == nil {
		t.Error("somebody answers at port 1")
	}
}
