package gitsync

import (
	"maps"
	"slices"
	"strings"
)

// The labels and annotations that Sluice writes on what it applies.
const (
	LabelSourceName      = "source.sluice.dev/name"
	LabelSourceNamespace = "source.sluice.dev/namespace"

	AnnotationDigest  = "sluice.dev/digest"
	AnnotationCommit  = "sluice.dev/commit"
	AnnotationAuthor  = "sluice.dev/commit-author"
	AnnotationEmail   = "sluice.dev/commit-email" // of Rollouts only: messages find the author by it
	AnnotationSubject = "sluice.dev/commit-subject"
	AnnotationTime    = "sluice.dev/commit-time"
	AnnotationPath    = "sluice.dev/path"
	AnnotationMaker   = "sluice.dev/created-by" // "namespace/name" of the Source that made the object; on what it found there is none
)

// The annotations under sluice.dev/ that may stand in Git.
const (
	AnnotationPrune       = "sluice.dev/prune"   // "allow" or "disabled"
	AnnotationRollout     = "sluice.dev/rollout" // names of Rollouts that the object belongs to
	AnnotationSubstitute  = "sluice.dev/substitute"
	AnnotationTakeover    = "sluice.dev/takeover" // "true": take over from another tool
	AnnotationExpectedRPS = "sluice.dev/expected-rps"
	AnnotationOrder       = "sluice.dev/order" // of VirtualServices that share a host, as the compiler takes it
)

// value walks content by keys; nil when a step is missing or not a mapping.
func value(content map[string]any, keys ...string) any {
	var at any = content
	for _, k := range keys {
		m, ok := at.(map[string]any)
		if !ok {
			return nil
		}
		at = m[k]
	}
	return at
}

// text gives the string at keys, or "".
func text(content map[string]any, keys ...string) string {
	s, _ := value(content, keys...).(string)
	return s
}

// mapping gives the mapping at keys, or nil.
func mapping(content map[string]any, keys ...string) map[string]any {
	m, _ := value(content, keys...).(map[string]any)
	return m
}

// list gives the sequence at keys, or nil.
func list(content map[string]any, keys ...string) []any {
	l, _ := value(content, keys...).([]any)
	return l
}

// each calls f for the mappings in a sequence.
func each(items []any, f func(m map[string]any)) {
	for _, item := range items {
		if m, ok := item.(map[string]any); ok {
			f(m)
		}
	}
}

// labelsOf gives the string values of the mapping at keys.
func labelsOf(content map[string]any, keys ...string) map[string]string {
	out := map[string]string{}
	for k, v := range mapping(content, keys...) {
		if s, ok := v.(string); ok {
			out[k] = s
		}
	}
	return out
}

// Annotation gives an annotation of an object's content, or "".
func Annotation(content map[string]any, key string) string {
	return text(content, "metadata", "annotations", key)
}

// Label gives a label of an object's content, or "".
func Label(content map[string]any, key string) string {
	return text(content, "metadata", "labels", key)
}

// selects reports whether a non-empty selector matches labels.
func selects(selector, labels map[string]string) bool {
	if len(selector) == 0 {
		return false
	}
	for k, v := range selector {
		if got, ok := labels[k]; !ok || got != v {
			return false
		}
	}
	return true
}

// podTemplate gives the pod template of a workload, or nil for other kinds.
func podTemplate(o Object) map[string]any {
	switch o.ID.Group + "/" + o.ID.Kind {
	case "apps/Deployment", "apps/StatefulSet", "apps/DaemonSet", "apps/ReplicaSet", "batch/Job":
		return mapping(o.Content, "spec", "template")
	case "batch/CronJob":
		return mapping(o.Content, "spec", "jobTemplate", "spec", "template")
	}
	return nil
}

// Resolve gives the full name of a host as seen from namespace: a name without a dot is a service of that namespace.
func Resolve(host, namespace, domain string) string {
	if host == "" || strings.Contains(host, ".") || host == "*" {
		return host
	}
	return host + "." + namespace + ".svc." + domain
}

// equalJSON reports whether two JSON values are equal, with 1 and 1.0 the same.
func equalJSON(a, b any) bool {
	x, errA := Canonical(a)
	y, errB := Canonical(b)
	return errA == nil && errB == nil && string(x) == string(y)
}

// Contains reports whether live holds everything that want says: each mapping key, and sequences of the same
// length element by element. What the server or another manager added to mappings does not matter.
func Contains(live, want any) bool {
	switch w := want.(type) {
	case map[string]any:
		l, ok := live.(map[string]any)
		if !ok {
			return false
		}
		for _, k := range slices.Sorted(maps.Keys(w)) {
			if !Contains(l[k], w[k]) {
				return false
			}
		}
		return true
	case []any:
		l, ok := live.([]any)
		if !ok || len(l) != len(w) {
			return false
		}
		for i := range w {
			if !Contains(l[i], w[i]) {
				return false
			}
		}
		return true
	}
	return equalJSON(live, want)
}
