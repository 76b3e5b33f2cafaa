package gitsync

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/api/problem"
)

// ownership finds wanted objects that belong to another living Source (S403) or to another tool (S404).
func ownership(in Input) []problem.Problem {
	living := map[Owner]bool{}
	for _, s := range in.Sources {
		living[s] = true
	}
	var out []problem.Problem
	for _, o := range in.Want {
		live, ok := in.Live[o.ID]
		if !ok {
			continue
		}
		labels := mapping(live.Object.Content, "metadata", "labels")
		other := Owner{text(labels, LabelSourceNamespace), text(labels, LabelSourceName)}
		if other != in.Owner && living[other] {
			out = append(out, about(o, "S403", "", fmt.Sprintf("is applied by Source %s/%s", other.Namespace, other.Name),
				"remove it from one of the two repositories"))
			continue
		}
		tool := otherTool(labels, mapping(live.Object.Content, "metadata", "annotations"))
		if tool != "" && Annotation(o.Content, AnnotationTakeover) != "true" {
			out = append(out, about(o, "S404", "", "is managed by "+tool,
				"stop that tool from managing it, or set the annotation "+AnnotationTakeover+": \"true\" in Git"))
		}
	}
	return out
}

// otherTool names the delivery tool whose marks an object carries, or "".
func otherTool(labels, annotations map[string]any) string {
	switch {
	case text(labels, "kustomize.toolkit.fluxcd.io/name") != "", text(labels, "helm.toolkit.fluxcd.io/name") != "":
		return "Flux"
	case text(labels, "argocd.argoproj.io/instance") != "", text(annotations, "argocd.argoproj.io/tracking-id") != "":
		return "Argo CD"
	case text(labels, "app.kubernetes.io/managed-by") == "Helm":
		return "Helm"
	}
	return ""
}

// stableNeeds finds DestinationRules that drop the subset which a Rollout of their host calls stable (S405).
func stableNeeds(in Input, wanted kin) []problem.Problem {
	var out []problem.Problem
	for _, v := range in.Rollouts {
		if v.Stable == "" {
			continue
		}
		host := Resolve(text(v.Object.Content, "spec", "host"), v.ID.Namespace, in.Domain)
		for _, o := range wanted.routes(v.ID.Namespace, host) {
			live, exists := in.Live[o.ID]
			if o.ID.GroupKind() != kindDestinationRule || !exists {
				continue
			}
			if subsetEntry(o, v.Stable) == nil && subsetEntry(live.Object, v.Stable) != nil {
				out = append(out, about(o, "S405", "spec.subsets", fmt.Sprintf("subset %s is stable for %s and would be removed", v.Stable, v.ID.Ref()),
					"keep "+v.Stable+" until the new version is stable, then remove it"))
			}
		}
	}
	return out
}

func about(o Object, code, field, message, hint string) problem.Problem {
	return problem.Problem{Code: code, Severity: problem.Error, Object: o.ID.Ref(), Field: field, Message: message, Hint: hint,
		Path: o.Path, Line: o.Line}
}

// stamp copies o with our labels and the provenance of its content: that of this commit when the content changed,
// else what the live object already says.
func (in Input) stamp(o Object, digest string, is stand) Object {
	content := maps.Clone(o.Content)
	meta := maps.Clone(mapping(o.Content, "metadata"))
	labels, annotations := maps.Clone(mapping(meta, "labels")), maps.Clone(mapping(meta, "annotations"))
	if meta == nil {
		meta = map[string]any{}
	}
	if labels == nil {
		labels = map[string]any{}
	}
	if annotations == nil {
		annotations = map[string]any{}
	}
	labels[LabelSourceName], labels[LabelSourceNamespace] = in.Owner.Name, in.Owner.Namespace
	in.provenance(o, digest, is, annotations)
	annotations[AnnotationPath] = o.Path
	if digest != "" {
		annotations[AnnotationDigest] = digest
	}
	meta["labels"], meta["annotations"], content["metadata"] = labels, annotations, meta
	o.Content = content
	return o
}

// provenance gives the commit annotations of o. A Rollout with a new digest counts as changed.
func (in Input) provenance(o Object, digest string, is stand, into map[string]any) {
	live := mapping(is.live, "metadata", "annotations")
	if !is.changed && text(live, AnnotationDigest) == digest && text(live, AnnotationCommit) != "" {
		for _, k := range [...]string{AnnotationCommit, AnnotationAuthor, AnnotationEmail, AnnotationSubject, AnnotationTime} {
			if v := live[k]; text(live, k) != "" {
				into[k] = v
			}
		}
		return
	}
	set := func(key, value string) {
		if value != "" {
			into[key] = value
		}
	}
	c := in.Commit
	set(AnnotationCommit, c.ID)
	set(AnnotationAuthor, c.Author)
	if o.ID.GroupKind() == kindRollout {
		set(AnnotationEmail, c.Email)
	}
	set(AnnotationSubject, c.Subject)
	if !c.Time.IsZero() {
		set(AnnotationTime, c.Time.UTC().Format(time.RFC3339))
	}
}

// ValidKey reports whether Git may set a label or annotation key: keys of ours are reserved but for a few.
func ValidKey(key string) bool {
	prefix, _, found := strings.Cut(key, "/")
	if !found || (prefix != "sluice.dev" && prefix != "source.sluice.dev") {
		return true
	}
	return slices.Contains([]string{AnnotationPrune, AnnotationRollout, AnnotationSubstitute, AnnotationTakeover, AnnotationExpectedRPS, AnnotationOrder}, key)
}
