package arch

import (
	"bufio"
	"go/ast"
	"go/token"
	"os"
	"strings"
	"testing"
)

// logKeys reads the list of keys.
func logKeys(t *testing.T) map[string]bool {
	t.Helper()
	f, err := os.Open("logkeys.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out := map[string]bool{}
	for sc := bufio.NewScanner(f); sc.Scan(); {
		if key, meaning, ok := strings.Cut(sc.Text(), " "); ok && key != "#" && strings.TrimSpace(meaning) != "" {
			out[key] = true
		}
	}
	return out
}

// logged gives the arguments of a call that are keys and values, where it is one that writes a line.
func logged(call *ast.CallExpr) ([]ast.Expr, bool) {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return nil, false
	}
	skip := 1
	switch sel.Sel.Name {
	case "Info", "Warn", "Debug":
	case "Error":
		if viaContext(sel.X) {
			skip = 2 // the error comes first
		}
	default:
		return nil, false
	}
	if !viaContext(sel.X) && !namedLog(sel.X) || len(call.Args) < skip {
		return nil, false
	}
	return call.Args[skip:], true
}

// viaContext reports that a logger is that of a context, as controller-runtime has it.
func viaContext(x ast.Expr) bool {
	call, ok := x.(*ast.CallExpr)
	if !ok {
		return false
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	return ok && (sel.Sel.Name == "FromContext" || sel.Sel.Name == "V" && viaContext(sel.X))
}

func namedLog(x ast.Expr) bool {
	name := ""
	switch x := x.(type) {
	case *ast.Ident:
		name = x.Name
	case *ast.SelectorExpr:
		name = x.Sel.Name
	}
	return strings.EqualFold(name, "log") || strings.EqualFold(name, "logger") || name == "slog"
}

func TestLogs_useTheKeysOfTheList(t *testing.T) {
	keys, lines := logKeys(t), 0
	if len(keys) != 12 {
		t.Fatalf("%d keys, want the twelve that readers of logs know", len(keys))
	}
	for _, s := range load(t) {
		if s.test || strings.HasPrefix(s.dir, "standalone") || strings.HasPrefix(s.dir, "test") {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			pairs, ok := logged(call)
			if !ok {
				return true
			}
			lines++
			for i := 0; i < len(pairs); i += 2 {
				text, isText := pairs[i].(*ast.BasicLit)
				if !isText || text.Kind != token.STRING || !keys[strings.Trim(text.Value, `"`)] || i+1 == len(pairs) {
					t.Errorf("%s:%d: %s is no key of logkeys.txt with a value", s.path, s.line(pairs[i].Pos()), nameOf(pairs[i]))
				}
			}
			return true
		})
	}
	if lines < 20 {
		t.Errorf("found %d lines of log; the test looks in the wrong places", lines)
	}
}

func nameOf(x ast.Expr) string {
	if text, ok := x.(*ast.BasicLit); ok {
		return text.Value
	}
	return "what is no text"
}
