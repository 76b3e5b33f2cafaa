package egress_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"github.com/sluice-dev/sluice/egress"
)

type book map[string][]netip.Addr

// LookupNetIP implements egress.Resolver.
func (n book) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if found, ok := n[host]; ok {
		return found, nil
	}
	return nil, errors.New("no such host")
}

func TestVet_looksAtWhatAProxyIsToDial(t *testing.T) {
	t.Parallel()
	guard := egress.NewWithResolver(egress.Policy{}, book{"good": {netip.MustParseAddr("192.0.2.1")},
		"bad": {netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("169.254.169.254")}})
	for host, denied := range map[string]bool{"192.0.2.1": false, "169.254.169.254": true, "127.0.0.1": true, "good": false, "bad": true, "only the proxy knows": false} {
		if err := guard.Vet(t.Context(), host); errors.Is(err, egress.ErrDenied) != denied {
			t.Errorf("Vet(%s) = %v, want denied: %v", host, err, denied)
		}
	}
}
