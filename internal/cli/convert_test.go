package cli_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
	"github.com/sluice-dev/sluice/internal/cli"
)

// run calls the program without a cluster.
func run(t *testing.T, args ...string) (int, string, string) {
	t.Helper()
	var out, errs bytes.Buffer
	code := cli.Main(t.Context(), args, cli.Streams{In: strings.NewReader(""), Out: &out, Err: &errs}, cli.Build{})
	return code, out.String(), errs.String()
}

// convertedExample gives the file that an example becomes.
func convertedExample(t *testing.T, name string) (path, text string) {
	t.Helper()
	code, text, errs := run(t, "convert", "../../examples/convert/"+name)
	if code != 0 {
		t.Fatalf("converting %s: exit %d, %s", name, code, errs)
	}
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, text
}

// What is converted is taken by the linter, plays through the engine, and is the same each time.
func TestConvert_givesWhatLintTakesAndSimulatePlays(t *testing.T) {
	for _, name := range []string{"argo.yaml", "flagger.yaml"} {
		path, text := convertedExample(t, name)
		if code, out, errs := run(t, "lint", path); code != 0 {
			t.Errorf("%s: lint: exit %d, %s\n%s", name, code, errs, out)
		}
		if code, out, errs := run(t, "simulate", path, "--runs", "2", "--rps", "500"); code != 0 || !strings.Contains(out, "steps") {
			t.Errorf("%s: simulate: exit %d, %s\n%s", name, code, errs, out)
		}
		if _, again := convertedExample(t, name); again != text {
			t.Errorf("%s: the second time it is another", name)
		}
	}
}

// An API server with our definitions takes the objects as they are written, and leaves no field out.
func TestConvert_givesWhatTheAPIServerTakes(t *testing.T) {
	d := newDesk(t)
	for _, name := range []string{"argo.yaml", "flagger.yaml"} {
		_, text := convertedExample(t, name)
		stored := 0
		for doc := range strings.SplitSeq(text, "\n---\n") {
			var kind metav1.TypeMeta
			if err := yaml.Unmarshal([]byte(doc), &kind); err != nil {
				t.Fatal(err)
			}
			var object client.Object
			switch kind.Kind {
			case v1alpha1.KindRollout:
				object = &v1alpha1.Rollout{}
			case v1alpha1.KindMetricTemplate:
				object = &v1alpha1.MetricTemplate{}
			default:
				continue
			}
			if err := yaml.UnmarshalStrict([]byte(doc), object); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			object.SetNamespace(d.ns)
			if err := d.client.Create(t.Context(), object, client.FieldValidation("Strict")); err != nil {
				t.Errorf("%s: %v\n%s", name, err, doc)
			}
			stored++
		}
		if stored != 2 {
			t.Errorf("%s: %d objects of Sluice; want a Rollout and a MetricTemplate", name, stored)
		}
	}
}

func TestConvert_reportsEachLineAndTellsLosses(t *testing.T) {
	report := filepath.Join(t.TempDir(), "report.json")
	code, _, errs := run(t, "convert", "../../examples/convert/argo.yaml", "--report", report, "--strict", "--from", "argo")
	if code != 3 || !strings.Contains(errs, "something is dropped") {
		t.Errorf("exit %d, %s; want 3", code, errs)
	}
	text, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	var r view.ConversionReport
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	if r.Kind != view.KindConversionReport || r.Total.Lines != r.Total.Kept+r.Total.Changed+r.Total.Dropped+r.Total.Blank || r.Total.Dropped == 0 || len(r.Items) < 20 {
		t.Errorf("the report says %+v with %d items", r.Total, len(r.Items))
	}
}

// With --strict nothing is wrong where nothing is lost.
func TestConvert_strictIsContentWhereNothingIsLost(t *testing.T) {
	file := filepath.Join(t.TempDir(), "canary.yaml")
	if err := os.WriteFile(file, []byte("apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: a}\nspec:\n  strategy:\n    canary:\n      stableService: a\n      steps:\n      - setWeight: 20\n      - setWeight: 100\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := run(t, "convert", file, "--strict"); code != 0 || !strings.Contains(errs, "0 dropped") {
		t.Errorf("exit %d, %s\n%s", code, errs, out)
	}
}
