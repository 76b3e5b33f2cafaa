package app

import (
	"time"

	rolloutcontroller "github.com/sluice-dev/sluice/rollout/controller"
	"github.com/sluice-dev/sluice/xds/fleet"
	"github.com/sluice-dev/sluice/xds/ir"
)

// heard is the fleet with what its proxies report to this replica.
func (p deliveryParts) heard(c Config) rolloutcontroller.Fleet {
	out := listened{Reader: p.fleet, Loads: p.loads}
	if c.Proxies.IgnoreLoads {
		out.Loads = unheard{}
	}
	return out
}

// listened puts together who knows how far proxies are and who hears their reports.
type listened struct {
	*fleet.Reader
	rolloutcontroller.Loads
}

// unheard are reports that do not count.
type unheard struct{}

// LoadsOf implements rolloutcontroller.Loads.
func (unheard) LoadsOf([]string, time.Time) []ir.Load { return nil }

// Reported implements rolloutcontroller.Loads: it is never closed.
func (unheard) Reported() <-chan struct{} { return nil }
