package gitsync

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
)

// Digest gives the content digest of what Git wants to run for a Rollout: SHA-256, in hex, over the canonical
// JSON of the Rollout's choice of version, the chosen subset, the workloads of that subset and what these name.
// It does not depend on the commit, on steps, on order, or on what only the stable version uses.
func Digest(rollout Object, objects []Object, domain string) (string, error) {
	return digest(rollout, kinOf(objects, domain).family(rollout))
}

// digest gives the content digest of a Rollout with these members.
func digest(rollout Object, members []Object) (string, error) {
	sum, err := hashValues(digestValues(rollout, members))
	if err != nil {
		return "", fmt.Errorf("digest of %s: %w", rollout.ID.Ref(), err)
	}
	return sum, nil
}

// hashValues hashes [[ID, value], ...] sorted by ID.
func hashValues(values map[ID]any) (string, error) {
	ids := slices.SortedFunc(maps.Keys(values), CompareID)
	parts := make([]any, len(ids))
	for i, id := range ids {
		parts[i] = []any{id.String(), values[id]}
	}
	b, err := Canonical(parts)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

// digestValues gives what of each member takes part in the digest.
func digestValues(rollout Object, members []Object) map[ID]any {
	values := map[ID]any{rollout.ID: pick(mapping(rollout.Content, "spec"), "analysis", "host", "routes", "subset")}
	subset := text(rollout.Content, "spec", "subset")
	labels := map[string]string{}
	for _, o := range members {
		if o.ID.GroupKind() != kindDestinationRule {
			continue
		}
		if entry := subsetEntry(o, subset); entry != nil {
			values[o.ID] = entry
			labels = labelsOf(entry, "labels")
		}
	}
	needs := map[ID]bool{}
	for _, o := range members {
		template := podTemplate(o)
		if template == nil || !selects(labels, workloadLabels(o)) {
			continue
		}
		values[o.ID] = template
		for _, id := range templateNames(o) {
			needs[id] = true
		}
	}
	for _, o := range members {
		switch {
		case o.ID.GroupKind() == kindMetricTemplate:
			values[o.ID] = value(o.Content, "spec")
		case needs[o.ID] && o.ID.Kind == "ConfigMap":
			values[o.ID] = pick(o.Content, "data", "binaryData")
		case needs[o.ID] && o.ID.Kind == "Secret":
			values[o.ID] = map[string]any{}
		}
	}
	return values
}

// pick copies the named keys that are present and not null.
func pick(m map[string]any, keys ...string) map[string]any {
	out := map[string]any{}
	for _, k := range keys {
		if v := m[k]; v != nil {
			out[k] = v
		}
	}
	return out
}
