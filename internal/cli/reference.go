package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sluice-dev/sluice/internal/app"
)

// newReference prints pages of the documentation that the program itself knows best. It is for whoever builds Sluice.
func newReference(s Streams) *cobra.Command {
	return &cobra.Command{
		Use:       "reference PAGE",
		Short:     "Print a page of the reference: metrics",
		Long:      "Print a page of the reference as the documentation has it. Pages: metrics, every metric with its labels.",
		Example:   "  sluice reference metrics",
		Hidden:    true,
		Args:      cobra.ExactArgs(1),
		ValidArgs: []string{"metrics"},
		RunE: func(_ *cobra.Command, args []string) error {
			if args[0] != "metrics" {
				return &Exit{Code: ExitUsage, Err: fmt.Errorf("there is no page %q", args[0]), Next: "sluice reference metrics"}
			}
			all, err := app.Metrics()
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(s.Out, app.Page(all))
			return err
		},
	}
}
