// Command sluice is the controller and the command line of Sluice; called as kubectl-sluice it is a kubectl plugin.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/sluice-dev/sluice/internal/cli"
)

// version and commit are set by the linker.
var version, commit = "dev", ""

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	code := cli.Main(ctx, os.Args[1:], cli.Standard(os.Stdin, os.Stdout, os.Stderr, os.Getenv), cli.Build{
		Version: version, Commit: commit, Program: os.Args[0], State: cli.StateRoot(os.Getenv),
	})
	stop()
	os.Exit(code)
}
