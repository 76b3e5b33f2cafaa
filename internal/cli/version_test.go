package cli_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/sluice-dev/sluice/internal/cli"
)

// named is a flag as libraries declare it for all programs: the API server inside the full build has one called version.
type named string

// String implements pflag.Value.
func (n *named) String() string { return string(*n) }

// Set implements pflag.Value.
func (n *named) Set(s string) error { *n = named(s); return nil }

// Type implements pflag.Value.
func (n *named) Type() string { return "version" }

// --version is ours, whatever a library that is linked in declares.
func TestVersion_isOursInEveryBuild(t *testing.T) {
	var theirs named
	if pflag.CommandLine.Lookup("version") == nil {
		pflag.CommandLine.Var(&theirs, "version", "theirs")
	}
	for _, line := range []string{"--version", "version"} {
		var out, errs bytes.Buffer
		code := cli.Main(t.Context(), []string{line}, cli.Streams{In: strings.NewReader(""), Out: &out, Err: &errs}, cli.Build{Version: "v1.2.3", Commit: "c07aa19f0012"})
		if code != 0 || !strings.HasPrefix(out.String(), "sluice ") || !strings.Contains(out.String(), "v1.2.3") || errs.Len() > 0 {
			t.Errorf("sluice %s: exit %d, %q, %q", line, code, out.String(), errs.String())
		}
	}
	var out bytes.Buffer
	if code := cli.Main(t.Context(), []string{"--help"}, cli.Streams{Out: &out, Err: &out}, cli.Build{}); code != 0 || strings.Contains(out.String(), "theirs") ||
		strings.Contains(out.String(), "Additional Commands:\n  abort") {
		t.Errorf("the help (exit %d):\n%s", code, out.String())
	}
}
