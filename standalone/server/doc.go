// Package server runs the real kube-apiserver over a real etcd inside this process, on loopback, with everything it
// needs made by itself: certificates, keys, a kubeconfig. It is the API server of a Sluice without a cluster.
//
// It decides nothing about rollouts and knows no controller: standalone starts it and hands its REST configuration on.
//
//	defs, err := crd.All()
//	s, err := server.Start(ctx, server.Config{Dir: dir, CRDs: defs, Now: now})
//	defer s.Stop()
//	cfg := s.RESTConfig()
//
// All state is in Config.Dir and survives the end of the process by whatever cause. RBAC is on, anonymous requests
// are refused, and the one client certificate it issues is that of the administrator, in the kubeconfig.
//
// No kube-controller-manager, scheduler or kubelet runs. What follows from that: no Pod ever runs, so endpoints come
// from ServiceEntry and WorkloadEntry or from EndpointSlices that somebody writes; Deployments make no ReplicaSets;
// namespaces get no default ServiceAccount, and a deleted namespace stays Terminating; objects are not collected when
// their owner goes. The admission plugins that wait for those parts are off.
//
// One Server runs at a time per process: the API server keeps feature gates and metrics in package variables.
package server
