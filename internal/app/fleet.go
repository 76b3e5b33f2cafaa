package app

import (
	"fmt"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/xds/fleet"
	xdsserver "github.com/sluice-dev/sluice/xds/server"
)

// addFleet lets this replica write what it knows of its proxies.
func addFleet(mgr ctrl.Manager, c Config, proxies *xdsserver.Server) error {
	direct, err := client.New(mgr.GetConfig(), client.Options{Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(), HTTPClient: mgr.GetHTTPClient()})
	if err != nil {
		return fmt.Errorf("making the client of fleet reports: %w", err)
	}
	w, err := fleet.New(fleet.Config{Client: direct, Ledger: proxies, Namespace: c.Namespace, Replica: c.Replica, Now: Now, Log: c.Log})
	if err != nil {
		return err
	}
	return mgr.Add(w)
}
