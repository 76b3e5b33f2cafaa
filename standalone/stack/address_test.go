package stack

import (
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
)

// freePort is a port that nobody listens on.
func freePort(t *testing.T) int {
	t.Helper()
	a, err := choose(0)
	if err != nil {
		t.Fatal(err)
	}
	defer a.release()
	return portOf(t, a.text)
}

func portOf(t *testing.T, addr string) int {
	t.Helper()
	_, text, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// Those who start at the same moment want the same port. Each gets one of its own, though nobody listens yet.
func TestChoose_twoStartsNeverShareAPort(t *testing.T) {
	wanted := freePort(t)
	var running sync.WaitGroup
	got := make([]*address, 20)
	for i := range got {
		running.Go(func() { got[i], _ = choose(wanted) })
	}
	running.Wait()
	var ports []int
	for _, a := range got {
		if a == nil {
			t.Fatal("somebody got no address")
		}
		defer a.release()
		ports = append(ports, portOf(t, a.text))
	}
	slices.Sort(ports)
	if all := len(slices.Compact(slices.Clone(ports))); all != len(got) {
		t.Errorf("%d starts chose %d ports: %v", len(got), all, ports)
	}
}

func TestChoose_aBusyPortIsReplacedAndAReleasedOneTaken(t *testing.T) {
	wanted := freePort(t)
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(wanted)))
	if err != nil {
		t.Fatal(err)
	}
	other, err := choose(wanted)
	if err != nil {
		t.Fatal(err)
	}
	other.release()
	if portOf(t, other.text) == wanted {
		t.Errorf("a port that somebody listens on is chosen: %s", other.text)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	first, err := choose(wanted)
	if err != nil {
		t.Fatal(err)
	}
	second, err := choose(wanted)
	if err != nil {
		t.Fatal(err)
	}
	second.release()
	if portOf(t, first.text) != wanted || portOf(t, second.text) == wanted {
		t.Errorf("%s and %s are chosen, want %d only for the first", first.text, second.text, wanted)
	}
	first.release()
	third, err := choose(wanted)
	if err != nil {
		t.Fatal(err)
	}
	third.release()
	if portOf(t, third.text) != wanted {
		t.Errorf("after its release the port is not chosen again: %s", third.text)
	}
}
