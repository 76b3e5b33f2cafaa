// Package v1alpha1 holds the kinds of the API group sluice.dev, one kind per file: Rollout (what version of a
// host serves, and how to get to the next one), Source (where a namespace's objects come from), MetricTemplate (a
// comparison of one's own) and Notifier (who is told).
//
// The package describes: types, defaults, validation, condition types and reasons. It decides nothing and does no
// I/O. Everything reads it; the status of each kind has one writer, its controller.
//
//	ro := &v1alpha1.Rollout{Spec: v1alpha1.RolloutSpec{Host: "reviews", Subset: "v2"}}
//	ro.Spec.Default()
//	problems := ro.Validate()
//
// +kubebuilder:object:generate=true
// +groupName=sluice.dev
package v1alpha1
