package port

import (
	"net"
	"testing"
)

// on gives the port of a listener, which is closed with the test.
func on(t *testing.T, wanted int) int {
	t.Helper()
	l, err := Listen(wanted)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().(*net.TCPAddr).Port
}

func TestListen_takesTheWantedPort(t *testing.T) {
	l, err := Listen(0)
	if err != nil {
		t.Fatal(err)
	}
	free := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got := on(t, free); got != free {
		t.Errorf("listens on %d, want %d, which is free", got, free)
	}
}

// An outgoing connection, of which a loaded machine makes hundreds a second, may get any port that the system gives: who took such
// a port, was killed and comes back would find it taken.
func TestListen_takesNoPortThatOutgoingConnectionsGet(t *testing.T) {
	for _, wanted := range []int{0, on(t, 0)} {
		if got := on(t, wanted); got < first || got > last || got == wanted {
			t.Errorf("where %d is wanted it listens on %d, want one from %d to %d", wanted, got, first, last)
		}
	}
}
