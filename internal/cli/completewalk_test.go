package cli

import (
	"strings"
	"testing"
)

// TestComplete_noVerbWithANameIsLeftOut walks all commands: those that take the name of an object complete it, and --attempt.
func TestComplete_noVerbWithANameIsLeftOut(t *testing.T) {
	t.Parallel()
	named, attempts := 0, 0
	for name, cmd := range commands() {
		if strings.HasSuffix(cmd.Use, " NAME") || strings.HasSuffix(cmd.Use, " NOTIFIER") || strings.HasSuffix(cmd.Use, "KIND/NAME") || cmd.Use == "get KIND [NAME]" {
			named++
			if cmd.ValidArgsFunction == nil {
				t.Errorf("%s %q completes no names", name, cmd.Use)
			}
		}
		if cmd.Flags().Lookup("attempt") != nil {
			attempts++
			if _, known := cmd.GetFlagCompletionFunc("attempt"); !known {
				t.Errorf("%s completes no --attempt", name)
			}
		}
	}
	if named < 17 || attempts < 10 {
		t.Errorf("only %d commands with names and %d with attempts were found", named, attempts)
	}
}
