// Package replicas holds real processes of the controller against a real API server, with real Envoys that carry load:
// what happens to proxies, weights and reports when one of them is killed, stopped, or refuses what it is given.
//
// A controller is this test's own program, started again as `sluice controller`: another process, the same code.
package replicas
