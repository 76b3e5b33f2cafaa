// Package envoy turns the neutral model of xds/ir into Envoy resources: sorted, validated and named by the hash of
// their bytes.
//
// It decides what a listener, route, cluster or assignment looks like in Envoy's protobufs for each kind of proxy. It
// is pure: equal input gives equal bytes, so a version compares across replicas and restarts. xds/controller and the
// callers of xds/sim use it:
//
//	resources, err := envoy.Build(cfg)    // err joins *ResourceErrors; what is returned is good
//	resources, bad := builder.Build(&cfg) // the same for a configuration that follows another: it builds what changed
package envoy
