package cli

import (
	"context"
	"fmt"
	"time"

	"charm.land/lipgloss/v2"
	"github.com/spf13/cobra"
	"k8s.io/client-go/kubernetes"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
	"github.com/sluice-dev/sluice/internal/app"
	"github.com/sluice-dev/sluice/internal/cli/paper"
)

// The areas of checks.
const (
	areaClient     = "client"
	areaCluster    = "cluster"
	areaController = "controller"
	areaProxies    = "proxies"
	areaMetrics    = "metrics"
	areaGit        = "git"
	areaNotes      = "notes"
	areaStandalone = "standalone"
)

// checkWithin is how long one check may take.
const checkWithin = 5 * time.Second

// doctor looks at an installation, check by check.
type doctor struct {
	cluster    *cluster
	output     *output
	look       *look
	pre        bool
	within     []string // namespaces whose objects are looked at; none: all
	prometheus string
	envoy      string
	version    string // of this program
	now        func() time.Time
	kube       kubernetes.Interface
	report     view.DoctorReport
	listed
}

// listed is what one check lists and others look at too.
type listed struct {
	rollouts []v1alpha1.Rollout
	sourced  []v1alpha1.Source
	unlisted error // why one of the two lists is not known
}

func newDoctor(s Streams, version string) *cobra.Command {
	d := &doctor{version: version, now: app.Now}
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look for what keeps an installation from working",
		Long: "Look at everything that has to work together: this program and the kubeconfig, the cluster and its definitions, the\n" +
			"controllers, proxies, metrics, Git and notes. Each check is ok, warn or fail, and each fail names the next command.\n" +
			"--pre looks at what can be known before Sluice is installed, and at what `sluice up` needs on this machine.\n\n" +
			"Exit code: 0 nothing failed, 1 something did, 2 wrong usage, 130 interrupted.",
		Example: "  sluice doctor\n" +
			"  sluice doctor --pre\n" +
			"  sluice doctor -n sluice-system --prometheus http://127.0.0.1:9090 -o json",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return d.run(cmd.Context(), s, cmd.Flags().Changed("namespace"))
		},
	}
	d.cluster, d.output, d.look = addCluster(cmd), addOutput(cmd), addLook(cmd)
	f := cmd.Flags()
	f.BoolVar(&d.pre, "pre", false, "only what can be known before installing")
	f.StringSliceVar(&d.within, "namespaces", nil, "namespaces whose Rollouts, Sources and Notifiers are looked at, as the controller's flag says; empty: all")
	f.StringVar(&d.prometheus, "prometheus", "", "URL of the Prometheus that judges, as it is reached from here")
	f.StringVar(&d.envoy, "envoy", "envoy", "the Envoy that sluice up would start")
	f.Lookup("namespace").Usage = "namespace that Sluice runs in (default: sluice-system)"
	return cmd
}

func (d *doctor) run(ctx context.Context, s Streams, within bool) error {
	if err := d.output.ready(); err != nil {
		return err
	}
	on, err := d.look.on(s)
	if err != nil {
		return err
	}
	d.report = view.DoctorReport{APIVersion: view.APIVersion, Kind: view.KindDoctorReport, Pre: d.pre, Checks: []view.DoctorCheck{}}
	d.examine(ctx, within)
	if ctx.Err() != nil {
		return &Exit{Code: ExitInterrupted}
	}
	if err := d.output.show(s, d.report, func() string { return onLines(d.report.Text(marked(on)), on) }); err != nil {
		return err
	}
	if d.report.Counts.Fail > 0 {
		return &Exit{Code: ExitNo}
	}
	return nil
}

// onLines makes text that has lines and colours of ours fit for the screen.
func onLines(text string, on screen) string {
	if !on.ascii {
		return text
	}
	return paper.ASCII(text)
}

// marked gives the words of results their colours.
func marked(on screen) func(view.DoctorResult) string {
	colours := map[view.DoctorResult]string{view.DoctorOK: "2", view.DoctorWarn: "3", view.DoctorFail: "1"}
	return func(r view.DoctorResult) string {
		word := fmt.Sprintf("%-4s", r)
		if !on.colour {
			return word
		}
		return lipgloss.NewStyle().Foreground(lipgloss.Color(colours[r])).Render(word)
	}
}

// examine does all checks that what is found so far allows.
func (d *doctor) examine(ctx context.Context, within bool) {
	reached := d.client(ctx)
	if !within {
		d.cluster.namespace = "sluice-system"
	}
	checks := []func(context.Context){d.definitions, d.clash, d.rights, d.replicas, d.fleet, d.metrics, d.sources, d.notes}
	if d.pre {
		checks = []func(context.Context){d.before}
	}
	for _, check := range checks {
		if !reached {
			break
		}
		bounded, cancel := context.WithTimeout(ctx, checkWithin)
		check(bounded)
		cancel()
	}
	if d.pre {
		d.standalone(ctx, reached)
	}
}

func (d *doctor) ok(area, name, format string, args ...any) {
	d.report.Add(view.DoctorCheck{Area: area, Name: name, Result: view.DoctorOK, Message: fmt.Sprintf(format, args...)})
}

func (d *doctor) warn(area, name, message, next string) {
	d.report.Add(view.DoctorCheck{Area: area, Name: name, Result: view.DoctorWarn, Message: message, Next: next})
}

func (d *doctor) fail(area, name, message, next string) {
	d.report.Add(view.DoctorCheck{Area: area, Name: name, Result: view.DoctorFail, Message: message, Next: next})
}

// unknown says that a check could not be done: by rights, or since the server did not answer in time.
func (d *doctor) unknown(area, name string, err error) {
	d.warn(area, name, "not known: "+err.Error(), "")
}
