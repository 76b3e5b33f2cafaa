package apply

import (
	"encoding/json"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// managers names who wrote one of the fields of a live object, other than us: those who own it, else, for a field that
// was removed, whoever wrote last.
func managers(live *unstructured.Unstructured, fields []string) []string {
	var found []string
	last, lastName := metav1.Time{}, ""
	for _, entry := range live.GetManagedFields() {
		if entry.Manager == FieldManager || entry.Subresource == "status" {
			continue
		}
		if owns(entry, fields) {
			found = append(found, entry.Manager)
		}
		if entry.Time != nil && last.Before(entry.Time) {
			last, lastName = *entry.Time, entry.Manager
		}
	}
	if len(found) == 0 && lastName != "" {
		found = []string{lastName}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// owns reports whether an entry covers one of the fields, as far as names without list indices can tell.
func owns(entry metav1.ManagedFieldsEntry, fields []string) bool {
	if entry.FieldsV1 == nil {
		return false
	}
	var set map[string]any
	if err := json.Unmarshal(entry.FieldsV1.GetRawBytes(), &set); err != nil {
		return false
	}
	for _, name := range owned("", set) {
		if slices.ContainsFunc(fields, func(f string) bool { return strings.HasPrefix(name, plain(f)) }) {
			return true
		}
	}
	return false
}

// owned gives the paths of a set of fields; items of lists count as their list.
func owned(path string, set map[string]any) []string {
	var out []string
	for key, below := range set {
		name, isField := strings.CutPrefix(key, "f:")
		if !isField {
			out = append(out, path)
			continue
		}
		name = strings.TrimPrefix(path+"."+name, ".")
		out = append(out, name)
		if m, ok := below.(map[string]any); ok {
			out = append(out, owned(name, m)...)
		}
	}
	return out
}

// plain cuts a path of gitsync.Differences at its first index of a list, and writes keys with dots as managers do.
func plain(field string) string {
	head, rest, found := strings.Cut(field, "[")
	if key, _, _ := strings.Cut(rest, "]"); found && strings.ContainsAny(key, "./") {
		return head + "." + key
	}
	return head
}
