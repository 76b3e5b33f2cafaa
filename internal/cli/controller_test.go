package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/sluice-dev/sluice/internal/app"
)

// A flag that is said wins over the file, the file over a default.
func TestReadConfig_flagsWin(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sluice.yaml")
	file := "apiVersion: config.sluice.dev/v1alpha1\nkind: Controller\nreplica: of-file\nnamespace: of-file\n" +
		"git: {insecureHosts: [of.file], resync: 5m}\nleader: {election: false, leaseDuration: 1m}\n"
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	c := app.Config{}
	flags := pflag.NewFlagSet("controller", pflag.ContinueOnError)
	flags.StringVar(&c.Replica, "replica", "", "")
	flags.StringVar(&c.Namespace, "system-namespace", "sluice-system", "")
	flags.StringSliceVar(&c.Git.InsecureHosts, "git-insecure-host", nil, "")
	flags.BoolVar(&c.Leader.Election, "leader-elect", true, "")
	flags.DurationVar(&c.Leader.Lease, "lease-duration", 15*time.Second, "")
	if err := flags.Parse([]string{"--replica=of-flag", "--git-insecure-host=of.flag", "--leader-elect"}); err != nil {
		t.Fatal(err)
	}
	if err := readConfig(path, &c, flags); err != nil {
		t.Fatal(err)
	}
	if c.Replica != "of-flag" || !slices.Equal(c.Git.InsecureHosts, []string{"of.flag"}) || !c.Leader.Election {
		t.Errorf("config = %+v, want what the flags say", c)
	}
	if c.Namespace != "of-file" || c.Git.Resync != 5*time.Minute || c.Leader.Lease != time.Minute {
		t.Errorf("config = %+v, want what the file says where no flag does", c)
	}
}

func TestReadConfig_isBounded(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sluice.yaml")
	if err := os.WriteFile(path, []byte("#"+strings.Repeat("x", maxConfig)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := readConfig(path, &app.Config{}, pflag.NewFlagSet("", pflag.ContinueOnError)); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("error = %v, want one that says the bound", err)
	}
}
