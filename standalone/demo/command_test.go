package demo

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/internal/cli"
	"github.com/sluice-dev/sluice/test/service"
)

func execute(t *testing.T, env Env, args ...string) error {
	t.Helper()
	c := New(cli.Streams{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard}, env)
	c.SilenceErrors, c.SilenceUsage = true, true
	c.SetArgs(args)
	return c.ExecuteContext(t.Context())
}

func TestCommand_saysWhatIsWrongBeforeItStartsAnything(t *testing.T) {
	t.Parallel()
	env := Env{Envoy: filepath.Join(t.TempDir(), "envoy"), Temp: t.TempDir(), Now: time.Now, Width: func() int { return 0 }}
	for _, tc := range []struct {
		args []string
		want string
		next string
	}{
		{[]string{}, "there is no Envoy to show", "make envoy"},
		{[]string{"--rps", "0"}, "--rps 0 is not between", ""},
		{[]string{"--bad-errors", "20"}, `"20" is not a share`, ""},
		{[]string{"--bad-errors", "101%"}, `"101%" is not a share`, ""},
		{[]string{"--subtle", "--bad-errors", "5%"}, "give one", ""},
		{[]string{"--timeout", "0s"}, "--timeout 0s", ""},
		{[]string{"fault", "v2"}, "say what is to go wrong", ""},
		{[]string{"fault", "v2", "--off", "--errors", "5%"}, "say what is to go wrong", ""},
		{[]string{"fault", "v2", "--delay", "300ms"}, "--delay and --share go together", ""},
		{[]string{"fault", "v2", "--errors", "5%"}, "no demo is running", "sluice demo --stay"},
	} {
		err := execute(t, env, tc.args...)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: got %v, want %q in it", tc.args, err, tc.want)
			continue
		}
		exit, _ := errors.AsType[*cli.Exit](err)
		if tc.next != "" && (exit == nil || exit.Next != tc.next) {
			t.Errorf("%q: got next %+v, want %q", tc.args, exit, tc.next)
		}
	}
	left, err := os.ReadDir(env.Temp)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v, want nothing", left, err)
	}
}

func TestFault_reachesTheDemoThatRuns(t *testing.T) {
	t.Parallel()
	temp, err := os.MkdirTemp("", "s") // short: a socket's path is
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(temp)
	dir, err := tempDir(temp)
	if err != nil {
		t.Fatal(err)
	}
	orders := make(chan order, 1)
	c, err := startControl(t.Context(), filepath.Join(dir, socketName), func(_ context.Context, o order) error {
		if o.Version == "v9" {
			return errors.New(`there is no version "v9"`)
		}
		orders <- o
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	env := Env{Temp: temp}
	if err := execute(t, env, "fault", "v2", "--errors", "5%", "--delay", "300ms", "--share", "10%"); err != nil {
		t.Fatal(err)
	}
	want := order{Version: "v2", Fault: service.Fault{Errors: 0.05, Delay: 300, Share: 0.1}}
	if got := <-orders; got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if err := execute(t, env, "fault", "v2", "--off", "--state", dir); err != nil {
		t.Fatal(err)
	}
	if got := <-orders; got != (order{Version: "v2"}) {
		t.Errorf("--off: got %+v, want no fault", got)
	}
	if err := execute(t, env, "fault", "v9", "--off"); err == nil || !strings.Contains(err.Error(), "v9") {
		t.Errorf("unknown version: got %v, want it named", err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := execute(t, env, "fault", "v2", "--off"); !errors.Is(err, errNoDemo) {
		t.Errorf("after the demo: got %v, want %v", err, errNoDemo)
	}
}

func TestSpan(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0ms", 212 * time.Millisecond: "212ms", 6900 * time.Millisecond: "6.9s", 2 * time.Second: "2s",
		107 * time.Second: "1m47s", 59990 * time.Millisecond: "1m0s",
	} {
		if got := span(d); got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
	}
}

func TestBand_isWhatASoundRunKeeps(t *testing.T) {
	t.Parallel()
	if got := band(15, 6000); got < 0.0230 || got > 0.0231 {
		t.Errorf("15%% of 6000: got %v, want 0.0230", got)
	}
	if got := band(100, 6000); got != 0 {
		t.Errorf("100%%: got %v, want 0", got)
	}
}

func TestAligned_hasTheColumnsWithoutWide(t *testing.T) {
	t.Parallel()
	table := metav1.Table{
		ColumnDefinitions: []metav1.TableColumnDefinition{{Name: "Name"}, {Name: "READY"}, {Name: "STEP"}, {Name: "STABLE", Priority: 1}, {Name: "AGE"}},
		Rows:              []metav1.TableRow{{Cells: []any{"reviews", "True", nil, "v2", "72s"}}},
	}
	head, line := aligned(table)
	if want := "NAME      READY   STEP   AGE"; head != want {
		t.Errorf("head: got %q, want %q", head, want)
	}
	if want := "reviews   True           72s"; line != want {
		t.Errorf("line: got %q, want %q", line, want)
	}
}
