package cli

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"
)

// versionOf is what a build says of itself.
type versionOf struct {
	Version  string `json:"version"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
	Commit   string `json:"commit,omitempty"` // where the build knows it
}

func newVersion(s Streams, version string) *cobra.Command {
	output := ""
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Say which version this is",
		Example: "  sluice version\n  sluice version -o json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			v := versionOf{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
			if info, ok := debug.ReadBuildInfo(); ok {
				for _, setting := range info.Settings {
					if setting.Key == "vcs.revision" {
						v.Commit = setting.Value
					}
				}
			}
			return v.print(s, output)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "json or yaml")
	return cmd
}

func (v versionOf) print(s Streams, output string) error {
	text := []byte(fmt.Sprintf("sluice %s (%s, %s)", v.Version, v.Go, v.Platform))
	var err error
	switch output {
	case "":
	case "json":
		text, err = json.MarshalIndent(v, "", "  ")
	case "yaml":
		text, err = yaml.Marshal(v)
		text = text[:max(0, len(text)-1)]
	default:
		err = &Exit{Code: ExitUsage, Err: fmt.Errorf("--output %q: want json or yaml", output)}
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.Out, string(text))
	return err
}
