// Package cli is the command line face: verbs that read and print, and verbs that create a RolloutAction.
// Each verb has a file of its own with a constructor new<Verb>; root.go lists them.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// Streams are where a command reads and writes. Data goes to Out, all else to Err.
type Streams struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer
}

// Exit is an error that carries the exit code of the process and, for people, the next command to try.
type Exit struct {
	Code int
	Err  error
	Next string
}

// Error implements error.
func (e *Exit) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit %d", e.Code)
	}
	return e.Err.Error()
}

// Unwrap gives the cause.
func (e *Exit) Unwrap() error { return e.Err }

// The exit codes that all verbs share.
const (
	ExitNo           = 1 // the answer is no
	ExitUsage        = 2 // usage error, or a failure not listed here
	ExitRolledBack   = 3
	ExitPaused       = 4
	ExitNotFound     = 5
	ExitUnreachable  = 6
	ExitUnauthorized = 7
	ExitTimeout      = 124
	ExitInterrupted  = 130
)

// Main runs the program with args (without the program's name) and returns its exit code. extra are verbs that
// only some builds have.
func Main(ctx context.Context, args []string, s Streams, extra ...*cobra.Command) int {
	root := newRoot(s, extra)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	code, next := ExitUsage, ""
	if exit, ok := errors.AsType[*Exit](err); ok {
		code, next = exit.Code, exit.Next
		err = exit.Err
	}
	if err != nil {
		fmt.Fprintf(s.Err, "error: %v\n", err)
	}
	if next != "" {
		fmt.Fprintf(s.Err, "next: %s\n", next)
	}
	return code
}

func newRoot(s Streams, extra []*cobra.Command) *cobra.Command {
	root := &cobra.Command{
		Use:           "sluice",
		Short:         "Progressive delivery from Git, straight to Envoy",
		Long:          "Sluice moves the traffic of a service to the version that Git asks for, in steps, judged by Prometheus, and back by itself.",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	root.AddCommand(extra...)
	return root
}
