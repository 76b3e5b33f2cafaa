package stack

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/sluice-dev/sluice/standalone/port"
)

// address is a loopback address that was chosen for somebody who will listen on it, and the sign that it is taken: the UDP port of
// the same number on another loopback address, which nobody uses otherwise. Another start at the same moment sees the sign and
// chooses another. It goes with its process, however that ends.
type address struct {
	text string
	sign net.PacketConn // nil: this machine has one loopback address only, as macOS has
}

const signAddress = "127.0.0.2"

// tries are how many free ports are looked at.
const tries = 100

// choose gives a loopback address nobody listens on, and nobody is about to: with the wanted port, or with another when that is taken.
func choose(wanted int) (*address, error) {
	a, err := claim(wanted)
	for i := 0; err != nil && i < tries; i++ {
		a, err = claim(0)
	}
	if err != nil {
		return nil, fmt.Errorf("choosing an address: %w", err)
	}
	return a, nil
}

// claim takes a port, 0: a free one.
func claim(wanted int) (*address, error) {
	l, err := port.Listen(wanted)
	if err != nil {
		return nil, err
	}
	taken := l.Addr().(*net.TCPAddr)
	sign, err := net.ListenPacket("udp", fmt.Sprintf("%s:%d", signAddress, taken.Port)) // while the port is held: of two who try, one gets both
	if errors.Is(err, syscall.EADDRNOTAVAIL) {
		sign, err = nil, nil
	}
	a := &address{text: taken.String(), sign: sign}
	if err := errors.Join(err, l.Close()); err != nil {
		a.release()
		return nil, err
	}
	return a, nil
}

// release takes the sign away: whoever the address was for listens, or will not.
func (a *address) release() {
	if a.sign != nil {
		_ = a.sign.Close() // nothing was sent or received
	}
}
