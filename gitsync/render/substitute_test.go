package render

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/gitsync"
)

func TestFill_values(t *testing.T) {
	t.Parallel()
	values := map[string]string{"NAME": "shop", "N": "42", "ON": "true", "EMPTY": "", "EVIL": "x\ny: z", "REF": "${NAME}", "TOKEN": "hunter22"}
	for _, row := range []struct {
		text string
		want any
		code string // what is said, for those that fail
	}{
		{"${NAME}", "shop", ""},
		{"a-${NAME}-b-${NAME}", "a-shop-b-shop", ""},
		{"${N}", "42", ""},
		{"${N:int}", int64(42), ""},
		{"${ON:bool}", true, ""},
		{"${NONE:-d e f}", "d e f", ""},
		{"${NONE:-}", "", ""},
		{"${EMPTY:-d}", "d", ""},
		{"${EMPTY}", "", ""},
		{"$${NAME}", "${NAME}", ""},
		{"$${NAME} ${NAME}", "${NAME} shop", ""},
		{"$NAME $(NAME) {NAME}", "$NAME $(NAME) {NAME}", ""},
		{"${EVIL}", "x\ny: z", ""},
		{"${REF}", "${NAME}", ""}, // what is put in is not looked at again
		{"${NONE}", nil, "the variable NONE has no value"},
		{"${NONE:int}", nil, "the variable NONE has no value"},
		{"${TOKEN:int}", nil, "the value of TOKEN is not a whole number"},
		{"${N:bool}", nil, "the value of N is not true or false"},
		{"a${N:int}", nil, "must be the whole value"},
		{"${1X}", nil, "is no variable"},
		{"${NAME", nil, "is no variable"},
		{"${NAME:=x}", nil, "is no variable"},
	} {
		room := int64(1 << 20)
		f := &filler{values: values, room: &room}
		got := f.text("data.k", row.text)
		if row.code == "" && (len(f.faults) > 0 || !cmp.Equal(got, row.want)) {
			t.Errorf("%s: got %#v, %v, want %#v", row.text, got, f.faults, row.want)
		}
		if row.code != "" && (len(f.faults) != 1 || !strings.Contains(f.faults[0].message, row.code) || got != row.text) {
			t.Errorf("%s: got %#v, %v, want a fault that says %q", row.text, got, f.faults, row.code)
		}
		for _, found := range f.faults {
			if strings.Contains(found.message+found.hint, "hunter22") {
				t.Errorf("%s: %v shows the value", row.text, found)
			}
		}
	}
}

const withVariables = `apiVersion: v1
kind: ConfigMap
metadata:
  name: ${APP}-config
data:
  ${APP}: key
  greeting: hello ${WHO}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: script
  annotations: {sluice.dev/substitute: disabled}
data: {run: "echo ${WHO}"}
`

func fill(t *testing.T, l Limits, files, values map[string]string) gitsync.Build {
	t.Helper()
	build, err := New(l).Render(t.Context(), treeOf(files), gitsync.Options{Path: "app", Namespace: "shop", Variables: gitsync.Variables{Values: values}})
	if err != nil {
		t.Fatal(err)
	}
	return build
}

func TestFill_plainAndKustomize(t *testing.T) {
	t.Parallel()
	for name, files := range map[string]map[string]string{
		"plain":     {"app/a.yaml": withVariables},
		"kustomize": {"app/kustomization.yaml": "resources: [a.yaml]\n", "app/a.yaml": withVariables},
	} {
		b := fill(t, Limits{}, files, map[string]string{"APP": "web", "WHO": "you"})
		want := []string{"object /ConfigMap/shop/script", `"run":"echo ${WHO}"`, "object /ConfigMap/shop/web-config", `"${APP}":"key"`, `"greeting":"hello you"`}
		for _, text := range want {
			if got := show(b); !strings.Contains(got, text) || len(b.Problems) > 0 {
				t.Errorf("%s: got\n%swant %s", name, got, text)
			}
		}
		b = fill(t, Limits{}, files, map[string]string{"APP": "web"})
		if len(b.Problems) != 1 || b.Problems[0].Code != "S325" || b.Problems[0].Object != "ConfigMap/shop/web-config" || b.Problems[0].Line != 7 || b.Problems[0].Field != "data.greeting" || b.Reason != "" {
			t.Errorf("%s: got %+v (%s), want S325 at line 7", name, b.Problems, b.Reason)
		}
		b, err := New(Limits{}).Render(t.Context(), treeOf(files), gitsync.Options{Path: "app", Namespace: "shop"})
		if err != nil || !strings.Contains(show(b), "${APP}-config") || len(b.Problems) > 0 {
			t.Errorf("%s: without spec.substitute: %v\n%s", name, err, show(b))
		}
	}
}

func TestFill_growthIsBounded(t *testing.T) {
	t.Parallel()
	text := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: \"" + strings.Repeat("${A}", 5000) + "\"}\n"
	b := fill(t, Limits{ReadBytes: 1 << 20}, map[string]string{"app/a.yaml": text}, map[string]string{"A": strings.Repeat("x", 4096)})
	if b.Reason != gitsync.LimitExceeded || len(b.Objects) > 0 {
		t.Errorf("got reason %s and %d objects, want LimitExceeded", b.Reason, len(b.Objects))
	}
}
