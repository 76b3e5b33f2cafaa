// Command guards writes the rules by which the API server guards a Rollout's status into the Go file that holds the type,
// as markers of controller-gen. It decides nothing: the engine's table does. It is called by scripts/generate.
//
//	go run ./internal/guards api/v1alpha1/rollout_types.go
package main

import (
	"fmt"
	"os"
	"strings"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: guards FILE")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func write(file string) error {
	was, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading the type: %w", err)
	}
	is, err := guarded(string(was))
	if err != nil {
		return fmt.Errorf("guarding %s: %w", file, err)
	}
	if err := os.WriteFile(file, []byte(is), 0o644); err != nil {
		return fmt.Errorf("writing the type: %w", err)
	}
	return nil
}

// guarded is the source with the present rules in the place of those it has.
func guarded(source string) (string, error) {
	var out []string
	done := false
	for line := range strings.Lines(source) {
		if !strings.Contains(line, `XValidation:`) || !strings.Contains(line, `message="G`) {
			out = append(out, line)
			continue
		}
		if done {
			continue
		}
		done = true
		for _, r := range rules() {
			out = append(out, r.marker()+"\n")
		}
	}
	if !done {
		return "", fmt.Errorf("it holds no rule to replace")
	}
	return strings.Join(out, ""), nil
}
