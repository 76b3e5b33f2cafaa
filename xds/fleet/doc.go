// Package fleet writes what one replica knows of its proxies: the FleetReport of its name, which goes with a Lease that
// the replica renews. It decides when to write, never what counts: that is the ledger's. And it reads the reports of the
// other replicas and adds up those of replicas that live, so that whoever leads knows of all proxies. Every replica runs
// both. In the same Leases replicas tell the one that leads what their proxies report of their requests.
//
//	w, err := fleet.New(fleet.Config{Client: c, Ledger: server, Namespace: "sluice-system", Replica: "sluice-0", Now: now})
//	r, err := fleet.NewReader(fleet.ReaderConfig{Cache: all, Client: c, Own: own, Namespace: "sluice-system", Replica: "sluice-0", Now: now})
//	err = errors.Join(mgr.Add(w), mgr.Add(r))
//	done := r.Convergence("shop/reviews", uid, seq).Done()
//
// A split that is rendered anew, one that every proxy runs, and a new rejection are written at once; everything else
// is gathered for a quarter of a second; and never more than four times in a second. What has not changed is not written.
package fleet
