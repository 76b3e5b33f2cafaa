package egress

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
)

// Policy says which addresses may be dialled besides public ones. The zero value allows private networks, where
// receivers live, and nothing of the machine or its link.
type Policy struct {
	AllowLoopback bool           // 127.0.0.0/8 and ::1: a Sluice whose parts all run on one machine
	DenyPrivate   bool           // 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10, fc00::/7
	Deny          []netip.Prefix // never, such as the API server's
	Allow         []netip.Prefix // although DenyPrivate; never what Deny or the fixed list denies
	Proxy         *url.URL       // clients ask through it, http or https; where it is, is its owner's business. nil: none
}

// ErrDenied is wrapped by the error for an address that must not be dialled.
var ErrDenied = errors.New("address is not allowed")

// fixed are never dialled: metadata services, this network, documentation and reserved space beyond unicast.
func fixed() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"),
		netip.MustParsePrefix("100.100.100.200/32"), // a cloud's metadata service inside shared address space
		netip.MustParsePrefix("192.0.0.0/24"),
		netip.MustParsePrefix("240.0.0.0/4"),
		netip.MustParsePrefix("fd00:ec2::254/128"), // a cloud's metadata service inside unique local space
		netip.MustParsePrefix("fec0::/10"),         // site-local, deprecated
	}
}

// shared is carrier-grade NAT space, private in effect.
func shared() netip.Prefix { return netip.MustParsePrefix("100.64.0.0/10") }

// Check tells whether addr may be dialled; the error wraps ErrDenied and names the address and what it is.
func (p Policy) Check(addr netip.Addr) error {
	for _, a := range readings(addr) {
		if what := p.denied(a); what != "" {
			return fmt.Errorf("%s (%s): %w", addr, what, ErrDenied)
		}
	}
	return nil
}

func (p Policy) denied(a netip.Addr) string {
	switch {
	case !a.IsValid():
		return "not an address"
	case a.IsUnspecified():
		return "unspecified"
	case a.IsLoopback() && !p.AllowLoopback:
		return "loopback"
	case a.IsLoopback():
		return within(p.Deny, a)
	case a.IsMulticast():
		return "multicast"
	case a.IsLinkLocalUnicast():
		return "link-local"
	case within(fixed(), a) != "":
		return "reserved"
	}
	if what := within(p.Deny, a); what != "" {
		return what
	}
	if p.DenyPrivate && (a.IsPrivate() || shared().Contains(a)) && within(p.Allow, a) == "" {
		return "private"
	}
	return ""
}

func within(list []netip.Prefix, a netip.Addr) string {
	for _, prefix := range list {
		if prefix.Contains(a) {
			return "in " + prefix.String()
		}
	}
	return ""
}

// readings are the addresses that addr may stand for: itself and the IPv4 addresses that its forms of transition carry.
func readings(addr netip.Addr) []netip.Addr {
	addr = addr.WithZone("")
	if addr.Is4In6() {
		return []netip.Addr{addr.Unmap()}
	}
	out := []netip.Addr{addr}
	if !addr.Is6() {
		return out
	}
	b := addr.As16()
	tail := func(from int) netip.Addr { return netip.AddrFrom4([4]byte(b[from : from+4])) }
	switch {
	case netip.MustParsePrefix("64:ff9b::/96").Contains(addr), netip.MustParsePrefix("64:ff9b:1::/48").Contains(addr):
		out = append(out, tail(12)) // NAT64
	case netip.MustParsePrefix("2002::/16").Contains(addr):
		out = append(out, tail(2)) // 6to4
	case netip.MustParsePrefix("::/96").Contains(addr) && !addr.IsLoopback() && !addr.IsUnspecified():
		out = append(out, tail(12)) // IPv4-compatible, deprecated
	}
	return out
}
