package controller

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// TestPage_namesEveryField says that each field of the spec stands on the kind's page.
func TestPage_namesEveryField(t *testing.T) {
	text, err := os.ReadFile("../../docs/rollout.md")
	if err != nil {
		t.Fatal(err)
	}
	var visit func(of reflect.Type, prefix string)
	visit = func(of reflect.Type, prefix string) {
		for i := range of.NumField() {
			name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
			kind, path := of.Field(i).Type, prefix+name
			if kind.Kind() == reflect.Pointer {
				kind = kind.Elem()
			}
			if kind.Kind() == reflect.Slice && kind.Elem().Kind() == reflect.Struct && name == "steps" {
				kind, path = kind.Elem(), path+"[]"
			}
			if kind.Kind() == reflect.Struct && kind != reflect.TypeFor[v1alpha1.Duration]() {
				visit(kind, path+".")
				continue
			}
			if !strings.Contains(string(text), "`"+path+"`") {
				t.Errorf("docs/rollout.md does not name %s", path)
			}
		}
	}
	visit(reflect.TypeFor[v1alpha1.RolloutSpec](), "")
}
