package cli

import (
	"cmp"
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/sluice-dev/sluice/api/view"
	"github.com/sluice-dev/sluice/internal/app"
)

func newVersion(s Streams, version, commit string) *cobra.Command {
	var output *output
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Say which version this is",
		Long:    "Say which version this program is, and what it was built with. No cluster is asked.\n\nExit code: 0 printed, 2 wrong usage.",
		Example: "  sluice version\n  sluice version -o json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := output.ready(); err != nil {
				return err
			}
			v := view.VersionView{APIVersion: view.APIVersion, Kind: view.KindVersionView, Version: version, Commit: cmp.Or(commit, app.Revision()),
				Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
			return output.show(s, v, func() string {
				from := ""
				if v.Commit != "" {
					from = "commit " + view.Short(v.Commit) + ", "
				}
				return fmt.Sprintf("sluice %s (%s%s, %s)\n", v.Version, from, v.Go, v.Platform)
			})
		},
	}
	output = addOutput(cmd)
	return cmd
}
