package app

import (
	"fmt"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

func TestSound_refusesATemplateThatComparesNothing(t *testing.T) {
	for name, row := range map[string]struct{ spec, code, message string }{
		"good":             {`{args: [{name: flow, value: all}], ratio: {bad: 'x{v="{{subset}}",f="{{flow}}"}', total: 'x{v="{{cluster}}"}'}}`, "", ""},
		"rate":             {`{ratio: {bad: 'x{v="{{subset}}"}', total: 'rate(x{v="{{subset}}"}[5m])'}}`, codeQuery, "total: "},
		"one for both":     {`{ratio: {good: 'x{r="ok"}', total: 'x{v="{{subset}}"}'}}`, codeQuery, "good: the selector is the same for both"},
		"unknown variable": {`{ratio: {bad: 'x{v="{{subset}}",f="{{flow}}"}', total: 'x{v="{{subset}}"}'}}`, codeQuery, "{{flow}} is no variable"},
		"variable of ours": {`{args: [{name: subset, value: v1}], ratio: {bad: 'x{v="{{subset}}"}', total: 'y{v="{{subset}}"}'}}`, codeQuery, "subset is given"},
		"bad and good":     {`{ratio: {bad: 'x{v="{{subset}}"}', good: 'z{v="{{subset}}"}', total: 'y{v="{{subset}}"}'}}`, "S504", "bad is"},
		"no form":          {`{ratio: 7}`, "S504", "cannot restore"},
	} {
		var content map[string]any
		text := "apiVersion: sluice.dev/v1alpha1\nkind: MetricTemplate\nmetadata: {name: a, namespace: b}\nspec: " + row.spec
		if err := yaml.Unmarshal([]byte(text), &content); err != nil {
			t.Fatal(err)
		}
		switch got := sound(content); {
		case row.code == "" && len(got) == 0:
		case len(got) != 1 || got[0].Code != row.code || !strings.Contains(got[0].Message, row.message) || got[0].Hint == "":
			t.Errorf("%s: %v, want %s with %q", name, fmt.Sprint(got), row.code, row.message)
		}
	}
	if got := sound(map[string]any{"apiVersion": "v1", "kind": "ConfigMap"}); len(got) != 0 {
		t.Errorf("another kind: %v", got)
	}
}
