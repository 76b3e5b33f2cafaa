package egress

import (
	"context"
	"fmt"
	"net/netip"
)

// Vet refuses a host that somebody else, a proxy, is asked to dial: an address that is denied, or a name that has one.
// A name that does not resolve here is the proxy's to resolve.
func (g *Guard) Vet(ctx context.Context, host string) error {
	if a, err := netip.ParseAddr(host); err == nil {
		return g.policy.Check(a)
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	addrs, err := g.resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil //nolint:nilerr // where only the proxy resolves names, there is nothing to look at
	}
	for _, a := range addrs {
		if err := g.policy.Check(a); err != nil {
			return fmt.Errorf("%s resolves to %w", host, err)
		}
	}
	return nil
}
