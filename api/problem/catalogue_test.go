package problem_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/api/problem"
)

// compilerCodes are the codes of the traffic compiler. The list only grows.
const compilerCodes = `S001 S002 S003 S004 S010 S011 S012 S013 S014 S015 S016 S017 S018
S020 S021 S022 S023 S024 S025 S026 S027 S028 S029 S030 S031 S032 S033 S034 S035
S041 S042 S043 S044 S045 S050 S052 S053 S060 S061 S062 S063 S064 S065 S066 S067 S068 S069 S070 S071 S080 S081 S090 S091 S092 S093`

func TestCatalogue_saysOfEachCodeWhatWhyAndHow(t *testing.T) {
	t.Parallel()
	var compiler []string
	last := ""
	for _, e := range problem.Catalogue() {
		if !regexp.MustCompile(`^S[0-9]{3}$`).MatchString(e.Code) || e.Code <= last {
			t.Errorf("%s follows %s", e.Code, last)
		}
		last = e.Code
		if e.Code < "S100" {
			compiler = append(compiler, e.Code)
		}
		for _, s := range e.Severities {
			if s != problem.Error && s != problem.Warning && s != problem.Info {
				t.Errorf("%s: severity %q", e.Code, s)
			}
		}
		if e.Short == "" || len(e.Short) > 60 || strings.HasSuffix(e.Short, ".") || strings.Contains(e.Short, "\n") {
			t.Errorf("%s: short text %q, want a line of at most 60 bytes without full stop", e.Code, e.Short)
		}
		for what, text := range map[string]string{"problem": e.Problem, "why": e.Why, "fix": e.Fix} {
			if !strings.HasSuffix(text, ".") && !strings.HasSuffix(text, "May") || strings.Contains(text, "\n\n") || strings.TrimSpace(text) != text {
				t.Errorf("%s: %s is %q, want a paragraph", e.Code, what, text)
			}
		}
		if (e.Before == "") != (e.After == "") || e.Before == e.After && e.Before != "" {
			t.Errorf("%s: before and after go together and differ", e.Code)
		}
	}
	if diff := cmp.Diff(strings.Fields(compilerCodes), compiler); diff != "" {
		t.Errorf("codes of the compiler (-want +got):\n%s", diff)
	}
}

func TestExplain_takesAnyCaseAndNamesTheNearest(t *testing.T) {
	t.Parallel()
	if e, ok := problem.Explain("s010"); !ok || e.Code != "S010" || e.Severity() != problem.Error {
		t.Errorf("s010: %+v", e)
	}
	for in, want := range map[string]string{"S099": "S090", "S19": "S010", "021": "S021", "S0211": "S021", "../S010": "S010", "": "S001"} {
		if _, ok := problem.Explain(in); ok {
			t.Errorf("%q is explained", in)
		}
		if got := problem.NearestCode(in); got != want {
			t.Errorf("%q: nearest is %s, want %s", in, got, want)
		}
	}
}

func TestNearest_isOneOfFewChanges(t *testing.T) {
	t.Parallel()
	known := []string{"timeout", "retries", "route", "match", "mirror"}
	for in, want := range map[string]string{"timeuot": "timeout", "Route": "route", "retry": "", "routes": "route", "mirors": "mirror", "xyz": "", "x": ""} {
		if got := problem.Nearest(in, known); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestText_wrapsProseAndLeavesYAML(t *testing.T) {
	t.Parallel()
	e, _ := problem.Explain("S010")
	text := e.Text(60)
	for line := range strings.Lines(text) {
		if len(line) > 61 && !strings.HasPrefix(line, "    ") {
			t.Errorf("a line of %d bytes: %s", len(line), line)
		}
	}
	for _, want := range []string{"S010  A subset that is not defined  (error)\n\n", "\n\nWhy: Most often", "\n\nFix: Define", "\n\nBefore\n\n    apiVersion: ", "subset: v9}\n\nAfter\n\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("the text lacks %q:\n%s", want, text)
		}
	}
}

// TestCatalogue_knowsEveryCodeThatTheSourceFinds reads the program: a code that some package gives to a Problem has an entry
// with that severity, and every entry of the compiler's and the linter's families is given by some package.
func TestCatalogue_knowsEveryCodeThatTheSourceFinds(t *testing.T) {
	t.Parallel()
	found := emissions(t)
	for _, f := range found {
		e, ok := problem.Explain(f.code)
		switch {
		case !ok:
			t.Errorf("%s: %s is not in the catalogue: write api/problem/codes/%s.txt", f.place, f.code, f.code)
		case f.severity != "" && !slices.Contains(e.Severities, f.severity):
			t.Errorf("%s: %s is given as %s, the catalogue says %v", f.place, f.code, f.severity, e.Severities)
		}
	}
	if len(found) < 100 {
		t.Errorf("only %d places give a code", len(found))
	}
	for _, e := range problem.Catalogue() {
		given := slices.ContainsFunc(found, func(f emission) bool { return f.code == e.Code })
		if !given {
			t.Errorf("%s is in the catalogue, but nothing gives it to a Problem", e.Code)
		}
	}
}

// emission is a place of the source that gives a code to a Problem; severity is empty where the place does not say it.
type emission struct {
	code     string
	severity problem.Severity
	place    string
}

func emissions(t *testing.T) []emission {
	t.Helper()
	var out []emission
	files := token.NewFileSet()
	constants := map[string]map[string]string{} // code by name, by directory
	var all []*ast.File
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") && len(d.Name()) > 2 || d.Name() == "node_modules" || d.Name() == "bin"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		f, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		all = append(all, f)
		dir := filepath.Dir(path)
		if constants[dir] == nil {
			constants[dir] = map[string]string{}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if v, ok := n.(*ast.ValueSpec); ok && len(v.Names) == len(v.Values) {
				for i, name := range v.Names {
					if code := literal(v.Values[i]); code != "" {
						constants[dir][name.Name] = code
					}
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		known := constants[filepath.Dir(files.Position(f.Pos()).Filename)]
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				s := severity(n.Args)
				if method, ok := n.Fun.(*ast.SelectorExpr); ok && s == "" {
					s = map[string]problem.Severity{"fail": problem.Error, "warn": problem.Warning, "info": problem.Info}[method.Sel.Name]
				}
				out = append(out, given(files, known, n.Args, s)...)
			case *ast.CompositeLit:
				var values []ast.Expr
				for _, e := range n.Elts {
					if kv, ok := e.(*ast.KeyValueExpr); ok {
						values = append(values, kv.Value)
					}
				}
				out = append(out, given(files, known, values, severity(values))...)
			case *ast.AssignStmt:
				out = append(out, given(files, known, n.Rhs, "")...)
			}
			return true
		})
	}
	return out
}

func given(files *token.FileSet, known map[string]string, values []ast.Expr, s problem.Severity) []emission {
	var out []emission
	for _, v := range values {
		code := literal(v)
		if name, ok := v.(*ast.Ident); ok {
			code = known[name.Name]
		}
		if code != "" {
			out = append(out, emission{code, s, files.Position(v.Pos()).String()})
		}
	}
	return out
}

func literal(e ast.Expr) string {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return ""
	}
	text, err := strconv.Unquote(lit.Value)
	if err != nil || !regexp.MustCompile(`^S[0-9]{3}$`).MatchString(text) {
		return ""
	}
	return text
}

// severity is the one that stands among the values.
func severity(values []ast.Expr) problem.Severity {
	for _, v := range values {
		if sel, ok := v.(*ast.SelectorExpr); ok {
			if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == "problem" {
				switch sel.Sel.Name {
				case "Error", "Warning", "Info":
					return problem.Severity(strings.ToLower(sel.Sel.Name))
				}
			}
		}
	}
	return ""
}
