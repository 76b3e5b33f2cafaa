// Package stack starts every part that a Sluice without a cluster is made of, in order, keeps them running, and stops
// them in the other order: etcd and API server, Prometheus, the controllers with their xDS server, one gateway Envoy.
// The parts themselves are elsewhere; this package decides where they listen and what survives. `up` and `demo` use it.
//
//	s, err := stack.Start(ctx, stack.Config{Dir: dir, Envoy: path, Run: app.Run, Now: app.Now})
//	defer s.Stop()
//	kubeconfig := s.Document().Kubeconfig
//
// All state is in one directory, locked while a Stack of it lives. Where everything listens is written to up.json
// there, so that the next Start takes the same addresses again. Envoy is left running when this process is killed; the
// next Start finds it by its process id and start time and takes it over, so the data plane never notices.
package stack
