package cli

import (
	"bytes"
	"cmp"
	_ "embed" // the file that init writes
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"text/template"

	"github.com/spf13/cobra"
)

//go:embed init.yaml.tmpl
var starter string

// initOptions are the flags of `sluice init`; they fill the file that it writes.
type initOptions struct {
	Name      string
	Service   string
	Namespace string
	Stable    string
	Port      int32
	Gateway   string
	Host      string
	Own       bool // writes the Gateway too
	cluster   *cluster
	from      string
	dir       string
	force     bool
}

func newInit(s Streams) *cobra.Command {
	o := &initOptions{}
	cmd := &cobra.Command{
		Use:   "init [NAME]",
		Short: "Write a first Rollout, VirtualService and DestinationRule",
		Long: "Write NAME.yaml with a Rollout, and the VirtualService and DestinationRule that it moves traffic by, with words on every\n" +
			"choice; without --gateway a Gateway too. With --from, name, namespace, version and port are those of a Deployment and\n" +
			"its Service in the cluster. What is written lints clean. A file that exists is left alone, unless --force says otherwise.\n\n" +
			"Exit code: 0 written, 1 the file exists, 2 wrong usage, 5 no such Deployment, 6 no answer, 7 not authorised.",
		Example: "  sluice init reviews --namespace bookinfo --host shop.example.com\n" +
			"  sluice init --from deployment/reviews-v1 -n bookinfo --dir deploy",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.Name = args[0]
			}
			if o.from != "" {
				if err := o.take(cmd.Context()); err != nil {
					return err
				}
			}
			o.Namespace = cmp.Or(o.Namespace, *o.cluster.flags.Namespace, "default")
			o.Service = cmp.Or(o.Service, o.Name)
			o.Own = o.Gateway == ""
			o.Gateway = cmp.Or(o.Gateway, o.Name)
			return o.run(s)
		},
	}
	o.cluster = addCluster(cmd)
	f := cmd.Flags()
	f.StringVar(&o.from, "from", "", "take it from deployment/NAME of the cluster")
	f.StringVar(&o.Stable, "subset", "v1", "version that serves now: the label version of its Pods")
	f.Int32Var(&o.Port, "port", 80, "port of the service")
	f.StringVar(&o.Gateway, "gateway", "", "name of the Gateway that requests come through (default: one is written)")
	f.StringVar(&o.Host, "host", "*", "host name of the requests")
	f.StringVar(&o.dir, "dir", ".", "directory to write to; it is made where it does not exist")
	f.BoolVar(&o.force, "force", false, "write over a file that exists")
	return cmd
}

// names is what a service, a namespace or a label value may be called.
var names = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

func (o *initOptions) run(s Streams) error {
	for _, one := range []struct{ what, value string }{{"NAME", o.Name}, {"--namespace", o.Namespace}, {"--subset", o.Stable}, {"--gateway", o.Gateway}} {
		if !names.MatchString(one.value) {
			return &Exit{Code: ExitUsage, Err: fmt.Errorf("%s %q: want lower-case letters, digits and -, at most 63", one.what, one.value)}
		}
	}
	host := regexp.MustCompile(`^([*]|([*][.])?[a-z0-9]([-a-z0-9.]*[a-z0-9])?)$`)
	if o.Port < 1 || o.Port > 65535 || !host.MatchString(o.Host) {
		return &Exit{Code: ExitUsage, Err: errors.New("--port wants 1 to 65535, --host a host name or *")}
	}
	t, err := template.New("init").Parse(starter)
	if err != nil {
		return fmt.Errorf("reading the template: %w", err)
	}
	var text bytes.Buffer
	if err := t.Execute(&text, o); err != nil {
		return fmt.Errorf("filling the template: %w", err)
	}
	path := filepath.Join(o.dir, o.Name+".yaml")
	how := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if o.force {
		how = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return fmt.Errorf("making the directory of --dir: %w", err)
	}
	file, err := os.OpenFile(path, how, 0o644)
	switch {
	case errors.Is(err, fs.ErrExist):
		return &Exit{Code: ExitNo, Err: fmt.Errorf("%s exists", path), Next: "sluice init " + o.Name + " --force"}
	case err != nil:
		return &Exit{Code: ExitUsage, Err: err}
	}
	_, err = file.Write(text.Bytes())
	if err := errors.Join(err, file.Close()); err != nil {
		return &Exit{Code: ExitUsage, Err: err}
	}
	_, err = fmt.Fprintf(s.Out, "wrote %s\nnext: sluice lint --partial %s\n", path, path)
	return err
}
