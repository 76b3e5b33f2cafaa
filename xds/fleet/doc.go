// Package fleet writes what one replica knows of its proxies: the FleetReport of its name, which goes with a Lease that
// the replica renews. It decides when to write, never what counts: that is the ledger's. Every replica runs it.
//
//	w, err := fleet.New(fleet.Config{Client: c, Ledger: server, Namespace: "sluice-system", Replica: "sluice-0", Now: now})
//	err = mgr.Add(w)
//
// A split that is rendered anew, one that every proxy runs, and a new rejection are written at once; everything else
// is gathered for a quarter of a second; and never more than four times in a second. What has not changed is not written.
package fleet
