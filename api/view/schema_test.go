package view_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/view"
)

var rewrite = flag.Bool("rewrite", false, "write the schemas anew")

// documents are a value of each kind.
func documents() map[string]any {
	return map[string]any{
		view.KindStatusView: view.StatusView{}, view.KindEvidenceReport: view.EvidenceReport{}, view.KindLintReport: view.LintReport{},
		view.KindCodeList: view.CodeList{}, view.KindFleetView: view.FleetView{}, view.KindProxyView: view.ProxyView{},
		view.KindTraceView: view.TraceView{}, view.KindDiffView: view.DiffView{}, view.KindTreeView: view.TreeView{},
		view.KindDoctorReport: view.DoctorReport{}, view.KindEventsView: view.EventsView{}, view.KindDescribeView: view.DescribeView{},
		view.KindVersionView: view.VersionView{}, view.KindConversionReport: view.ConversionReport{},
	}
}

// TestSchemas_areThoseOfTheTypes holds the schemas, here and in the docs, against the types; scripts/generate writes them.
func TestSchemas_areThoseOfTheTypes(t *testing.T) {
	t.Parallel()
	w := &writer{comments: comments(t)}
	for kind, value := range documents() {
		text := w.document(t, kind, reflect.TypeOf(value))
		for _, dir := range []string{"schemas", "../../docs/schemas"} {
			path := filepath.Join(dir, kind+".json")
			if *rewrite {
				if err := os.WriteFile(path, text, 0o600); err != nil {
					t.Fatal(err)
				}
				continue
			}
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, text) {
				t.Errorf("%s is not what the types say: %v; run scripts/generate", path, err)
			}
		}
		if got, ok := view.Schema(strings.ToLower(kind)); !*rewrite && (!ok || !bytes.Equal(got, text)) {
			t.Errorf("%s cannot be printed", kind)
		}
	}
	if !*rewrite && len(view.Schemas()) != len(documents()) {
		t.Errorf("there are schemas of %v, and documents of %d kinds", view.Schemas(), len(documents()))
	}
}

// TestSchemas_noKindIsLeftOut compares the table above with the constants of the package.
func TestSchemas_noKindIsLeftOut(t *testing.T) {
	t.Parallel()
	found := 0
	for _, file := range sources(t) {
		if file.Name.Name != "view" {
			continue
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, "Kind") {
				return true
			}
			if literal, ok := spec.Values[0].(*ast.BasicLit); ok {
				found++
				if kind := strings.Trim(literal.Value, `"`); documents()[kind] == nil {
					t.Errorf("%s has no schema: add it to documents", kind)
				}
			}
			return true
		})
	}
	if found < 10 {
		t.Errorf("only %d kinds were found", found)
	}
}

func sources(t *testing.T) []*ast.File {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("../v1alpha1/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var out []*ast.File
	for _, name := range append(names, append(more, "../problem/problem.go", "../problem/catalogue.go")...) {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		if _, err := os.Stat(name); err != nil {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, file)
	}
	return out
}

// comments are what stands beside or above each field, as Type.Field, and above each type.
func comments(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, file := range sources(t) {
		for _, decl := range file.Decls {
			general, ok := decl.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range general.Specs {
				named, ok := spec.(*ast.TypeSpec)
				if !ok {
					continue
				}
				out[named.Name.Name] = plain(general.Doc.Text())
				if object, ok := named.Type.(*ast.StructType); ok {
					for _, field := range object.Fields.List {
						for _, name := range field.Names {
							out[named.Name.Name+"."+name.Name] = plain(field.Doc.Text() + field.Comment.Text())
						}
					}
				}
			}
		}
	}
	return out
}

// plain is a comment in one line, without what is for generators.
func plain(comment string) string {
	var words []string
	for line := range strings.Lines(comment) {
		if !strings.HasPrefix(strings.TrimSpace(line), "+") {
			words = append(words, strings.Fields(line)...)
		}
	}
	return strings.Join(words, " ")
}

// writer writes schemas of types.
type writer struct {
	comments map[string]string
	defs     map[string]any
}

func (w *writer) document(t *testing.T, kind string, of reflect.Type) []byte {
	t.Helper()
	w.defs = map[string]any{}
	root := w.object(of)
	root["$schema"] = "http://json-schema.org/draft-07/schema#"
	root["$id"] = "https://sluice.dev/schemas/" + view.APIVersion + "/" + strings.ToLower(kind) + ".json"
	root["title"] = kind
	if properties, ok := root["properties"].(map[string]any); ok {
		properties["apiVersion"] = map[string]any{"const": view.APIVersion}
		properties["kind"] = map[string]any{"const": kind}
	}
	delete(w.defs, of.Name())
	if len(w.defs) > 0 {
		root["definitions"] = w.defs
	}
	text, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(text, '\n')
}

// object is the schema of a struct.
func (w *writer) object(of reflect.Type) map[string]any {
	properties, required := map[string]any{}, []string{}
	w.fields(of, properties, &required)
	slices.Sort(required)
	out := map[string]any{"type": "object", "properties": properties}
	if len(required) > 0 {
		out["required"] = required
	}
	if text := w.comments[of.Name()]; text != "" {
		out["description"] = text
	}
	return out
}

// fields writes those of a struct and of what it embeds.
func (w *writer) fields(of reflect.Type, properties map[string]any, required *[]string) {
	for field := range of.Fields() {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "-" || !field.IsExported() {
			continue
		}
		if field.Anonymous && name == "" {
			w.fields(field.Type, properties, required)
			continue
		}
		schema := w.schema(field.Type)
		if text := w.comments[of.Name()+"."+field.Name]; text != "" {
			if _, ref := schema["$ref"]; ref {
				schema = map[string]any{"allOf": []any{schema}}
			}
			schema["description"] = text
		}
		properties[name] = schema
		if !strings.Contains(options, "omitempty") && !strings.Contains(options, "omitzero") {
			*required = append(*required, name)
		}
	}
}

// schema is that of a value.
func (w *writer) schema(of reflect.Type) map[string]any {
	switch of {
	case reflect.TypeFor[time.Time](), reflect.TypeFor[metav1.Time](), reflect.TypeFor[metav1.MicroTime]():
		return map[string]any{"type": "string", "format": "date-time"}
	}
	text := reflect.TypeFor[json.Marshaler]()
	if of.Kind() != reflect.Pointer && (of.Implements(text) || reflect.PointerTo(of).Implements(text)) {
		return map[string]any{"type": "string"} // durations and the like
	}
	switch of.Kind() {
	case reflect.Pointer:
		return map[string]any{"anyOf": []any{w.schema(of.Elem()), map[string]any{"type": "null"}}}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": w.schema(of.Elem())}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": w.schema(of.Elem())}
	case reflect.Struct:
		if _, done := w.defs[of.Name()]; !done {
			w.defs[of.Name()] = nil // it may hold itself
			w.defs[of.Name()] = w.object(of)
		}
		return map[string]any{"$ref": "#/definitions/" + of.Name()}
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Float64, reflect.Float32:
		return map[string]any{"type": "number"}
	case reflect.Interface:
		return map[string]any{}
	default:
		return map[string]any{"type": "integer"}
	}
}
