package controller

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/rollout"
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

// TestPage_namesEveryReason says that what a transition, an event or a condition gives as its reason stands there too.
func TestPage_namesEveryReason(t *testing.T) {
	text, err := os.ReadFile("../../docs/rollout.md")
	if err != nil {
		t.Fatal(err)
	}
	words := []string{v1alpha1.ReasonMetricTemplateNotFound, v1alpha1.ReasonPrometheusNotFound, "ActionRefused", "EvidenceReset", reasonBrakeEngaged, reasonBrakeReleased,
		v1alpha1.ReasonNotificationFailed, v1alpha1.ReasonPinnedRoute}
	for _, code := range []string{"S010", "S061", "S063", "S064", "S060", "S999"} {
		words = append(words, refReason(code))
	}
	for _, e := range rollout.Edges() {
		words = append(words, string(e.Reason))
	}
	for _, word := range words {
		if !strings.Contains(string(text), "`"+word+"`") {
			t.Errorf("docs/rollout.md does not name %s", word)
		}
	}
}
