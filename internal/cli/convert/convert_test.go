package convert_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/analysis/prom"
	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/cli/convert"
)

var rewrite = flag.Bool("rewrite", false, "write what the cases give into their files")

func check(query, pass, fail string, args map[string]string) error {
	return prom.CheckCondition(analysis.Condition{Query: query, Pass: pass, Fail: fail, Args: args})
}

// TestCases_giveWhatTheySay converts the files of each case and compares what is written, and what became of each line.
func TestCases_giveWhatTheySay(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) < 6 {
		t.Fatalf("%d cases, %v", len(paths), err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var in []convert.File
			for _, f := range archive.Files {
				if strings.HasSuffix(f.Name, ".yaml") && f.Name != "out.yaml" {
					in = append(in, convert.File{Name: f.Name, Content: f.Data})
				}
			}
			r := converted(t, in)
			var fates strings.Builder
			for _, i := range r.Report.Items {
				fmt.Fprintf(&fates, "%s:%d-%d %s %s%s: %s\n", i.File, i.Line, i.To, i.Fate, i.Code+strings.Repeat(" ", min(1, len(i.Code))), i.Path, i.Words)
			}
			got := []txtar.File{{Name: "out.yaml", Data: r.YAML}, {Name: "fates", Data: []byte(fates.String())}}
			if *rewrite {
				out := &txtar.Archive{Comment: archive.Comment}
				for _, f := range in {
					out.Files = append(out.Files, txtar.File{Name: f.Name, Data: f.Content})
				}
				out.Files = append(out.Files, got...)
				if err := os.WriteFile(path, txtar.Format(out), 0o644); err != nil { //nolint:gosec // a golden
					t.Fatal(err)
				}
				return
			}
			for _, g := range got {
				want := ""
				for _, f := range archive.Files {
					if f.Name == g.Name {
						want = string(f.Data)
					}
				}
				if diff := cmp.Diff(want, string(g.Data)); diff != "" {
					t.Errorf("%s (-want +got); if that is meant: go test ./internal/cli/convert -rewrite\n%s", g.Name, diff)
				}
			}
		})
	}
}

// converted converts files twice, and checks what holds for all: the lines add up, and the API takes what is written.
func converted(t testing.TB, in []convert.File) convert.Result {
	t.Helper()
	r, err := convert.Run(in, convert.Options{Check: check})
	if err != nil {
		t.Fatal(err)
	}
	again, err := convert.Run(in, convert.Options{Check: check})
	if err != nil || string(again.YAML) != string(r.YAML) || cmp.Diff(again.Report, r.Report) != "" {
		t.Errorf("the second time it is another, %v", err)
	}
	addUp(t, in, r)
	sound(t, string(r.YAML))
	return r
}

func addUp(t testing.TB, in []convert.File, r convert.Result) {
	t.Helper()
	total := 0
	for i, f := range r.Report.Files {
		want := strings.Count(strings.TrimSuffix(string(in[i].Content), "\n"), "\n") + 1
		if f.Lines != want || f.Kept+f.Changed+f.Dropped+f.Blank != want {
			t.Errorf("%s has %d lines; counted are %+v", f.Name, want, f)
		}
		total += want
	}
	if r.Report.Total.Lines != total {
		t.Errorf("%d lines in all; counted are %+v", total, r.Report.Total)
	}
	for i, f := range in { // each line that says something is in an item, or begins a container of such
		for n, line := range strings.Split(strings.TrimSuffix(string(f.Content), "\n"), "\n") {
			text := strings.TrimSpace(line)
			if text == "" || strings.HasPrefix(text, "#") || text == "---" {
				continue
			}
			found := false
			for _, item := range r.Report.Items {
				found = found || item.File == r.Report.Files[i].Name && item.Line <= n+1 && n+1 <= item.To
			}
			if !found && !strings.HasSuffix(text, ":") {
				t.Errorf("%s:%d: nothing is said of %q", f.Name, n+1, line)
			}
		}
	}
}

// sound decodes each object of Sluice strictly, and asks it whether something is wrong with it.
func sound(t testing.TB, text string) {
	t.Helper()
	for doc := range strings.SplitSeq(text, "\n---\n") {
		var kind struct{ APIVersion, Kind string }
		if err := yaml.Unmarshal([]byte(doc), &kind); err != nil {
			t.Errorf("%v:\n%s", err, doc)
			continue
		}
		var found []problem.Problem
		var err error
		switch kind.Kind {
		case v1alpha1.KindRollout:
			var o v1alpha1.Rollout
			err = yaml.UnmarshalStrict([]byte(doc), &o)
			found = o.Validate()
		case v1alpha1.KindMetricTemplate:
			var o v1alpha1.MetricTemplate
			err = yaml.UnmarshalStrict([]byte(doc), &o)
			found = o.Validate()
		}
		for _, p := range found {
			if p.Severity == problem.Error {
				t.Errorf("%s:\n%s", p.String(), doc)
			}
		}
		if err != nil {
			t.Errorf("%v:\n%s", err, doc)
		}
	}
}

func TestRun_saysWhatIsNotThere(t *testing.T) {
	for name, c := range map[string]struct {
		text, says string
		from       convert.From
	}{
		"nothing":     {"apiVersion: v1\nkind: Service\nmetadata: {name: a}\n", "no Rollout or AnalysisTemplate", ""},
		"no YAML":     {"a: [\n", "f.yaml:", ""},
		"other tool":  {"apiVersion: flagger.app/v1beta1\nkind: Canary\nmetadata: {name: a}\n", "no Rollout", convert.Argo},
		"other tool2": {"apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: a}\n", "no Rollout", convert.Flagger},
		"own Rollout": {"apiVersion: sluice.dev/v1alpha1\nkind: Rollout\nmetadata: {name: a}\n", "no Rollout", ""},
	} {
		_, err := convert.Run([]convert.File{{Name: "f.yaml", Content: []byte(c.text)}}, convert.Options{From: c.from})
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want %q", name, err, c.says)
		}
	}
}

// However steps are put together, what is written is taken by the API, and the lines add up.
func TestRun_anyStepsGiveAnObjectThatTheAPITakes(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var b strings.Builder
		b.WriteString("apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata:\n  name: shop\nspec:\n  replicas: 2\n  strategy:\n    canary:\n      steps:\n")
		pieces := []string{
			"      - setWeight: %d\n", "      - pause: {}\n", "      - pause: {duration: %dm}\n", "      # a remark\n\n      - setCanaryScale:\n          weight: %d\n",
			"      - setHeaderRoute:\n          name: h\n          match:\n          - headerName: x\n            headerValue: {exact: v%d}\n", "      - setHeaderRoute: {name: h}\n",
			"      - setMirrorRoute:\n          name: m\n          percentage: %d\n          match:\n          - method: {exact: get}\n            path: {prefix: /}\n", "      - plugin: {name: p%d}\n",
			"      - analysis: {templates: [{templateName: rate}]}\n", "      - analysis:\n          templates: [{templateName: rate}]\n          args: [{name: service-name, value: s%d}]\n",
		}
		b.WriteString("      - setWeight: 1\n")
		for range rapid.IntRange(0, 40).Draw(r, "steps") {
			piece := rapid.SampledFrom(pieces).Draw(r, "piece")
			if strings.Contains(piece, "%d") {
				piece = fmt.Sprintf(piece, rapid.IntRange(-5, 120).Draw(r, "n"))
			}
			b.WriteString(piece)
		}
		b.WriteString("---\n" + rateTemplate)
		in := []convert.File{{Name: "f.yaml", Content: []byte(b.String())}}
		converted(reporter{t, r}, in)
	})
}

// reporter tells rapid of failures, so that it finds a small one.
type reporter struct {
	testing.TB
	r *rapid.T
}

func (r reporter) Errorf(format string, args ...any) { r.r.Errorf(format, args...) }
func (r reporter) Fatal(args ...any)                 { r.r.Fatal(args...) }
