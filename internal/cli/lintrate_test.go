package cli

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// busy is a Prometheus that knows the traffic of some hosts.
func busy(t *testing.T, asked *atomic.Int32, rates map[string]string) string {
	t.Helper()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		for host, rate := range rates {
			if !strings.Contains(r.FormValue("query"), strings.ReplaceAll(host, ".", `\\.`)) {
				continue
			}
			if rate == "broken" {
				w.WriteHeader(http.StatusBadGateway)
				return
			}
			fmt.Fprintf(w, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,%q]}]}}`, rate)
			return
		}
		fmt.Fprint(w, `{"status":"success","data":{"resultType":"vector","result":[]}}`)
	}))
	t.Cleanup(web.Close)
	return web.URL
}

func TestLint_asksForTheTrafficOfEachHost(t *testing.T) {
	const rollout = "apiVersion: sluice.dev/v1alpha1\nkind: Rollout\nmetadata: {name: %s, namespace: shop%s}\n" +
		"spec:\n  host: %s\n  subset: v2\n  steps: [{weight: 15}]\n  analysis: {maxDuration: 6m}\n---\n"
	var text strings.Builder
	for _, name := range []string{"busy", "calm", "silent"} {
		fmt.Fprintf(&text, rollout, name, "", name)
	}
	path := filepath.Join(t.TempDir(), "rollouts.yaml")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	lint := func(args ...string) (int, string, string) {
		var out, errs bytes.Buffer
		args = append([]string{"lint", path, "--partial", "--fail-on", "never"}, args...)
		code := Main(t.Context(), args, Streams{In: strings.NewReader(""), Out: &out, Err: &errs}, Build{})
		return code, out.String(), errs.String()
	}
	var asked atomic.Int32
	rates := map[string]string{"busy.shop.svc.cluster.local": "400", "calm.shop.svc.cluster.local": "2"}
	server := busy(t, &asked, rates)
	code, out, errs := lint("--prometheus", server)
	if code != 0 || strings.Count(out, "S701") != 1 || !strings.Contains(out, "come at 2 rps") || !strings.Contains(out, "at 400 rps") ||
		!strings.Contains(errs, "note: silent.shop.svc.cluster.local had no requests in the last hour") || asked.Load() != 3 {
		t.Errorf("exit %d, asked %d times\n%s%s", code, asked.Load(), out, errs)
	}
	if code, out, errs = lint("--prometheus", server, "--rps", "400"); code != 0 || asked.Load() != 3 || strings.Contains(errs, "note") || strings.Contains(out, "at 2 rps") {
		t.Errorf("with --rps: exit %d, asked %d times\n%s%s", code, asked.Load(), out, errs)
	}
	rates["busy.shop.svc.cluster.local"] = "broken"
	if code, out, errs = lint("--prometheus", server); code != 0 || asked.Load() != 4 || !strings.Contains(errs, "note: the traffic of busy.shop.svc.cluster.local is not known: HTTPStatus") {
		t.Errorf("a server that is down: exit %d, asked %d times\n%s%s", code, asked.Load(), out, errs)
	}
	if code, _, errs = lint("--prometheus", "http://user:secret@host"); code != ExitUsage || strings.Contains(errs, "secret") {
		t.Errorf("a user in the URL: exit %d %s", code, errs)
	}
}
