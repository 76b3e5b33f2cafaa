// Package istio compiles Istio networking objects, services and Rollout splits into the neutral model of xds/ir.
//
// It decides what a Gateway, VirtualService, DestinationRule, ServiceEntry and WorkloadEntry mean for one class of
// proxies and overlays the splits. It is pure: equal input gives equal output, whatever the order of the input. It
// never fails as a whole; whatever has no effect, or not the effect written, is a Problem. xds/controller and
// `sluice route` call it:
//
//	obj := istio.Decode(unstructured)                     // once per version of an object
//	cfg, problems := istio.Translate(istio.Input{Objects: objs, Registry: snapshot, Splits: splits}, class)
//	facts := istio.Facts(in, split)                       // may this split be raised?
package istio
