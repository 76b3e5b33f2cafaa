package app

import (
	"errors"
	"fmt"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	xdscontroller "github.com/sluice-dev/sluice/xds/controller"
	"github.com/sluice-dev/sluice/xds/fleet"
	"github.com/sluice-dev/sluice/xds/ir"
	xdsserver "github.com/sluice-dev/sluice/xds/server"
)

// own is what this replica knows of its proxies, and of what they do not ask for.
type own struct {
	*xdsserver.Server
	mesh *xdscontroller.Controller
}

// Splits implements fleet.Own.
func (o own) Splits() []ir.SplitUse { return o.mesh.Splits() }

// Report implements fleet.Ledger.
func (o own) Report() ir.Report { return fleet.Complete(o.Server.Report(), o.mesh.Splits()) }

// addFleet lets this replica write what it knows of its proxies, and read what the others know of theirs. Of what proxies report
// each replica tells the one that decides.
func addFleet(mgr ctrl.Manager, c Config, o own) (*fleet.Reader, error) {
	direct, err := client.New(mgr.GetConfig(), client.Options{Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(), HTTPClient: mgr.GetHTTPClient()})
	if err != nil {
		return nil, fmt.Errorf("making the client of fleet reports: %w", err)
	}
	reading := fleet.ReaderConfig{
		Cache: mgr.GetCache(), Client: direct, Own: o, Namespace: c.Namespace, Replica: c.Replica, Now: Now, Log: c.Log,
	}
	shares := c.Leader.Election && !c.Proxies.IgnoreLoads
	if shares {
		reading.Leader, reading.Hear = leaseName, o.Hear
	}
	r, err := fleet.NewReader(reading)
	if err != nil {
		return nil, err
	}
	writing := fleet.Config{Client: direct, Ledger: o, Namespace: c.Namespace, Replica: c.Replica, Now: Now, Log: c.Log}
	if shares {
		writing.Tells = fleet.Tells{Share: o.Share, Leader: r.Leader}
	}
	w, err := fleet.New(writing)
	if err != nil {
		return nil, err
	}
	return r, errors.Join(mgr.Add(w), mgr.Add(r))
}
