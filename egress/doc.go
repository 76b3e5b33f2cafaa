// Package egress is the one way out: every connection that Sluice opens because an object asks for it (a repository, a
// webhook, a Prometheus) is dialled here.
//
// The guard resolves a name once, checks every address it has, and dials a checked one: one denied address refuses
// all, so no name can smuggle a connection to the machine itself, its link or a cloud's metadata service. The check
// runs once more on the socket, right before it connects. It never retries and never follows a redirect.
//
//	guard := egress.New(egress.Policy{AllowLoopback: standalone})
//	client := guard.Client(egress.Options{Timeout: 10 * time.Second})
package egress
