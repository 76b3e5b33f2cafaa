package up

import (
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/sluice-dev/sluice/internal/cli"
	"github.com/sluice-dev/sluice/standalone/stack"
)

// tell says what a person types next, or everything as JSON.
func tell(s cli.Streams, d stack.Document, format string) error {
	if format == "json" {
		text, err := json.MarshalIndent(d, "", "  ")
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(s.Out, "%s\n", text)
		return err
	}
	if _, err := fmt.Fprintf(s.Out, "export KUBECONFIG=%s\n", quote(d.Kubeconfig)); err != nil {
		return err
	}
	for _, line := range []struct{ what, where string }{
		{"repository", d.Repository}, {"API server", d.APIServer}, {"Prometheus", d.Prometheus}, {"xDS", d.XDS},
		{"webhooks", d.Hook}, {"metrics", d.Metrics}, {"decisions", d.Decisions}, {"Envoy admin", d.EnvoyAdmin}, {"state", d.State},
	} {
		if line.where != "" {
			fmt.Fprintf(s.Err, "%-12s %s\n", line.what, line.where)
		}
	}
	if d.XDS != "" {
		fmt.Fprintln(s.Err, "look         kubectl get rollouts -A")
	}
	if d.XDS != "" && d.EnvoyAdmin == "" {
		fmt.Fprintf(s.Err, "no Envoy is started; yours: envoy --config-path %s\n", quote(filepath.Join(d.State, stack.BootstrapFile)))
	}
	return nil
}
