package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

// commands are all commands that this build can carry out, by what people type.
func commands() map[string]*cobra.Command {
	out := map[string]*cobra.Command{}
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			if !sub.Hidden && sub.Name() != "help" && !sub.DisableFlagParsing {
				out[strings.TrimPrefix(sub.CommandPath(), "sluice ")] = sub
				walk(sub)
			}
		}
	}
	walk(newRoot(Streams{}, Build{}))
	return out
}

// exitOf finds the codes that a verb says it can exit with.
var exitOf = regexp.MustCompile(`(?:^|[\s,;.])([0-9]{1,3}) [a-zA-Z-]`)

// promised are the exit codes that a verb's help names, besides 0.
func promised(cmd *cobra.Command) []string {
	_, text, ok := strings.Cut(cmd.Long, "Exit code")
	if !ok {
		return nil
	}
	var out []string
	for _, m := range exitOf.FindAllStringSubmatch(strings.ReplaceAll(text, "\n", " "), -1) {
		if m[1] != "0" && !slices.Contains(out, m[1]) {
			out = append(out, m[1])
		}
	}
	return out
}

// shown are the exit codes of each verb's commands in the cases of testdata; "" stands for any.
func shown(t *testing.T, verbs map[string]*cobra.Command) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for _, pattern := range []string{"testdata/*.txtar", "testdata/cluster/*.txtar"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			verb := ""
			for line := range strings.Lines(string(text)) {
				if strings.HasPrefix(line, "$ sluice") {
					verb = verbOf(line, verbs)
					out[verb] = append(out[verb], "")
				}
				if code, ok := strings.CutPrefix(line, "exit "); ok {
					out[verb] = append(out[verb], strings.TrimSpace(code))
				}
			}
		}
	}
	return out
}

// verbOf is the longest command that a line begins with.
func verbOf(line string, verbs map[string]*cobra.Command) string {
	words := strings.Fields(line)[2:]
	for n := min(3, len(words)); n > 0; n-- {
		for name, cmd := range verbs {
			path := strings.Join(words[:n], " ")
			if name == path || slices.ContainsFunc(cmd.Aliases, func(a string) bool { return a == path }) {
				return name
			}
		}
	}
	return ""
}

// TestCommands_helpAndCases walks all commands: each has a line, a text and an example, and the cases of testdata show it with
// each exit code that its help promises.
func TestCommands_helpAndCases(t *testing.T) {
	verbs := commands()
	if len(verbs) < 30 {
		t.Fatalf("only %d commands were found", len(verbs))
	}
	cases := shown(t, verbs)
	for name, cmd := range verbs {
		if cmd.Short == "" || cmd.Long == "" || !strings.Contains(cmd.Example, "sluice "+name) {
			t.Errorf("%s: short %q, long %q, example %q: want all three, and the example to show the command", name, cmd.Short, cmd.Long, cmd.Example)
		}
		if !slices.Contains(cases[name], "") {
			t.Errorf("%s: no case of testdata shows it", name)
		}
		for _, code := range promised(cmd) {
			if !slices.Contains(cases[name], code) && !slices.Contains(proven()[name], code) {
				t.Errorf("%s: no case of testdata shows exit code %s", name, code)
			}
		}
	}
}

// proven are exit codes that tests in Go show, since they need a counterpart that a case cannot have.
func proven() map[string][]string {
	refused := []string{"1"} // TestAct_saysWhatCameOfIt, TestSourceVerbs: by a controller
	return map[string][]string{
		"pause": refused, "resume": refused, "abort": refused, "rollback": refused, "retry": refused, "reconcile": refused, "suspend": refused, "resume source": refused,
		"judge":          {"3", "4", "6"},                       // TestJudge_exitCodes
		"proxy-status":   {"5", "7"},                            // TestProxyStatus
		"diff":           {"1", "7"},                            // TestDiff
		"init":           {"5", "6", "7"},                       // TestInit_from
		"report":         {"1", "3", "4", "5", "6", "7", "124"}, // TestReport
		"render":         {"5", "6", "7"},                       // of a Git server
		"webhook listen": {"1", "130"},                          // TestWebhookListen
	}
}

// TestCommands_pageIsCurrent compares the reference in the docs with the commands.
func TestCommands_pageIsCurrent(t *testing.T) {
	const page = "../../docs/cli-reference.md"
	want := reference(newRoot(Streams{}, Build{}))
	if *rewriteDocs {
		if err := os.WriteFile(page, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("docs/cli-reference.md is not what the commands say (-want +got); go test ./internal/cli -run Commands -rewrite\n%s", diff)
	}
}

// reference is a page of all commands.
func reference(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString("# All verbs of the command line\n\nWritten from the program; `sluice VERB --help` says the same. How they are used: [the command line](cli.md).\n\n" +
		"| exit code | meaning |\n|---|---|\n")
	for _, row := range exitCodes() {
		b.WriteString("| " + row[0] + " | " + row[1] + " |\n")
	}
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			if sub.Hidden || sub.Name() == "help" {
				continue
			}
			b.WriteString("\n## sluice " + strings.TrimPrefix(sub.CommandPath(), "sluice ") + "\n\n" + sub.Short + ".\n")
			if sub.DisableFlagParsing {
				b.WriteString("In the full build only.\n")
				continue
			}
			b.WriteString("\n" + fenced(sub.UseLine()) + "\n" + sub.Long + "\n\n" + indented(sub.Example, "    "))
			if flags := sub.LocalFlags().FlagUsages(); flags != "" {
				b.WriteString("\nFlags:\n\n" + fenced(indented(flags, "")))
			}
			walk(sub)
		}
	}
	walk(root)
	return b.String()
}

// fenced is text in which nothing is to be typed, unlike an indented block.
func fenced(text string) string { return "```text\n" + strings.TrimRight(text, "\n") + "\n```\n" }

func indented(text, by string) string {
	var b strings.Builder
	for line := range strings.Lines(strings.TrimRight(text, "\n") + "\n") {
		b.WriteString(strings.TrimRight(by+strings.TrimPrefix(strings.TrimRight(line, "\n"), "  "), " ") + "\n")
	}
	return b.String()
}

// exitCodes are what all verbs mean by them.
func exitCodes() [][2]string {
	return [][2]string{
		{"0", "done; clean, no difference, ready or moving"}, {"1", "the answer is no: differences, findings, a failed check, a bad signature, a refusal"},
		{"2", "wrong usage, or a failure not listed here"}, {"3", "the attempt ended in a rollback"}, {"4", "paused, inconclusive or waiting for somebody"},
		{"5", "not found"}, {"6", "the API server or Prometheus does not answer"}, {"7", "not authorised"}, {"124", "--timeout passed"}, {"130", "interrupted"},
	}
}

// TestSchemas_ofKindsAreCurrent compares the schemas in the docs with the definitions.
func TestSchemas_ofKindsAreCurrent(t *testing.T) {
	for _, kind := range []string{"rollout", "source", "notifier", "metrictemplate", "rolloutaction", "fleetreport"} {
		path := "../../docs/schemas/" + kind + ".json"
		want, errs := &strings.Builder{}, &strings.Builder{}
		if code := Main(t.Context(), []string{"schema", kind}, Streams{Out: want, Err: errs}, Build{}); code != 0 {
			t.Fatalf("schema %s: exit %d, %s", kind, code, errs)
		}
		if *rewriteDocs {
			if err := os.WriteFile(path, []byte(want.String()), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != want.String() {
			t.Errorf("%s is not what the definition says: %v; run scripts/generate", path, err)
		}
	}
}

// TestReasons_allHaveTexts holds the texts of reasons against the constants of the API.
func TestReasons_allHaveTexts(t *testing.T) {
	source, err := os.ReadFile("../../api/v1alpha1/conditions.go")
	if err != nil {
		t.Fatal(err)
	}
	texts, found := reasons(), 0
	for _, m := range regexp.MustCompile(`(?m)^\tReason[A-Za-z]+ += "([A-Za-z]+)"`).FindAllStringSubmatch(string(source), -1) {
		found++
		if text := texts[m[1]]; text.Means == "" || text.Do == "" {
			t.Errorf("reason %s has no text in reasons.txt", m[1])
		}
	}
	if found < 100 {
		t.Errorf("only %d reasons were found", found)
	}
}
