package lint_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/view"
	"github.com/sluice-dev/sluice/internal/cli/lint"
)

// everything holds a Problem of each kind of place and severity, and one that is suppressed.
func everything() view.LintReport {
	return view.Lint(2, 3, []problem.Problem{
		{Code: "S001", Severity: problem.Error, Object: "Gateway/shop/front", Field: "spec.slector", Message: "m", Hint: "h", Path: "a b/é,:%.yaml", Line: 3, Column: 5},
		{Code: "S501", Severity: problem.Error, Message: "two\nlines, 100%: x", Path: "a.yaml", Line: 4},
		{Code: "S021", Severity: problem.Warning, Object: "VirtualService/shop/a", Message: "m", Path: "a.yaml"},
		{Code: "S029", Severity: problem.Info, Object: "VirtualService/shop/b", Message: "m"},
	}, []view.SuppressedProblem{{Problem: problem.Problem{Code: "S010", Severity: problem.Error, Message: "m", Path: "a.yaml", Line: 9}, Reason: "r"}})
}

// TestSARIF_hasWhatTheStandardWants holds the output against what SARIF 2.1.0 requires of the parts that are used.
func TestSARIF_hasWhatTheStandardWants(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := lint.WriteSARIF(&out, everything(), "v1"); err != nil {
		t.Fatal(err)
	}
	var log struct {
		Schema  string `json:"$schema"`
		Version string `json:"version"`
		Runs    []struct {
			Tool struct {
				Driver struct {
					Name           string
					InformationURI string
					Rules          []struct {
						ID                                      string
						ShortDescription, FullDescription, Help *struct{ Text string }
						DefaultConfiguration                    struct{ Level string }
					}
				}
			}
			Results []struct {
				RuleID, Level string
				RuleIndex     *int
				Message       struct{ Text string }
				Locations     []struct {
					PhysicalLocation *struct {
						ArtifactLocation struct{ URI string }
						Region           *struct{ StartLine, StartColumn *int }
					}
					LogicalLocations []struct{ FullyQualifiedName string }
				}
				Suppressions []struct{ Kind, Justification string }
			}
		}
	}
	if err := json.Unmarshal(out.Bytes(), &log); err != nil {
		t.Fatal(err)
	}
	if log.Version != "2.1.0" || !strings.HasSuffix(log.Schema, "sarif-2.1.0.json") || len(log.Runs) != 1 || log.Runs[0].Tool.Driver.Name != "sluice" {
		t.Fatalf("head: %s", out.String())
	}
	run := log.Runs[0]
	for _, r := range run.Tool.Driver.Rules {
		e, ok := problem.Explain(r.ID)
		if !ok || r.ShortDescription.Text != e.Short || r.FullDescription.Text != e.Problem || !strings.Contains(r.Help.Text, "Fix: ") || !level(r.DefaultConfiguration.Level) {
			t.Errorf("rule %+v", r)
		}
	}
	if len(run.Results) != 5 || len(run.Tool.Driver.Rules) != 5 {
		t.Fatalf("%d results, %d rules, want 5 of each", len(run.Results), len(run.Tool.Driver.Rules))
	}
	for _, r := range run.Results {
		if r.RuleIndex == nil || run.Tool.Driver.Rules[*r.RuleIndex].ID != r.RuleID || !level(r.Level) || r.Message.Text == "" || len(r.Locations) != 1 {
			t.Errorf("result %+v", r)
		}
		for _, l := range r.Locations {
			p := l.PhysicalLocation
			if p != nil && (p.ArtifactLocation.URI == "" || p.Region != nil && (p.Region.StartLine == nil || *p.Region.StartLine < 1 || p.Region.StartColumn != nil && *p.Region.StartColumn < 1)) {
				t.Errorf("location of %s: %+v", r.RuleID, p)
			}
			if p == nil && len(l.LogicalLocations) == 0 {
				t.Errorf("%s has an empty location", r.RuleID)
			}
		}
	}
	if uri := run.Results[0].Locations[0].PhysicalLocation.ArtifactLocation.URI; uri != "a%20b/%C3%A9,:%25.yaml" {
		t.Errorf("a file with odd characters: %s", uri)
	}
	if s := run.Results[4].Suppressions; len(s) != 1 || s[0].Kind != "inSource" || s[0].Justification != "r" || len(run.Results[0].Suppressions) != 0 {
		t.Errorf("suppressions: %+v", s)
	}
}

func level(s string) bool { return s == "error" || s == "warning" || s == "note" }

func TestGitHub_escapesWhatItsCommandsWouldCut(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := lint.WriteGitHub(&out, everything()); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"::error file=a b/é%2C%3A%25.yaml,line=3,col=5,title=S001 A field that the kind does not have::Gateway/shop/front spec.slector: m%0Ah",
		"::error file=a.yaml,line=4,title=S501 Text that is not YAML::two%0Alines, 100%25: x",
		"::warning file=a.yaml,title=S021 A host that another VirtualService owns::VirtualService/shop/a: m",
		"::notice title=S029 An order that only the names decide::VirtualService/shop/b: m",
	}
	if got := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n"); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestText_putsTheMeshAsAWholeLastAndCountsAll(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := lint.WriteText(&out, everything(), false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\na.yaml\n  4  error    S501  ", "\nthe mesh as a whole\n    info     S029  m\n", "2 errors, 1 warning, 1 info in 2 files (3 objects); 1 suppressed\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the text lacks %q:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Error("colour where none was asked for")
	}
}
