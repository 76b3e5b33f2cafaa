package chart_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/test/helm"
	"github.com/sluice-dev/sluice/test/kube"
)

const chart = helm.Chart

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

func TestMain(m *testing.M) { kube.Main(m) }

// variants are the installations that are looked at, by the names of their goldens.
func variants() map[string][]string {
	all := []string{
		"--set", "replicas=3", "--set", "gateway.enabled=true", "--set", "xds.tls.mode=certManager", "--set", "istioCRDs.install=true",
		"--set", "prometheus.url=http://prometheus.monitoring:9090", "--set", "prometheus.config=servers: []", "--set", "image.digest=sha256:" + strings.Repeat("0", 64),
		"--set", "traces.endpoint=https://collector.monitoring:4318", "--set", "traces.headersSecret=collector", "--set", "metrics.perRollout=false",
		"--set", "git.accounts={sluice-applier}", "--set", "git.insecureHosts={git.internal}", "--set", "xds.statusReaders={spiffe://cluster.local/ns/a/sa/b}",
		"--set", "certificates[0].namespace=edge", "--set", "certificates[0].names={front,front-cacert}",
		"--set", "imagePullSecrets={registry}", "--set", "priorityClassName=system-cluster-critical", "--set", "extraArgs={--registry-dir=/registry}",
		"--set", "metrics.serviceMonitor.enabled=true", "--set", "metrics.prometheusRule.enabled=true", "--set", "metrics.dashboards.enabled=true",
		"--api-versions", "monitoring.coreos.com/v1/ServiceMonitor", "--api-versions", "monitoring.coreos.com/v1/PrometheusRule",
	}
	return map[string][]string{
		"default": nil,
		"gateway": {"--set", "gateway.enabled=true", "--set", "crds.install=false", "--set", "rbac.roles=false"},
		"scoped":  {"--set", "xds.tls.proxies[0].namespace=shop,xds.tls.proxies[0].secret=reviews-proxy,xds.tls.proxies[0].account=reviews", "--set", "namespaces={shop,books}", "--set", "crds.install=false", "--set", "metrics.auth=false", "--set", "networkPolicy.enabled=false"},
		"all":     all,
		"small":   {"--set", "replicas=1", "--set", "xds.tls.mode=secret", "--set", "crds.install=false", "--set", "rbac.roles=false", "--set", "networkPolicy.enabled=false", "--set", "webhook.enabled=false", "--set", "git.defaultServiceAccount="},
	}
}

func render(t *testing.T, flags []string) string {
	t.Helper()
	out, err := helm.Run(t, append([]string{"template", "sluice", chart, "--namespace", "sluice-system"}, flags...)...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestChart_lints(t *testing.T) {
	for name, flags := range variants() {
		if name == "all" { // helm lint knows no --api-versions
			flags = flags[:slices.Index(flags, "--api-versions")]
		}
		if out, err := helm.Run(t, append([]string{"lint", chart, "--strict"}, flags...)...); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

func TestChart_rendersAsTheGoldensSay(t *testing.T) {
	for name, flags := range variants() {
		t.Run(name, func(t *testing.T) {
			var text strings.Builder
			for _, o := range helm.Objects(t, render(t, flags)) {
				if o.GetKind() == "CustomResourceDefinition" {
					o.Object = map[string]any{"kind": o.GetKind(), "metadata": map[string]any{"name": o.GetName(), "annotations": o.Object["metadata"].(map[string]any)["annotations"]}}
				}
				namesFiles(t, o)
				y, err := sigsyaml.Marshal(o.Object)
				if err != nil {
					t.Fatal(err)
				}
				text.WriteString("---\n" + string(y))
			}
			path := filepath.Join("testdata", name+".yaml")
			if *rewrite {
				if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), text.String()); diff != "" {
				t.Errorf("rendered otherwise (-golden +now); -rewrite takes it over:\n%s", diff)
			}
		})
	}
}

// namesFiles puts the name of a dashboard's file in the place of its content, which is that of the file.
func namesFiles(t *testing.T, o *unstructured.Unstructured) {
	t.Helper()
	data, _, _ := unstructured.NestedStringMap(o.Object, "data")
	for key, content := range data {
		path := filepath.Join("files", "dashboards", key)
		file, err := os.ReadFile(filepath.Join("..", "..", chart, path))
		if os.IsNotExist(err) {
			continue
		}
		if string(file) != content {
			t.Errorf("%s %s holds something else than %s (%v)", o.GetKind(), o.GetName(), path, err)
		}
		data[key] = "(" + path + ")"
	}
	if len(data) > 0 {
		if err := unstructured.SetNestedStringMap(o.Object, data, "data"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestChart_refusesValuesThatDoNothing(t *testing.T) {
	for _, c := range []struct{ set, says string }{
		{"replica=3", "additional properties 'replica' not allowed"},
		{"replicas=0", "minimum"},
		{"gateway.service.typ=ClusterIP", "additional properties 'typ' not allowed"},
		{"prometheus.url=prometheus:9090", "does not match pattern"},
		{"xds.port=443", "minimum"},
		{"xds.tls.mode=none", "value must be one of 'self', 'certManager', 'secret'"},
		{"leader.leaseDuration=15", "got number, want string"},
		{"drain.time=1m30s", "drain.gracePeriodSeconds is 30: want at least 98, which are drain.delay (3s), drain.time (1m30s) and 5 s to end"},
		{"drain.gracePeriodSeconds=17", "drain.gracePeriodSeconds is 17: want at least 18"},
		{"traces.endpoint=collector:4318", "does not match pattern"},
		{"xds.tls.proxies[0].namespace=shop", "missing properties"},
		{"xds.tls.mode=secret,xds.tls.proxies[0].namespace=shop,xds.tls.proxies[0].secret=a,xds.tls.proxies[0].account=b", "xds.tls.proxies is without effect"},
		{"traces.headersSecret=collector", "traces.endpoint is empty"},
	} {
		_, err := helm.Run(t, "template", "sluice", chart, "--set", c.set)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("--set %s: %v, want an error with %q", c.set, err, c.says)
		}
	}
}

// Every value that the chart has stands in the schema, and the other way round.
func TestChart_schemaCoversEveryValue(t *testing.T) {
	values, schema := map[string]any{}, map[string]any{}
	for path, into := range map[string]*map[string]any{"values.yaml": &values, "values.schema.json": &schema} {
		text, err := os.ReadFile(filepath.Join("..", "..", chart, path))
		if err != nil {
			t.Fatal(err)
		}
		if err := sigsyaml.Unmarshal(text, into); err != nil {
			t.Fatal(err)
		}
	}
	var compare func(at string, values, schema map[string]any)
	compare = func(at string, values, schema map[string]any) {
		known, _ := schema["properties"].(map[string]any)
		if known == nil {
			return // free text, such as labels
		}
		if schema["additionalProperties"] != false {
			t.Errorf("%s: the schema takes any key", at)
		}
		for key, v := range values {
			sub, ok := known[key].(map[string]any)
			if !ok {
				t.Errorf("%s.%s is a value without a schema", at, key)
				continue
			}
			if inner, ok := v.(map[string]any); ok {
				compare(at+"."+key, inner, sub)
			}
		}
		for key := range known {
			if _, ok := values[key]; !ok && at+"."+key != "values.global" {
				t.Errorf("%s.%s stands in the schema only", at, key)
			}
		}
	}
	compare("values", values, schema)
}

// What comes out is taken by the real API server, which checks every field; the namespace admits restricted Pods only.
func TestChart_isAcceptedByTheServer(t *testing.T) {
	cfg := kube.Start(t)
	c, err := client.New(cfg, client.Options{FieldValidation: metav1.FieldValidationStrict})
	if err != nil {
		t.Fatal(err)
	}
	ns := kube.Namespace(t, cfg)
	for name, flags := range variants() {
		text, err := helm.Run(t, append([]string{"template", "sluice", chart, "--namespace", ns}, flags...)...)
		if err != nil {
			t.Fatal(err)
		}
		taken(t, c, ns, name, text)
	}
}

// taken has the server check every object of a rendered chart, in a namespace that is there.
func taken(t *testing.T, c client.Client, ns, name, text string) {
	t.Helper()
	foreign := []string{"cert-manager.io", "monitoring.coreos.com"} // kinds of others, which are not here
	n := 0
	for _, o := range helm.Objects(t, text) {
		if slices.Contains(foreign, o.GroupVersionKind().Group) {
			continue
		}
		if mapping, err := c.RESTMapper().RESTMapping(o.GroupVersionKind().GroupKind(), o.GroupVersionKind().Version); err != nil {
			t.Fatalf("%s: %v", name, err)
		} else if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
			o.SetNamespace(ns)
		}
		err := c.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(o), client.FieldOwner("helm"), client.DryRunAll, client.ForceOwnership)
		if err != nil {
			t.Errorf("%s: %s %s: %v", name, o.GetKind(), o.GetName(), err)
		}
		n++
	}
	if n < 5 {
		t.Errorf("%s: only %d objects were taken", name, n)
	}
}

// The kinds that the chart installs are those of the program.
func TestChart_carriesTheKindsOfTheProgram(t *testing.T) {
	for from, to := range map[string]string{"../../api/crd/*.yaml": "crds", "../../api/crd/istio/*.yaml": "istio"} {
		paths, err := filepath.Glob(from)
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: %v", from, err)
		}
		for _, path := range paths {
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(filepath.Join("..", "..", chart, "files", to, filepath.Base(path)))
			if err != nil || !bytes.Equal(want, got) {
				t.Errorf("%s differs from %s: run `make generate` (%v)", filepath.Join("files", to, filepath.Base(path)), path, err)
			}
		}
	}
}

// Nobody gets more rights than the chart says: no wildcard, no right to give rights, no list of all Secrets.
func TestChart_givesNoRightThatIsTooWide(t *testing.T) {
	for _, o := range helm.Objects(t, render(t, variants()["all"])) {
		if o.GetKind() != "ClusterRole" && o.GetKind() != "Role" {
			continue
		}
		raw, err := json.Marshal(o.Object["rules"])
		if err != nil {
			t.Fatal(err)
		}
		var rules []struct {
			APIGroups, Resources, ResourceNames, Verbs []string
		}
		if err := json.Unmarshal(raw, &rules); err != nil {
			t.Fatal(err)
		}
		for _, r := range rules {
			all := slices.Concat(r.APIGroups, r.Resources, r.Verbs)
			for _, word := range []string{"*", "escalate", "bind"} {
				if slices.Contains(all, word) {
					t.Errorf("%s %s: %q in %+v", o.GetKind(), o.GetName(), word, r)
				}
			}
			reads := slices.Contains(r.Verbs, "list") || slices.Contains(r.Verbs, "watch")
			if slices.Contains(r.Resources, "secrets") && reads && len(r.ResourceNames) == 0 {
				t.Errorf("%s %s lists Secrets without naming them", o.GetKind(), o.GetName())
			}
		}
	}
}
