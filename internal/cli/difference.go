package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/view"
	"github.com/sluice-dev/sluice/gitsync"
)

// maxValue bounds a value that is shown.
const maxValue = 120

// objectChanges compares two states of objects. What starts an attempt is known by the digests of Rollouts.
func objectChanges(from, to []gitsync.Object, domain string) []view.ObjectChange {
	before, after := byID(from), byID(to)
	ids := slices.Collect(maps.Keys(before))
	for id := range after {
		if _, both := before[id]; !both {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, gitsync.CompareID)
	var out []view.ObjectChange
	for _, id := range ids {
		a, had := before[id]
		b, has := after[id]
		switch {
		case !had:
			out = append(out, view.ObjectChange{Group: groupOf(id, ""), Object: id.Ref(), Action: view.Added, Path: b.Path, Fields: []view.FieldChange{}})
		case !has:
			out = append(out, view.ObjectChange{Group: groupOf(id, ""), Object: id.Ref(), Action: view.Removed, Path: a.Path, Fields: []view.FieldChange{}})
		default:
			fields := fieldChanges(id, a.Content, b.Content)
			if sumA, sumB := digestOf(a, from, domain), digestOf(b, to, domain); sumA != sumB {
				fields = append(fields, view.FieldChange{Field: "digest", From: sumA[:min(12, len(sumA))], To: sumB[:min(12, len(sumB))]})
			}
			out = append(out, grouped(id, b.Path, fields)...)
		}
	}
	return out
}

func byID(objects []gitsync.Object) map[gitsync.ID]gitsync.Object {
	out := make(map[gitsync.ID]gitsync.Object, len(objects))
	for _, o := range objects {
		out[o.ID] = o
	}
	return out
}

// digestOf is the digest of what a Rollout's version consists of; empty for other kinds.
func digestOf(o gitsync.Object, all []gitsync.Object, domain string) string {
	if o.ID.GroupKind() != "Rollout.sluice.dev" {
		return ""
	}
	sum, err := gitsync.Digest(o, all, domain)
	if err != nil {
		return ""
	}
	return sum
}

// grouped gives a change for each group that some of the fields are of.
func grouped(id gitsync.ID, path string, fields []view.FieldChange) []view.ObjectChange {
	var out []view.ObjectChange
	for _, f := range fields {
		group := groupOf(id, f.Field)
		at := slices.IndexFunc(out, func(c view.ObjectChange) bool { return c.Group == group })
		if at < 0 {
			out = append(out, view.ObjectChange{Group: group, Object: id.Ref(), Action: view.Changed, Path: path})
			at = len(out) - 1
		}
		out[at].Fields = append(out[at].Fields, f)
	}
	return out
}

// groupOf says what a field is about; an empty one is the whole object.
func groupOf(id gitsync.ID, field string) view.ChangeGroup {
	kind := id.GroupKind()
	switch {
	case strings.HasPrefix(field, "metadata."):
		return view.ChangesMetadata
	case kind == "MetricTemplate.sluice.dev", kind == "Rollout.sluice.dev" && strings.HasPrefix(field, "spec.analysis"):
		return view.ChangesAnalysis
	case kind == "Rollout.sluice.dev" && strings.HasPrefix(field, "spec.steps"):
		return view.ChangesTraffic
	case kind == "Rollout.sluice.dev":
		return view.StartsAttempt
	case id.Group == "networking.istio.io", kind == "Service", id.Group == "discovery.k8s.io":
		return view.ChangesTraffic
	}
	return view.ChangesOther
}

// fieldChanges compares two contents. Values of Secrets are never shown.
func fieldChanges(id gitsync.ID, from, to map[string]any) []view.FieldChange {
	d := &difference{hidden: id.GroupKind() == "Secret"}
	d.walk("", from, to)
	return d.changes
}

type difference struct {
	hidden  bool
	changes []view.FieldChange
}

// walk goes down mappings and lists; server-side fields and the status are nobody's change.
func (d *difference) walk(field string, from, to any) {
	switch field {
	case "status", "metadata.managedFields", "metadata.resourceVersion", "metadata.generation", "metadata.uid", "metadata.creationTimestamp":
		return
	}
	a, isMap := from.(map[string]any)
	b, bothMaps := to.(map[string]any)
	if isMap && bothMaps {
		keys := maps.Clone(a)
		maps.Copy(keys, b)
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			name := strings.TrimPrefix(field+"."+key, ".")
			if strings.ContainsAny(key, "./") {
				name = fmt.Sprintf("%s[%s]", field, key)
			}
			d.walk(name, a[key], b[key])
		}
		return
	}
	as, isList := from.([]any)
	bs, bothLists := to.([]any)
	if isList && bothLists && len(as) == len(bs) {
		for i := range as {
			d.walk(fmt.Sprintf("%s[%d]", field, i), as[i], bs[i])
		}
		return
	}
	x, y := d.text(field, from), d.text(field, to)
	if x.full != y.full {
		d.changes = append(d.changes, view.FieldChange{Field: problem.Clean(field, 256), From: x.shown, To: y.shown})
	}
}

type value struct{ full, shown string }

func (d *difference) text(field string, v any) value {
	if v == nil {
		return value{}
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return value{}
	}
	shown := problem.Clean(string(raw), maxValue)
	if d.hidden && !strings.HasPrefix(field, "metadata") {
		shown = "(hidden)"
	}
	return value{string(raw), cmp.Or(shown, "(none)")}
}
