// Package cli is the command line face: verbs that read and print, and verbs that create a RolloutAction.
// Each verb has a file of its own with a constructor new<Verb>; root.go lists them.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// Streams are where a command reads and writes. Data goes to Out, all else to Err.
type Streams struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer
	// Colour says that Out is a terminal whose user wants colours.
	Colour bool
	// Live says that In and Out are a terminal at which somebody can press keys.
	Live bool
	// ASCII says that Out takes no other characters.
	ASCII bool
	// Width gives the present width of the terminal; nil: Out is none.
	Width func() int
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

// Build is what differs between the builds of the program.
type Build struct {
	Version string           // as git describes it
	Commit  string           // that it was built from; empty: as the build itself says
	Program string           // path it was called by; a base name of kubectl-sluice makes help say "kubectl sluice"
	State   string           // directory of the state directories of up
	Extra   []*cobra.Command // verbs that only this build has; they replace those of the same name
}

// Main runs the program with args (without the program's name) and returns its exit code.
func Main(ctx context.Context, args []string, s Streams, b Build) int {
	root := newRoot(s, b)
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
	if rest, ours := strings.CutPrefix(next, "sluice "); ours && root.Annotations != nil {
		next = "kubectl sluice " + rest
	}
	if next != "" {
		fmt.Fprintf(s.Err, "next: %s\n", next)
	}
	return code
}

func newRoot(s Streams, b Build) *cobra.Command {
	root := &cobra.Command{
		Use:           "sluice",
		Short:         "Progressive delivery from Git, straight to Envoy",
		Long:          "Sluice moves the traffic of a service to the version that Git asks for, in steps, judged by Prometheus, and back by itself.",
		Version:       b.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	if filepath.Base(b.Program) == "kubectl-sluice" {
		root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl sluice"}
	}
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	root.CompletionOptions.DisableDefaultCmd = true
	root.Flags().Bool("version", false, "print the version and end") // else a library's flag of that name is taken
	root.AddCommand(verbs(s, b)...)
	for _, c := range b.Extra {
		if old, _, err := root.Find([]string{c.Name()}); err == nil && old != root {
			root.RemoveCommand(old)
		}
		root.AddCommand(c)
	}
	if root.Annotations != nil {
		asPlugin(root)
	}
	group(root)
	return root
}

// group puts the verbs of the help below titles that say what they are for.
func group(root *cobra.Command) {
	for _, g := range []struct{ title, verbs string }{
		{"Look at what runs:", "get status describe tree events logs wait report trace proxy-status route doctor"},
		{"Act on a rollout:", "promote pause resume approve skip abort rollback retry"},
		{"Act on a source:", "reconcile suspend"},
		{"Write and check files:", "init lint render diff simulate judge convert schema explain"},
		{"Run it:", "up down demo controller bootstrap notify webhook completion version"},
	} {
		root.AddGroup(&cobra.Group{ID: g.title, Title: g.title})
		for verb := range strings.FieldsSeq(g.verbs) {
			for _, cmd := range root.Commands() {
				if cmd.Name() == verb {
					cmd.GroupID = g.title
				}
			}
		}
	}
}

// asPlugin makes examples say what is typed where kubectl calls the program.
func asPlugin(cmd *cobra.Command) {
	lines := strings.Split(cmd.Example, "\n")
	for i, line := range lines {
		lines[i] = strings.ReplaceAll(strings.ReplaceAll(line, "  sluice ", "  kubectl sluice "), "| sluice ", "| kubectl sluice ")
	}
	cmd.Example = strings.Join(lines, "\n")
	for _, sub := range cmd.Commands() {
		asPlugin(sub)
	}
}

// verbs lists what every build can do, in the order of the help.
func verbs(s Streams, b Build) []*cobra.Command {
	version := b.Version
	var out []*cobra.Command
	for _, a := range acts() {
		cmd := newAct(s, a)
		if cmd.Name() == "resume" {
			cmd.AddCommand(newResumeSource(s))
		}
		out = append(out, cmd)
	}
	return append(out,
		newGet(s),
		newStatus(s),
		newDescribe(s),
		newTree(s),
		newEvents(s),
		newLogs(s, b.State),
		newWait(s),
		newReport(s),
		newDoctor(s, version),
		newProxyStatus(s),
		newRoute(s),
		newLint(s, version),
		newRender(s),
		newDiff(s),
		newTrace(s),
		newReconcile(s),
		newSuspend(s),
		newExplain(s),
		newReference(s),
		newJudge(s),
		newSimulate(s),
		newBootstrap(s),
		newConvert(s),
		newInit(s),
		newSchema(s),
		newNotify(s),
		newWebhook(s),
		newCompletion(s),
		newVersion(s, version, b.Commit),
		newController(s, version, b.Commit),
		newOnlyStandalone("up", "Run everything on this machine, without a cluster"),
		newOnlyStandalone("down", "Stop what up started"),
		newOnlyStandalone("demo", "Watch a good release, a bad one, and the way back"),
	)
}

// newOnlyStandalone is a verb that this build lacks; it says which one has it.
func newOnlyStandalone(name, short string) *cobra.Command {
	return &cobra.Command{Use: name, Short: short, DisableFlagParsing: true, RunE: func(*cobra.Command, []string) error {
		return &Exit{Code: ExitUsage, Err: fmt.Errorf("%q is in the full build only, which carries the API server", name), Next: "make build && bin/full/sluice " + name}
	}}
}
