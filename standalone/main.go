// Command sluice, the full build: the same program as cmd/sluice plus up, down and demo, with the API server, etcd
// and Prometheus inside.
package main

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sluice-dev/sluice/internal/app"
	"github.com/sluice-dev/sluice/internal/cli"
	"github.com/sluice-dev/sluice/standalone/demo"
	"github.com/sluice-dev/sluice/standalone/up"
)

// version and commit are set by the linker.
var version, commit = "dev", ""

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	streams := cli.Standard(os.Stdin, os.Stdout, os.Stderr, os.Getenv)
	env := up.Env{StateRoot: cli.StateRoot(os.Getenv), Envoy: envoy(), Run: app.Run, Version: version, Commit: commit, Now: app.Now}
	code := cli.Main(ctx, os.Args[1:], streams, cli.Build{
		Version: version, Commit: commit, Program: os.Args[0], State: cli.StateRoot(os.Getenv),
		Extra: []*cobra.Command{up.NewUp(streams, env), up.NewDown(streams, env), demo.New(streams, demoEnv())},
	})
	stop()
	os.Exit(code)
}

func demoEnv() demo.Env {
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	return demo.Env{Program: self, Envoy: envoy(), Temp: os.TempDir(), Run: app.Run, Version: version, Commit: commit, Now: app.Now,
		Width: func() int { return demo.TerminalWidth(os.Stdout) }}
}

// envoy is the proxy to start when no flag names one: $SLUICE_ENVOY, else the one that make envoy has put beside this
// program's directory; empty when there is neither.
func envoy() string {
	if path := os.Getenv("SLUICE_ENVOY"); path != "" {
		return path
	}
	self, err := os.Executable()
	if err != nil {
		return ""
	}
	path := filepath.Join(filepath.Dir(self), "..", "..", ".cache", "envoy", "bin", "envoy")
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}
