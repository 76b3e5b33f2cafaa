package arch

import (
	"fmt"
	"go/ast"
	"os"
	"slices"
	"strings"
	"testing"
)

const (
	maxFile   = 600
	maxFunc   = 80
	maxParams = 5
	maxFields = 12
	purePart  = 45 // percent of the product's lines
)

var badNames = []string{"util", "utils", "common", "helper", "helpers", "base", "manager", "misc", "shared"}

// report fails for each finding that has no exception, and for each exception of these rules that nothing needs any more.
func report(t *testing.T, rules []string, findings map[[2]string]string) {
	t.Helper()
	ex := exceptions(t)
	for at, text := range findings {
		if _, ok := ex[at]; !ok {
			t.Errorf("%s %s: %s", at[0], at[1], text)
		}
	}
	for at := range ex {
		if _, needed := findings[at]; !needed && slices.Contains(rules, at[0]) {
			t.Errorf("exceptions.txt: %s %s is not needed any more", at[0], at[1])
		}
	}
}

func TestLimits_filesFunctionsAndTypes(t *testing.T) {
	found := map[[2]string]string{}
	for _, s := range load(t) {
		if s.generated {
			continue
		}
		if s.lines > maxFile && !s.test {
			found[[2]string{"file", s.path}] = fmt.Sprintf("%d lines, at most %d", s.lines, maxFile)
		}
		if slices.Contains(badNames, s.file.Name.Name) {
			found[[2]string{"name", s.path}] = "a package is a noun of the field, not " + s.file.Name.Name
		}
		if s.test {
			continue
		}
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok {
				limitsOfFunc(s, f, found)
			}
		}
		if !strings.HasPrefix(s.dir, "api/") {
			limitsOfTypes(s, found)
		}
	}
	report(t, []string{"file", "name", "func", "params", "fields"}, found)
}

func limitsOfFunc(s source, f *ast.FuncDecl, found map[[2]string]string) {
	at := s.path + ":" + f.Name.Name
	if f.Body != nil {
		if n := s.line(f.Body.Rbrace) - s.line(f.Pos()) + 1; n > maxFunc {
			found[[2]string{"func", at}] = fmt.Sprintf("%d lines, at most %d", n, maxFunc)
		}
	}
	if n := f.Type.Params.NumFields(); n > maxParams {
		found[[2]string{"params", at}] = fmt.Sprintf("%d parameters, at most %d", n, maxParams)
	}
}

func limitsOfTypes(s source, found map[[2]string]string) {
	ast.Inspect(s.file, func(n ast.Node) bool {
		ts, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		if st, ok := ts.Type.(*ast.StructType); ok && st.Fields.NumFields() > maxFields {
			found[[2]string{"fields", s.path + ":" + ts.Name.Name}] = fmt.Sprintf("%d fields, at most %d", st.Fields.NumFields(), maxFields)
		}
		return true
	})
}

func TestDocs_everyPackageAndExportedNameSaysWhatItIs(t *testing.T) {
	documented, packages := map[string]bool{}, map[string]bool{}
	found := map[[2]string]string{}
	for _, s := range load(t) {
		if s.test || s.generated {
			continue
		}
		packages[s.dir] = true
		documented[s.dir] = documented[s.dir] || s.file.Doc != nil
		for _, d := range s.file.Decls {
			docsOfDecl(s, d, found)
		}
	}
	for p := range packages {
		if !documented[p] {
			found[[2]string{"doc", p}] = "the package has no comment"
		}
	}
	report(t, []string{"doc"}, found)
}

func docsOfDecl(s source, d ast.Decl, found map[[2]string]string) {
	missing := func(name string) { found[[2]string{"doc", s.path + ":" + name}] = "exported and without a comment" }
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) {
			missing(d.Name.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				if spec.Name.IsExported() && d.Doc == nil && spec.Doc == nil {
					missing(spec.Name.Name)
				}
			case *ast.ValueSpec:
				if spec.Names[0].IsExported() && d.Doc == nil && spec.Doc == nil && spec.Comment == nil {
					missing(spec.Names[0].Name)
				}
			}
		}
	}
}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	typ := d.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if index, ok := typ.(*ast.IndexExpr); ok {
		typ = index.X
	}
	id, ok := typ.(*ast.Ident)
	return ok && id.IsExported()
}

// uses gives the lines that name pkg.name.
func uses(s source, pkg, name string) []int {
	var lines []int
	ast.Inspect(s.file, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok || sel.Sel.Name != name {
			return true
		}
		if id, ok := sel.X.(*ast.Ident); ok && id.Name == pkg {
			lines = append(lines, s.line(sel.Pos()))
		}
		return true
	})
	return lines
}

func TestHabits_clockContextSleepInitAndGlobals(t *testing.T) {
	found := map[[2]string]string{}
	for _, s := range load(t) {
		if s.generated {
			continue
		}
		main := s.file.Name.Name == "main" || strings.HasPrefix(s.dir, "test/")
		if s.test {
			if lines := uses(s, "time", "Sleep"); len(lines) > 0 {
				found[[2]string{"sleep", s.path}] = fmt.Sprintf("time.Sleep in a test, line %d", lines[0])
			}
			continue
		}
		if lines := uses(s, "time", "Now"); len(lines) > 0 && !strings.HasPrefix(s.dir, "test/") && s.path != "internal/app/clock.go" {
			found[[2]string{"clock", s.path}] = fmt.Sprintf("time.Now, line %d: take the clock as a value", lines[0])
		}
		if lines := append(uses(s, "context", "Background"), uses(s, "context", "TODO")...); len(lines) > 0 && !main {
			found[[2]string{"context", s.path}] = fmt.Sprintf("a context from nowhere, line %d", lines[0])
		}
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				found[[2]string{"init", s.path}] = "wiring happens in internal/app"
			}
		}
	}
	report(t, []string{"sleep", "clock", "context", "init"}, found)
}

func TestPure_packagesStartNothing(t *testing.T) {
	h := readHouse(t)
	for _, s := range load(t) {
		if _, pure := h.pure[s.dir]; !pure || s.test {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if g, ok := n.(*ast.GoStmt); ok {
				t.Errorf("%s:%d: a pure package starts no goroutine", s.path, s.line(g.Pos()))
			}
			return true
		})
	}
}

func TestPure_packagesHoldTheirPartOfTheLines(t *testing.T) {
	h := readHouse(t)
	pure, all := 0, 0
	for _, s := range load(t) {
		if s.test || s.generated || strings.HasPrefix(s.dir, "test/") || strings.HasPrefix(s.dir, "standalone") || strings.HasPrefix(s.dir, "api/v1alpha1") {
			continue
		}
		all += s.lines
		if _, ok := h.pure[s.dir]; ok {
			pure += s.lines
		}
	}
	t.Logf("%d of %d lines are pure (%d%%)", pure, all, 100*pure/all)
	if 100*pure < purePart*all {
		t.Errorf("%d%% of the lines are in pure packages, want at least %d%%", 100*pure/all, purePart)
	}
}

func TestMap_namesEveryRoom(t *testing.T) {
	text, err := os.ReadFile(root + "/docs/ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	rooms := map[string]bool{}
	for _, s := range load(t) {
		first, _, _ := strings.Cut(s.dir, "/")
		if !s.test && first != "test" && first != "standalone" && first != "examples" && first != "cmd" && s.dir != "api/crd/istio" {
			rooms[s.dir] = true
		}
	}
	for room := range rooms {
		if !strings.Contains(string(text), "`"+room+"`") {
			t.Errorf("docs/ARCHITECTURE.md does not name %s", room)
		}
	}
}
