package cli

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/rollout/scenario"
)

// What `sluice report NAME --scenario` prints, `sluice simulate --scenario FILE` plays to the same end.
func TestReport_printsAScenarioThatPlays(t *testing.T) {
	t.Parallel()
	w, tape := scenario.NewWorld(), &scenario.Tape{}
	w.Watch(tape.Add)
	if _, err := w.Play("proxies 2\nready stable=4 canary=4\nwant v1\nwant v2 commit=c07aa19\nsettle\nverdict Rollback reason=RegressionDetected\nsettle\n"); err != nil {
		t.Fatal(err)
	}
	script, err := tape.Script("The last decisions on Rollout shop/reviews.")
	if err != nil {
		t.Fatal(err)
	}
	leader := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/decisions/shop/reviews" {
			http.Error(w, "nothing", http.StatusNotFound)
			return
		}
		_, _ = io.WriteString(w, script)
	}))
	t.Cleanup(leader.Close)
	run := func(args ...string) (int, string, string) {
		var out, errs bytes.Buffer
		code := Main(t.Context(), args, Streams{In: strings.NewReader(""), Out: &out, Err: &errs}, Build{})
		return code, out.String(), errs.String()
	}
	addr := strings.TrimPrefix(leader.URL, "http://")
	code, printed, errs := run("report", "reviews", "-n", "shop", "--scenario", "--leader", addr)
	if diff := cmp.Diff(script, printed); code != 0 || diff != "" {
		t.Fatalf("exit %d, %s(-told +printed)\n%s", code, errs, diff)
	}
	file := filepath.Join(t.TempDir(), "reviews.txt")
	if err := os.WriteFile(file, []byte(printed+"\nexpect phase=RolledBack seq=6 rejected=d-v2 stable=v1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, played, errs := run("simulate", "--scenario", file)
	if code != 0 || !strings.Contains(played, "\n6 RollingBack > RolledBack RolledBack\n") {
		t.Errorf("exit %d, %s\n%s", code, errs, played)
	}
	if code, _, errs := run("report", "ratings", "-n", "shop", "--scenario", "--leader", addr); code != ExitNotFound || !strings.Contains(errs, "shop/ratings") {
		t.Errorf("of a Rollout that it does not know: exit %d, %s", code, errs)
	}
}
