package view

import (
	"embed"
	"io/fs"
	"path"
	"slices"
	"strings"
)

//go:embed schemas/*.json
var schemas embed.FS

// Schemas lists the kinds that have a JSON Schema, sorted.
func Schemas() []string {
	names, err := fs.Glob(schemas, "schemas/*.json")
	if err != nil {
		return nil // the pattern is right
	}
	out := make([]string, 0, len(names))
	for _, name := range names {
		out = append(out, strings.TrimSuffix(path.Base(name), ".json"))
	}
	slices.Sort(out)
	return out
}

// Schema gives the JSON Schema of a kind; case does not matter.
func Schema(kind string) ([]byte, bool) {
	i := slices.IndexFunc(Schemas(), func(k string) bool { return strings.EqualFold(k, kind) })
	if i < 0 {
		return nil, false
	}
	text, err := schemas.ReadFile("schemas/" + Schemas()[i] + ".json")
	return text, err == nil
}
