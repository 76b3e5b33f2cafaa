package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/gitsync"
	"github.com/sluice-dev/sluice/gitsync/apply"
	"github.com/sluice-dev/sluice/internal/cli"
	"github.com/sluice-dev/sluice/test/gitserver"
)

const edgeMesh = `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  selector: {app: edge}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [shop.example]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop}
spec:
  hosts: [shop.example]
  gateways: [edge]
  http:
  - name: primary
    timeout: 5s
    route: [{destination: {host: reviews, subset: v1}, weight: 100}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec:
  host: reviews
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
---
apiVersion: sluice.dev/v1alpha1
kind: Rollout
metadata: {name: reviews}
spec: {host: reviews, subset: v1}
`

// checkout is a repository on this machine with one commit, tagged base.
func checkout(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, files)
	for _, args := range [][]string{{"init", "-q"}, {"add", "-A"}, {"-c", "user.name=T", "-c", "user.email=t@example.com", "commit", "-qm", "first"}, {"tag", "base"}} {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir, cmd.Env = dir, gitserver.Environment(dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	return dir
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDiff_againstARevision(t *testing.T) {
	t.Parallel()
	dir := checkout(t, map[string]string{"deploy/mesh.yaml": edgeMesh})
	code, out, errs := offline(t, "diff", dir+"/deploy", "--base", "base", "-n", "shop")
	if code != 0 || !strings.HasPrefix(out, "no difference") {
		t.Fatalf("nothing changed: exit %d, %s%s", code, out, errs)
	}
	changed := strings.NewReplacer("timeout: 5s", "timeout: 7s", "subset: v1}\n", "subset: v2}\n", "subset: v1}, weight: 100", "subset: v1}, weight: 100",
		"kind: Rollout\nmetadata: {name: reviews}", "kind: Rollout\nmetadata: {name: reviews, labels: {team: a}}").Replace(edgeMesh)
	write(t, dir, map[string]string{"deploy/mesh.yaml": changed})
	code, out, errs = offline(t, "diff", dir+"/deploy", "--base", "base", "-n", "shop")
	want := `changes traffic
  changed  VirtualService/shop/shop  deploy/mesh.yaml
           spec.http[0].timeout: "5s" -> "7s"

starts an attempt
  changed  Rollout/shop/reviews  deploy/mesh.yaml
           spec.subset: "v1" -> "v2"
           digest: DIGEST -> DIGEST

metadata
  changed  Rollout/shop/reviews  deploy/mesh.yaml
           metadata.labels: (none) -> {"team":"a"}

Envoy, gateway of namespace shop (app=edge)
  changed  routes http.80
  GET http://shop.example/ at port 80
    was 100% v1 of reviews.shop.svc.cluster.local, timeout 5s
    is  100% v1 of reviews.shop.svc.cluster.local, timeout 7s
`
	_, body, _ := strings.Cut(out, "\n\n")
	if diff := cmp.Diff(want, digests.ReplaceAllString(body, "DIGEST")); code != cli.ExitNo || diff != "" {
		t.Errorf("exit %d, %s, (-want +got)\n%s", code, errs, diff)
	}
	if code, out, _ := offline(t, "diff", dir+"/deploy", "--base", "base", "-n", "shop", "-o", "json"); code != cli.ExitNo || !strings.Contains(out, `"kind": "DiffView"`) {
		t.Errorf("json: exit %d, %s", code, out)
	}
	for _, args := range [][]string{{"--base", "absent"}, {"--base", "--output=x"}, {"--base", "base", "-o", "sarif"}} {
		if code, out, errs := offline(t, append([]string{"diff", dir + "/deploy"}, args...)...); code != cli.ExitUsage {
			t.Errorf("%q: exit %d, %s%s; want %d", args, code, out, errs, cli.ExitUsage)
		}
	}
	write(t, dir, map[string]string{"deploy/mesh.yaml": "kind: [\n"})
	if code, out, errs := offline(t, "diff", dir+"/deploy", "--base", "base"); code != cli.ExitUsage || out != "" || !strings.Contains(errs, "S501") {
		t.Errorf("a file that is none: exit %d, %s%s", code, out, errs)
	}
}

func TestDiff_againstTheCluster(t *testing.T) {
	d := newDesk(t)
	dir := t.TempDir()
	file := func(name, value string) string {
		return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\ndata: {k: " + value + "}\n"
	}
	write(t, dir, map[string]string{"mesh.yaml": edgeMesh, "a.yaml": file("a", "one")})
	for _, name := range []string{"a", "gone"} {
		cm := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "data": map[string]any{"k": "one"}}}
		cm.SetName(name)
		cm.SetNamespace(d.ns)
		cm.SetLabels(map[string]string{gitsync.LabelSourceName: "shop", gitsync.LabelSourceNamespace: d.ns})
		cm.SetAnnotations(map[string]string{gitsync.AnnotationCommit: "c1"})
		if err := d.client.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(cm), client.FieldOwner(apply.FieldManager)); err != nil {
			t.Fatal(err)
		}
	}
	src := &v1alpha1.Source{ObjectMeta: metav1.ObjectMeta{Namespace: d.ns, Name: "shop"}, Spec: v1alpha1.SourceSpec{URL: "https://git.example.com/shop.git"}}
	if err := d.client.Create(t.Context(), src); err != nil {
		t.Fatal(err)
	}
	src.Status.Inventory = []string{"/ConfigMap/" + d.ns + "/a v1 u1 Created", "/ConfigMap/" + d.ns + "/gone v1 u2 Created"}
	if err := d.client.Status().Update(t.Context(), src); err != nil {
		t.Fatal(err)
	}
	code, out, errs := d.run(t, "diff", dir)
	for _, want := range []string{"added    Gateway/", "added    Rollout/", "removed  ConfigMap/" + d.ns + "/gone", "Envoy, gateway of namespace", "added    routes http.80", "is  100% v1"} {
		if !strings.Contains(out, want) {
			t.Errorf("exit %d, %s%s; want %q in it", code, out, errs, want)
		}
	}
	if code != cli.ExitNo || strings.Contains(out, "ConfigMap/"+d.ns+"/a\n") {
		t.Errorf("exit %d, %s; want differences, none of a", code, out)
	}
	live := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "networking.istio.io/v1", "kind": "Gateway"}}
	live.SetNamespace(d.ns)
	live.SetName("edge")
	if err := d.client.Get(t.Context(), keyOf(live), live); err == nil {
		t.Error("a dry run has created the Gateway")
	}
	write(t, dir, map[string]string{"mesh.yaml": file("gone", "one")})
	if code, out, errs := d.run(t, "diff", dir); code != 0 {
		t.Errorf("nothing changes: exit %d, %s%s", code, out, errs)
	}
	code, _, errs = offline(t, "diff", dir, "--kubeconfig", filepath.Join(dir, "absent"))
	if code == 0 || errs == "" {
		t.Errorf("no cluster: exit %d, %s", code, errs)
	}
}

var digests = regexp.MustCompile(`[0-9a-f]{12}`)

func keyOf(o client.Object) client.ObjectKey { return client.ObjectKeyFromObject(o) }
