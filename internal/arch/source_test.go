package arch

import (
	"bufio"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

const (
	root   = "../.."
	module = "github.com/sluice-dev/sluice"
)

// source is one parsed Go file of the tree, of either module.
type source struct {
	path      string // slash separated, from the repository's root
	dir       string
	test      bool
	generated bool
	file      *ast.File
	fset      *token.FileSet
	lines     int
}

func (s source) imports() []string {
	var out []string
	for _, i := range s.file.Imports {
		out = append(out, strings.Trim(i.Path.Value, `"`))
	}
	return out
}

func (s source) line(p token.Pos) int { return s.fset.Position(p).Line }

// load parses every Go file of the repository once per test that asks.
func load(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && p != root && (strings.HasPrefix(name, ".") || name == "bin" || name == "node_modules" || name == "testdata") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, rel, text, parser.ParseComments)
		if err != nil {
			return err
		}
		all = append(all, source{path: rel, dir: path.Dir(rel), test: strings.HasSuffix(name, "_test.go"),
			generated: ast.IsGenerated(file), file: file, fset: fset, lines: strings.Count(string(text), "\n")})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Fatalf("found %d Go files; the tree is not where this test looks for it", len(all))
	}
	return all
}

// exceptions reads exceptions.txt: rule and place to reason. A test that uses one deletes it; what is left is stale.
func exceptions(t *testing.T) map[[2]string]string {
	t.Helper()
	f, err := os.Open("exceptions.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out := map[[2]string]string{}
	for sc := bufio.NewScanner(f); sc.Scan(); {
		fields := strings.Fields(sc.Text())
		if len(fields) == 0 || fields[0] == "#" {
			continue
		}
		if len(fields) < 4 {
			t.Fatalf("exceptions.txt: %q has no reason", sc.Text())
		}
		out[[2]string{fields[0], fields[1]}] = strings.Join(fields[2:], " ")
	}
	return out
}
