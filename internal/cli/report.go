package cli

import (
	"errors"

	"github.com/spf13/cobra"
)

// reportOptions are the flags of `sluice report`.
type reportOptions struct {
	cluster  *cluster
	scenario bool
	leader   string
}

func newReport(s Streams) *cobra.Command {
	o := &reportOptions{}
	cmd := &cobra.Command{
		Use:   "report NAME",
		Short: "Tell the story of a Rollout",
		Long: "Tell what happened to a Rollout. --scenario prints the last decisions on it, each with what it was made of, as a script that\n" +
			"plays to the same end: `sluice simulate --scenario FILE`. The replica that leads knows them: run it where --leader is\n" +
			"reachable, in that replica's Pod or through a port that is forwarded there.\n\n" +
			"Exit code: 0 printed, 2 wrong usage, 5 that replica has decided nothing on it, 6 no answer.",
		Example: "  sluice report reviews --scenario\n" +
			"  sluice report reviews -n bookinfo --scenario --leader 127.0.0.1:8082 >reviews.txt",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.scenario {
				return o.decisions(cmd.Context(), s, args[0])
			}
			return &Exit{Code: ExitUsage, Err: errors.New("say what to print: --scenario"), Next: "sluice report --help"}
		},
	}
	o.cluster = addCluster(cmd)
	cmd.Flags().BoolVar(&o.scenario, "scenario", false, "the last decisions, as a script that plays to the same end")
	cmd.Flags().StringVar(&o.leader, "leader", "127.0.0.1:8082", "host:port where the replica that leads serves its decisions")
	return cmd
}
