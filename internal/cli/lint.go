package cli

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/view"
	"github.com/sluice-dev/sluice/internal/app"
	"github.com/sluice-dev/sluice/internal/cli/lint"
	"github.com/sluice-dev/sluice/xds/manifest"
)

// lintOptions are the flags of `sluice lint`.
type lintOptions struct {
	lint.Options
	failOn     string
	output     *output
	colour     string
	prometheus string
	now        func() time.Time
	version    string
}

func newLint(s Streams, version string) *cobra.Command {
	o := lintOptions{version: version, now: app.Now}
	cmd := &cobra.Command{
		Use:   "lint PATH...|-",
		Short: "Say what is wrong with manifests, line by line",
		Long: "Read Istio objects, services and the kinds of Sluice from files, and say what is wrong with them: what has no effect\n" +
			"or not the effect written, and what an API server would refuse. A directory with a kustomization file is rendered.\n" +
			"Nothing is sent and no cluster is asked; with --prometheus that server is.\n\n" +
			"A comment on the line of a finding or the one above suppresses it: # sluice:ignore S021 the old host goes in May\n\n" +
			"Exit code: 0 clean, 1 findings as grave as --fail-on, 2 wrong usage or an unreadable file.",
		Example: "  sluice lint deploy/\n" +
			"  sluice lint deploy/prod --partial --fail-on warning\n" +
			"  kubectl get gateways,virtualservices,destinationrules -A -o yaml | sluice lint - --partial -o sarif",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &Exit{Code: ExitUsage, Err: errors.New("give a file, a directory, or - for standard input"), Next: "sluice lint --help"}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, s, args) },
	}
	f := cmd.Flags()
	f.StringVar(&o.failOn, "fail-on", "error", "least severity that fails: error, warning, info or never")
	o.output = addOutput(cmd, "text", "sarif", "github")
	f.BoolVar(&o.Partial, "partial", false, "take hosts that the files do not hold as existing")
	f.Float64Var(&o.Rate, "rps", 0, "requests a second that hosts of Rollouts get: says which steps are too short for it (default: annotation sluice.dev/expected-rps)")
	f.StringVar(&o.prometheus, "prometheus", "", "URL of a Prometheus to ask what traffic these hosts had in the last hour, where --rps is not given")
	f.BoolVar(&o.GRPC, "grpc", false, "look also at gRPC clients without a proxy")
	f.StringVar(&o.DomainSuffix, "domain-suffix", "cluster.local", "suffix of the names of Kubernetes services")
	f.StringVar(&o.RootNamespace, "mesh-root-namespace", "istio-system", "namespace whose DestinationRules hold for the whole mesh")
	f.StringVar(&o.colour, "color", "auto", "colour the text: auto, always or never")
	return cmd
}

func (o lintOptions) run(cmd *cobra.Command, s Streams, args []string) error {
	if err := o.check(); err != nil {
		return &Exit{Code: ExitUsage, Err: err, Next: "sluice lint --help"}
	}
	if err := o.output.ready(); err != nil {
		return err
	}
	in, err := readManifests(cmd.Context(), s, args)
	if err != nil {
		return &Exit{Code: ExitUsage, Err: err, Next: "name files and directories that can be read"}
	}
	input := lintInput(in)
	if err := o.ask(cmd.Context(), s, input); err != nil {
		return &Exit{Code: ExitUsage, Err: err, Next: "sluice lint --help"}
	}
	report, err := lint.Run(input, o.Options)
	if err != nil {
		return err
	}
	if err := o.write(s, report); err != nil {
		return err
	}
	if o.text() && !o.Partial && slices.ContainsFunc(report.Problems, aboutTheRest) {
		fmt.Fprintln(s.Err, "note: --partial takes hosts that the files do not hold as existing")
	}
	if o.failOn != "never" && lint.Reaches(report, problem.Severity(o.failOn)) {
		return &Exit{Code: ExitNo}
	}
	return nil
}

// text reports that people read the report.
func (o lintOptions) text() bool { return o.output.format == "" || o.output.format == "text" }

// aboutTheRest reports whether a Problem may come from files that hold only a part of the mesh.
func aboutTheRest(p problem.Problem) bool { return p.Code == "S011" || p.Code == "S060" }

func (o lintOptions) check() error {
	if !(o.Rate >= 0 && o.Rate <= 1e6) {
		return fmt.Errorf("--rps is %v: want 0 to 1e6 requests a second", o.Rate)
	}
	for _, f := range []struct {
		flag, value string
		known       []string
	}{
		{"--fail-on", o.failOn, []string{"error", "warning", "info", "never"}},
		{"--color", o.colour, []string{"auto", "always", "never"}},
	} {
		if !slices.Contains(f.known, f.value) {
			return fmt.Errorf("%s %q is none of %v", f.flag, f.value, f.known)
		}
	}
	return nil
}

// lintInput makes the meshes: plain files are in every one, each kustomization in its own, since two of them are
// usually the same objects for two clusters.
func lintInput(from *manifests) lint.Input {
	in := lint.Input{Files: from.files}
	roots := from.roots
	if len(roots) == 0 {
		roots = []*rendered{{}}
	}
	for _, r := range roots {
		mesh := manifest.New()
		for _, f := range from.files {
			mesh.Load(f.Name, f.Content)
		}
		r.addTo(mesh)
		in.Units = append(in.Units, lint.Unit{Mesh: mesh, Found: r.found})
		for _, f := range r.files {
			if !slices.ContainsFunc(in.Files, func(g lint.File) bool { return g.Name == f.Name }) {
				in.Files = append(in.Files, f)
			}
		}
	}
	return in
}

func (o lintOptions) write(s Streams, r view.LintReport) error {
	if !o.output.people() {
		return o.output.document(s.Out, r)
	}
	switch o.output.format {
	case "sarif":
		return lint.WriteSARIF(s.Out, r, o.version)
	case "github":
		return lint.WriteGitHub(s.Out, r)
	default:
		return lint.WriteText(s.Out, r, o.colour == "always" || o.colour == "auto" && s.Colour)
	}
}
