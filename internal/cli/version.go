package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/sluice-dev/sluice/api/view"
)

func newVersion(s Streams, version string) *cobra.Command {
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
			v := view.VersionView{APIVersion: view.APIVersion, Kind: view.KindVersionView, Version: version, Go: runtime.Version(),
				Platform: runtime.GOOS + "/" + runtime.GOARCH}
			if info, ok := debug.ReadBuildInfo(); ok {
				for _, setting := range info.Settings {
					if setting.Key == "vcs.revision" {
						v.Commit = setting.Value
					}
				}
			}
			return output.show(s, v, func() string { return fmt.Sprintf("sluice %s (%s, %s)\n", v.Version, v.Go, v.Platform) })
		},
	}
	output = addOutput(cmd)
	return cmd
}
