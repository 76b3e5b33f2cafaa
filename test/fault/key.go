package fault

import (
	"net/http"
	"strings"
)

// Key says what a request is about. Empty fields of one that is matched against stand for anything.
type Key struct {
	Door        string // which process
	Verb        string // get, list, watch, create, update, patch, delete
	Resource    string // with its group, as "rollouts.sluice.dev"
	Namespace   string
	Name        string
	Subresource string
}

// String is "verb resource/subresource namespace/name".
func (k Key) String() string {
	resource := k.Resource
	if k.Subresource != "" {
		resource += "/" + k.Subresource
	}
	return k.Verb + " " + resource + " " + k.Namespace + "/" + k.Name
}

// Writes reports that a request of this key can change something.
func (k Key) Writes() bool {
	return k.Verb == "create" || k.Verb == "update" || k.Verb == "patch" || k.Verb == "delete"
}

// matches reports whether every field that k names is that of other.
func (k Key) matches(other Key) bool {
	same := func(want, is string) bool { return want == "" || want == is }
	return same(k.Door, other.Door) && same(k.Verb, other.Verb) && same(k.Resource, other.Resource) && same(k.Namespace, other.Namespace) &&
		same(k.Name, other.Name) && same(k.Subresource, other.Subresource)
}

// keyOf reads the key from a request to the API server. What is no resource has an empty one.
func keyOf(door string, r *http.Request) Key {
	k := Key{Door: door, Verb: map[string]string{http.MethodGet: "get", http.MethodPost: "create", http.MethodPut: "update",
		http.MethodPatch: "patch", http.MethodDelete: "delete"}[r.Method]}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	group := ""
	switch {
	case len(parts) > 2 && parts[0] == "api":
		parts = parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		group, parts = "."+parts[1], parts[3:]
	default:
		return k
	}
	if parts[0] == "namespaces" && len(parts) > 2 {
		k.Namespace, parts = parts[1], parts[2:]
	}
	k.Resource = parts[0] + group
	if len(parts) > 1 {
		k.Name = parts[1]
	}
	if len(parts) > 2 {
		k.Subresource = parts[2]
	}
	switch {
	case r.URL.Query().Get("watch") == "true" || r.URL.Query().Get("watch") == "1":
		k.Verb = "watch"
	case k.Verb == "get" && k.Name == "":
		k.Verb = "list"
	}
	return k
}
