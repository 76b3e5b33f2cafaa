package gitsync

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
)

// ID names an object of the cluster regardless of its version. Group is empty for the core group, Namespace
// for cluster scope.
type ID struct{ Group, Kind, Namespace, Name string }

// String gives the text form of the inventory, "apps/Deployment/bookinfo/reviews-v1"; missing parts are empty.
func (i ID) String() string { return i.Group + "/" + i.Kind + "/" + i.Namespace + "/" + i.Name }

// Ref gives the short form that Problems use, "Deployment/bookinfo/reviews-v1".
func (i ID) Ref() string {
	if i.Namespace == "" {
		return i.Kind + "/" + i.Name
	}
	return i.Kind + "/" + i.Namespace + "/" + i.Name
}

// GroupKind gives "Kind.group", or "Kind" for the core group.
func (i ID) GroupKind() string {
	if i.Group == "" {
		return i.Kind
	}
	return i.Kind + "." + i.Group
}

// IsZero reports whether nothing is named.
func (i ID) IsZero() bool { return i == ID{} }

// ParseID reads the text form that String writes.
func ParseID(s string) (ID, error) {
	part := strings.Split(s, "/")
	if len(part) != 4 || part[1] == "" || part[3] == "" {
		return ID{}, fmt.Errorf("object id %q: want group/kind/namespace/name", s)
	}
	return ID{part[0], part[1], part[2], part[3]}, nil
}

// CompareID orders IDs by the bytes of their text form.
func CompareID(a, b ID) int {
	if c := comparePart(a.Group, b.Group); c != 0 {
		return c
	}
	if c := comparePart(a.Kind, b.Kind); c != 0 {
		return c
	}
	if c := comparePart(a.Namespace, b.Namespace); c != 0 {
		return c
	}
	return strings.Compare(a.Name, b.Name)
}

// comparePart compares two parts of a text form with the slash that ends each.
func comparePart(a, b string) int {
	if a == b {
		return 0
	}
	n := min(len(a), len(b))
	if a[:n] != b[:n] {
		return strings.Compare(a, b)
	}
	if len(a) < len(b) {
		return cmp.Compare('/', b[n])
	}
	return cmp.Compare(a[n], '/')
}

// Origin says how an inventory entry came to be ours. Its zero value is Pending.
type Origin string

// The origins: Pending is intended but not confirmed, Created was made by us, Adopted existed before without our labels.
const (
	Pending Origin = ""
	Created Origin = "Created"
	Adopted Origin = "Adopted"
)

// Entry is one object that a Source has applied or is about to apply.
type Entry struct {
	ID      ID
	Version string // of the API it was applied with
	UID     string // of the live object; empty while Pending
	Origin  Origin
}

// String gives "<ID> <version> <uid> <origin>", with "-" for what is not known yet.
func (e Entry) String() string {
	uid, origin := e.UID, string(e.Origin)
	if uid == "" {
		uid = "-"
	}
	if origin == "" {
		origin = "-"
	}
	return e.ID.String() + " " + e.Version + " " + uid + " " + origin
}

// ParseEntry reads the form that Entry.String writes.
func ParseEntry(s string) (Entry, error) {
	field := strings.Split(s, " ")
	if len(field) != 4 {
		return Entry{}, fmt.Errorf("inventory entry %q: want four fields", s)
	}
	id, err := ParseID(field[0])
	if err != nil {
		return Entry{}, fmt.Errorf("inventory entry: %w", err)
	}
	e := Entry{ID: id, Version: field[1], UID: field[2], Origin: Origin(field[3])}
	if e.UID == "-" {
		e.UID = ""
	}
	switch e.Origin {
	case "-":
		e.Origin = Pending
	case Created, Adopted:
	default:
		return Entry{}, fmt.Errorf("inventory entry %q: unknown origin %q", s, field[3])
	}
	if e.Version == "" {
		return Entry{}, errors.New("inventory entry without version")
	}
	return e, nil
}
