package istio

import (
	"net/netip"
	"slices"

	"github.com/sluice-dev/sluice/xds/ir"
)

// AddressOf is the address that a client of a class dials when it means a host, as DNS would tell it: that of the service,
// or of one of its instances. Empty: the services of the input say none.
func AddressOf(in Input, class ir.ProxyClass, host string) string {
	p := newPlanner(class)
	p.plan(newIndex(in, nil))
	t := &translator{mesh: p, class: class, labels: p.labels, found: &findings{}, unit: &unit{}}
	for _, s := range p.visible {
		if !slices.Contains(t.domainsOf(s.shape.Host, nil), host) {
			continue
		}
		for _, vip := range s.shape.VIPs {
			if a, err := netip.ParseAddr(vip); err == nil {
				return a.String()
			}
		}
		if headless(*s.shape) && len(s.endpoints.list) > 0 {
			return s.endpoints.list[0].Address
		}
	}
	return ""
}
