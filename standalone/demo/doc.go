// Package demo is `sluice demo`: it starts every part for real (API server, Prometheus, controllers, Envoy, a Git
// server, three versions of a service, a webhook receiver, a load), pushes a good release and a bad one with git, and
// measures what users at the other end saw.
//
// The story (Story) acts on a World and watches a Journal, in which everything that happens is stamped by one monotonic
// clock. What comes of it is pure: Measure makes numbers of the journal and of the load's record, Check judges them,
// Table and Summary print them. Parts is the real World; tests have a scripted one on virtual time.
package demo
