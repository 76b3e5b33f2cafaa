package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/sluice-dev/sluice/internal/cli"
	"github.com/sluice-dev/sluice/standalone/stack"
	"github.com/sluice-dev/sluice/test/service"
)

// Env is what the demo takes from its surroundings instead of from flags.
type Env struct {
	Program string           // this program
	Envoy   string           // the Envoy to start; empty: the one on PATH
	Temp    string           // directory for temporary directories
	Width   func() int       // columns of the terminal; 0: the output is none
	Run     stack.Run        // the controllers
	Version string           // of this program, which they tell
	Commit  string           // that it was built from; empty: not known
	Now     func() time.Time // the clock
}

// TerminalWidth gives the columns of the terminal that f is, 0 where it is none.
func TerminalWidth(f *os.File) int {
	if !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 80
	}
	return width
}

// options are the flags of the demo.
type options struct {
	stay      bool
	keep      bool
	subtle    bool
	plain     bool
	rps       float64
	badErrors percent
	seed      uint64
	state     string
	timeline  string
	summary   string
	timeout   time.Duration
}

// percent is a share that flags write as 20%.
type percent float64

// String implements pflag.Value.
func (p *percent) String() string { return strconv.FormatFloat(100*float64(*p), 'g', -1, 64) + "%" }

// Type implements pflag.Value.
func (p *percent) Type() string { return "percent" }

// Set implements pflag.Value.
func (p *percent) Set(text string) error {
	number, ok := strings.CutSuffix(text, "%")
	value, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || !(value >= 0 && value <= 100) {
		return fmt.Errorf("%q is not a share between 0%% and 100%%", text)
	}
	*p = percent(value / 100)
	return nil
}

func usage(format string, args ...any) error {
	return &cli.Exit{Code: cli.ExitUsage, Err: fmt.Errorf(format, args...)}
}

// rareErrors is what --subtle makes of --bad-errors.
const rareErrors = percent(0.01)

// New is the verb demo.
func New(s cli.Streams, env Env) *cobra.Command {
	o := options{badErrors: 0.2}
	c := &cobra.Command{
		Use:   "demo",
		Short: "Watch a good release, a bad one, and the way back",
		Long: "Starts every part for real, pushes a good release and a bad one with git, and measures what users see. " +
			"Exits 0 when all went as it should, 1 when the story went otherwise, 2 when it could not be set up.",
		Example: "  sluice demo\n  sluice demo --stay\n  sluice demo --subtle --plain --summary summary.json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if o.subtle && c.Flags().Changed("bad-errors") {
				return usage("--subtle and --bad-errors both say how often the bad version fails; give one")
			}
			if !(o.rps >= 1 && o.rps <= 100_000) {
				return usage("--rps %v is not between 1 and 100000", o.rps)
			}
			if o.timeout <= 0 {
				return usage("--timeout %v is not a time to wait", o.timeout)
			}
			return run(c.Context(), s, env, o)
		},
	}
	f := c.Flags()
	f.BoolVar(&o.stay, "stay", false, "keep everything running after the story, until Ctrl-C")
	f.BoolVar(&o.keep, "keep", false, "keep the state directory")
	f.BoolVar(&o.subtle, "subtle", false, "the bad version fails 1% of its requests only")
	f.BoolVar(&o.plain, "plain", false, "print a line per event instead of the live view")
	f.Float64Var(&o.rps, "rps", 600, "requests a second")
	f.Var(&o.badErrors, "bad-errors", "share of its requests that the bad version fails")
	f.Uint64Var(&o.seed, "seed", 1, "of the load and of the service's answer times")
	f.StringVar(&o.state, "state", "", "directory of all state (default: a fresh temporary one, deleted at the end)")
	f.StringVar(&o.timeline, "timeline", "", "write every event to this file, one JSON object a line")
	f.StringVar(&o.summary, "summary", "", "write the numbers to this file as JSON")
	f.DurationVar(&o.timeout, "timeout", 5*time.Minute, "give up after this time")
	c.AddCommand(newFault(s, env), newService(s))
	return c
}

// newFault is the verb demo fault.
func newFault(s cli.Streams, env Env) *cobra.Command {
	var errorShare, delayShare percent
	var delay time.Duration
	var off bool
	var state string
	c := &cobra.Command{
		Use:     "fault VERSION",
		Short:   "Switch the faults of a version while a demo runs",
		Example: "  sluice demo fault v2 --errors 5%\n  sluice demo fault v2 --delay 300ms --share 10%\n  sluice demo fault v2 --off",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			given := errorShare > 0 || delay > 0
			if off == given {
				return usage("say what is to go wrong, --errors or --delay with --share, or --off")
			}
			if (delay > 0) != (delayShare > 0) {
				return usage("--delay and --share go together")
			}
			path, err := findSocket(c.Context(), env.Temp, state)
			if err != nil {
				return &cli.Exit{Code: cli.ExitNotFound, Err: err, Next: "sluice demo --stay"}
			}
			fault := service.Fault{Errors: float64(errorShare), Delay: service.Millis(delay.Milliseconds()), Share: float64(delayShare)}
			if err := send(c.Context(), path, order{Version: args[0], Fault: fault}); err != nil {
				return err
			}
			fmt.Fprintf(s.Err, "%s switched\n", args[0])
			return nil
		},
	}
	f := c.Flags()
	f.Var(&errorShare, "errors", "share of its requests that it answers with 500")
	f.DurationVar(&delay, "delay", 0, "time by which it delays the share of its requests that --share says")
	f.Var(&delayShare, "share", "share of its requests that it delays")
	f.BoolVar(&off, "off", false, "end its faults")
	f.StringVar(&state, "state", "", "state directory of the demo (default: the one that runs)")
	return c
}

// newService is the hidden verb demo service: one version, which the demo runs as a process of its own.
func newService(s cli.Streams) *cobra.Command {
	var cfg service.Config
	c := &cobra.Command{
		Use:    "service",
		Short:  "Serve one version of the demo's service until the end of the input",
		Args:   cobra.NoArgs,
		Hidden: true,
		RunE: func(c *cobra.Command, _ []string) error {
			return service.Run(c.Context(), s.In, s.Out, cfg)
		},
	}
	f := c.Flags()
	f.StringVar(&cfg.Version, "version", first, "what it says it is")
	f.IntVar(&cfg.Endpoints, "endpoints", endpoints, "ports to listen on")
	f.Uint64Var(&cfg.Seed, "seed", 1, "of its answer times")
	f.Float64Var(&cfg.Fault.Errors, "errors", 0, "share of its requests, 0 to 1, that it answers with 500")
	return c
}

// The reasons why a demo ends before its story.
var (
	errTimeout     = errors.New("--timeout has passed")
	errInterrupted = errors.New("interrupted")
)

// program finds what the demo needs on this machine before anything is started.
func (env Env) program() (envoy string, err error) {
	if _, err := exec.LookPath("git"); err != nil {
		return "", &cli.Exit{Code: cli.ExitUsage, Err: fmt.Errorf("the demo pushes with git: %w", err), Next: "install git"}
	}
	envoy = env.Envoy
	if envoy == "" {
		envoy = "envoy"
	}
	found, err := exec.LookPath(envoy)
	if err != nil {
		return "", &cli.Exit{Code: cli.ExitUsage, Err: fmt.Errorf("there is no Envoy to show: %w", err), Next: "make envoy"}
	}
	return found, nil
}

// interruptible gives a context that ends with errTimeout or errInterrupted as its cause.
func interruptible(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	inner, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { cancel(errInterrupted) })
	timer := time.AfterFunc(timeout, func() { cancel(errTimeout) })
	return inner, func() {
		stop()
		timer.Stop()
		cancel(context.Canceled)
	}
}
