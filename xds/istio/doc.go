// Package istio compiles Istio's networking objects, services and the splits of Rollouts into the neutral model of xds/ir.
//
// It decides what a Gateway, VirtualService, DestinationRule, ServiceEntry, WorkloadEntry and Sidecar mean for one class of
// proxies and lays the splits over them. It is pure: equal input gives equal output, whatever the order of the input. It
// never fails as a whole; whatever has no effect, or not the effect written, is a Problem. xds/controller keeps a Compiler;
// `sluice route` and `sluice lint` translate once:
//
//	obj := istio.Decode(unstructured) // once per version of an object
//	cfg, problems := istio.Translate(istio.Input{Objects: objs, Registry: snapshot, Splits: splits}, class)
//
//	c := istio.NewCompiler(suffix, root) // the same, for an input that changes little by little
//	c.SetObject(obj)
//	changed, problems := c.Compile(class) // what stayed the same is the same node as before
//
//	facts := istio.NewSurvey(in).Facts(split) // may this split be raised?
//
// Decoded objects are put into an index, which all classes share. A planner for each class decides which units its
// configuration is made of (listeners, chains, virtual hosts, clusters, endpoints, certificates) and from what; a unit is
// made on its own and remembers what it asked of the index. In the next index only the units are made again whose inputs
// or answers differ. Translate is one plan from nothing.
package istio
