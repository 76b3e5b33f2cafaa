package gitsync

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// Variables are what ${NAME} in the values of rendered objects stands for. The zero value fills nothing: what looks like a
// variable is then plain text.
type Variables struct {
	Values map[string]string
	Hidden []string // names whose values come from Secrets
}

// minHidden is the shortest value that Hide looks for: fewer characters guard nothing and stand in every text.
const minHidden = 4

// Hide gives text without the values that must not be shown.
func (v Variables) Hide(text string) string {
	values := make([]string, 0, len(v.Hidden))
	for _, name := range v.Hidden {
		if value := strings.TrimSpace(v.Values[name]); len(value) >= minHidden {
			values = append(values, value)
		}
	}
	slices.SortFunc(values, func(a, b string) int { return len(b) - len(a) }) // the longest first: one may hold another
	for _, value := range values {
		text = strings.ReplaceAll(text, value, hidden)
	}
	return text
}

// Key names what a build depends on besides the tree: equal keys and equal Reads give an equal Build. It shows no value.
func (o Options) Key() string {
	pairs := make([][2]string, 0, len(o.Variables.Values))
	for _, name := range slices.Sorted(maps.Keys(o.Variables.Values)) {
		pairs = append(pairs, [2]string{name, o.Variables.Values[name]})
	}
	raw, err := json.Marshal([]any{o.Path, o.Namespace, o.Ignore, o.Variables.Values != nil, pairs})
	if err != nil {
		panic("strings that cannot be written as JSON: " + err.Error())
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}
