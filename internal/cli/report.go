package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-dev/sluice/internal/app"
)

// reportOptions are the flags of `sluice report`.
type reportOptions struct {
	cluster  *cluster
	scenario bool
	leader   string
	attempt  int64
	output   string
	metric   string
	servers  app.Prometheus
	suffix   string
	timeout  time.Duration
}

// reportFormats are what a report can be printed as.
func reportFormats() []string { return []string{"md", "html", "json", "svg", "png"} }

func newReport(s Streams) *cobra.Command {
	o := &reportOptions{}
	cmd := &cobra.Command{
		Use:   "report NAME",
		Short: "Tell the story of an attempt, with its evidence",
		Long: "Tell what happened to an attempt of a Rollout: in a sentence, from which commit, step by step, by which numbers, who acted, and\n" +
			"what Git says now. Markdown for an issue, html for one file that needs nothing else, json (EvidenceReport) for programs, svg and\n" +
			"png for the plot alone.\n\n" +
			"The status keeps final numbers only. How they came about is judged anew from Prometheus: name it by --prometheus, or give the\n" +
			"controller's file of servers. Without samples of that time the report says so and goes without the plot; svg and png fail.\n\n" +
			"--scenario prints the last decisions instead, each with what it was made of, as a script that plays to the same end:\n" +
			"`sluice simulate --scenario FILE`. The replica that leads knows them: run it where --leader is reachable, in that replica's Pod\n" +
			"or through a port that is forwarded there.\n\n" +
			"Exit code: 0 printed, 1 no such attempt, or nothing to draw, 2 wrong usage, 5 not found, 6 no answer, 7 not authorised, 124 --timeout.",
		Example: "  sluice report reviews -n bookinfo\n" +
			"  sluice report reviews --attempt 3 -o html --prometheus http://127.0.0.1:9090 >reviews-3.html\n" +
			"  sluice report reviews -o png --prometheus http://127.0.0.1:9090 >evidence.png\n" +
			"  sluice report reviews -n bookinfo --scenario --leader 127.0.0.1:8082 >reviews.txt",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.fits(cmd.Flags().Changed); err != nil {
				return &Exit{Code: ExitUsage, Err: err, Next: "sluice report --help"}
			}
			if o.scenario {
				return o.decisions(cmd.Context(), s, args[0])
			}
			return o.tell(cmd.Context(), s, args[0])
		},
	}
	o.cluster = addCluster(cmd)
	f := cmd.Flags()
	f.Int64Var(&o.attempt, "attempt", 0, "number of the attempt (default: the newest)")
	o.cluster.completeAttempt(cmd)
	f.StringVarP(&o.output, "output", "o", "md", strings.Join(reportFormats(), ", "))
	f.StringVar(&o.servers.URL, "prometheus", "", "URL of the Prometheus named default, whose samples the plot is made of")
	f.StringVar(&o.servers.Config, "prometheus-config", "", "the controller's file of Prometheus servers, for Rollouts that name one")
	f.StringVar(&o.metric, "metric", "", "metric whose effect the plot shows (default: the one that tells most)")
	f.StringVar(&o.suffix, "domain-suffix", "cluster.local", "suffix of the names of Kubernetes services")
	f.DurationVar(&o.timeout, "timeout", 2*time.Minute, "at most this long for judging anew")
	f.BoolVar(&o.scenario, "scenario", false, "the last decisions, as a script that plays to the same end")
	f.StringVar(&o.leader, "leader", "127.0.0.1:8082", "with --scenario: host:port where the replica that leads serves its decisions")
	return cmd
}

// fits says which flags do not go together.
func (o *reportOptions) fits(given func(string) bool) error {
	only := []string{"attempt", "output", "prometheus", "prometheus-config", "metric", "domain-suffix", "timeout"}
	switch i := slices.IndexFunc(only, given); {
	case o.scenario && i >= 0:
		return fmt.Errorf("--%s means nothing with --scenario", only[i])
	case !o.scenario && given("leader"):
		return errors.New("--leader means nothing without --scenario")
	case !slices.Contains(reportFormats(), o.output):
		return fmt.Errorf("--output %q: want %s", o.output, strings.Join(reportFormats(), ", "))
	case o.attempt < 0 || given("attempt") && o.attempt == 0:
		return fmt.Errorf("--attempt %d: attempts are counted from 1", o.attempt)
	case o.timeout <= 0:
		return fmt.Errorf("--timeout %v: want a length of time", o.timeout)
	}
	return nil
}
