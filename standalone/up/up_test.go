package up_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/standalone/file"
	"github.com/sluice-dev/sluice/standalone/stack"
	"github.com/sluice-dev/sluice/test/poll"
	"github.com/sluice-dev/sluice/test/proxy"
)

// shop is the manifest of one service behind the gateway; the two ports are the gateway's and the service's.
const shop = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw, namespace: default}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: %d, name: http, protocol: HTTP}, bind: 127.0.0.1, hosts: ["*"]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: default}
spec:
  hosts: ["*"]
  gateways: [gw]
  http:
  - name: primary
    route: [{destination: {host: shop.default.svc.cluster.local}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: shop, namespace: default}
spec:
  host: shop.default.svc.cluster.local
  subsets: [{name: v1, labels: {version: v1}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: shop, namespace: default}
spec:
  hosts: [shop.default.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 8080, name: http, protocol: HTTP}]
  endpoints: [{address: 127.0.0.1, ports: {http: %s}, labels: {version: v1}}]
---
apiVersion: sluice.dev/v1alpha1
kind: Rollout
metadata: {name: shop, namespace: default}
spec: {host: shop.default.svc.cluster.local, subset: v1}
`

func git(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-C", dir}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.com")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %v: %v: %s", args, err, out)
	}
}

func commit(t *testing.T, dir, file, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	git(t, dir, "add", file)
	git(t, dir, "commit", "-q", "-m", "change "+file)
}

func body(address string) (string, error) {
	client := http.Client{Timeout: 30 * time.Second}
	resp, err := client.Get(address)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, text)
	}
	return string(text), err
}

func eventually(t *testing.T, what string, cond func() error) {
	t.Helper()
	if err := poll.Until(40*time.Second, cond); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func envoyOf(t *testing.T, dir string) stack.Process {
	t.Helper()
	var p stack.Process
	if err := file.ReadJSON(filepath.Join(dir, "envoy.json"), &p); err != nil || !p.Alive() {
		t.Fatalf("the Envoy of %s: %+v, %v", dir, p, err)
	}
	return p
}

func TestUp_appliesEachCommitAndServesOnWhenKilled(t *testing.T) {
	t.Parallel()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "v1") }))
	defer service.Close()
	at, err := url.Parse(service.URL)
	if err != nil {
		t.Fatal(err)
	}
	port := proxy.FreePort(t)
	gateway := fmt.Sprintf("http://127.0.0.1:%d/", port)
	serves := func() error {
		got, err := body(gateway)
		if err == nil && got != "v1" {
			err = fmt.Errorf("the gateway answers %q", got)
		}
		return err
	}

	tree, dir := t.TempDir(), t.TempDir()
	git(t, tree, "init", "-q", "-b", "trunk")
	commit(t, tree, "shop.yaml", fmt.Sprintf(shop, port, at.Port()))
	args := []string{tree, "--envoy", proxy.Binary(t)}
	first, d := up(t, dir, args...)
	eventually(t, "the first commit reaches Envoy", serves)
	if out := kubectl(t, d, "", "wait", "--for=condition=Ready", "rollout/shop", "--timeout=2m"); !strings.Contains(out, "condition met") {
		t.Errorf("kubectl wait says %q", out)
	}

	told, err := body("http://" + d.Metrics + "/metrics")
	if err != nil || !strings.Contains(told, "sluice_build_info{") || strings.Contains(told, `version=""`) {
		t.Errorf("it does not tell its version: %v", err)
	}

	commit(t, tree, "note.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: note, namespace: default}\ndata: {text: one}\n")
	eventually(t, "the next commit is applied", func() error {
		cmd := exec.Command("kubectl", "--kubeconfig", d.Kubeconfig, "get", "configmap", "note", "-o", "jsonpath={.data.text}")
		out, err := cmd.CombinedOutput()
		if err == nil && string(out) != "one" {
			err = errors.New(string(out))
		}
		return err
	})

	envoy := envoyOf(t, dir)
	if err := first.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := serves(); err != nil || !envoy.Alive() {
		t.Errorf("right after the kill: %v, Envoy alive %v", err, envoy.Alive())
	}
	_, again := up(t, dir, args...)
	if now := envoyOf(t, dir); now != envoy {
		t.Errorf("after the kill Envoy is %+v, was %+v", now, envoy)
	}
	if again.XDS != d.XDS || again.Repository != d.Repository {
		t.Errorf("after the kill: xDS %s, repository %s; want %s and %s", again.XDS, again.Repository, d.XDS, d.Repository)
	}
	eventually(t, "Envoy is connected again", func() error {
		text, err := body("http://" + again.EnvoyAdmin + "/stats?filter=control_plane.connected_state&format=json")
		if err == nil && !strings.Contains(text, `"value":1`) {
			err = errors.New(text)
		}
		return err
	})
	eventually(t, "Prometheus scrapes Envoy", func() error { return scraped(again) })
	if err := serves(); err != nil {
		t.Errorf("after the next up: %v", err)
	}
	if out, err := command(t, dir, "down").CombinedOutput(); err != nil || envoy.Alive() {
		t.Errorf("down: %v, Envoy alive %v: %s", err, envoy.Alive(), out)
	}
}

func scraped(d stack.Document) error {
	text, err := body(d.Prometheus + "/api/v1/query?query=" + url.QueryEscape(`envoy_cluster_upstream_rq_completed{envoy_cluster_name="outbound|8080|v1|shop.default.svc.cluster.local"}`))
	if err != nil {
		return err
	}
	var answer struct {
		Data struct{ Result []json.RawMessage }
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil || len(answer.Data.Result) != 1 {
		return fmt.Errorf("want one series: %s (%v)", text, err)
	}
	return nil
}
