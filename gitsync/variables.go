package gitsync

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/sluice-dev/sluice/api/problem"
)

// Variables are what ${NAME} in the values of rendered objects stands for. The zero value fills nothing: what looks like a
// variable is then plain text.
type Variables struct {
	Values map[string]string
	Hidden []string // names whose values come from Secrets
}

// Given are the entries of a ConfigMap or Secret that variables come from.
type Given struct {
	Field  string // that names it, for people
	Secret bool
	Data   map[string]string
}

// Bounds of what is put into objects.
const (
	maxVariables = 100
	maxValue     = 4 << 10
)

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// GatherVariables puts together what stands for ${NAME}: of from, a later one counts more; vars count more than all. Keys that
// no variable can name are left out. It gives a Problem where there is too much of it.
func GatherVariables(from []Given, vars map[string]string) (Variables, *problem.Problem) {
	v := Variables{Values: map[string]string{}}
	secret := map[string]bool{}
	refuse := func(field, message, hint string) (Variables, *problem.Problem) {
		return Variables{}, &problem.Problem{Code: "S325", Severity: problem.Error, Field: field, Message: message, Hint: hint}
	}
	for _, given := range from {
		for _, key := range slices.Sorted(maps.Keys(given.Data)) {
			value := given.Data[key]
			if !variableName.MatchString(key) {
				continue
			}
			if len(value) > maxValue {
				return refuse(given.Field, fmt.Sprintf("the value of %s has %d bytes, %d are allowed", key, len(value), maxValue), "keep large values out of variables")
			}
			v.Values[key], secret[key] = value, given.Secret
		}
	}
	for key, value := range vars {
		v.Values[key], secret[key] = value, false
	}
	if len(v.Values) > maxVariables {
		return refuse("spec.substitute", fmt.Sprintf("%d variables, %d are allowed", len(v.Values), maxVariables), "name objects with fewer keys")
	}
	for _, key := range slices.Sorted(maps.Keys(secret)) {
		if secret[key] {
			v.Hidden = append(v.Hidden, key)
		}
	}
	return v, nil
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
