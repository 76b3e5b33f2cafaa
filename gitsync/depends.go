package gitsync

import "slices"

// Cycle gives the way from a Source through what it depends on back to itself, by name, or nil. depends lists, per Source
// of a namespace, those that must be ready first.
func Cycle(from string, depends map[string][]string) []string {
	seen := map[string]bool{}
	var walk func(at string, way []string) []string
	walk = func(at string, way []string) []string {
		for _, next := range slices.Sorted(slices.Values(depends[at])) {
			if next == from {
				return append(slices.Clone(way), next)
			}
			if seen[next] {
				continue
			}
			seen[next] = true
			if found := walk(next, append(slices.Clone(way), next)); found != nil {
				return found
			}
		}
		return nil
	}
	return walk(from, []string{from})
}
