package v1alpha1_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// TestDocs_examplesAreValid reads every YAML example of our pages as strictly as a Source does.
func TestDocs_examplesAreValid(t *testing.T) {
	t.Parallel()
	for _, page := range []string{"notifier.md", "metrictemplate.md", "rollout.md", "rolloutaction.md"} {
		text, err := os.ReadFile("../../docs/" + page)
		if err != nil {
			t.Fatal(err)
		}
		blocks := strings.Split(string(text), "```yaml\n")[1:]
		if len(blocks) == 0 {
			t.Errorf("%s has no example", page)
		}
		for i, block := range blocks {
			example, _, closed := strings.Cut(block, "```")
			if found, err := examine(example); err != nil || !closed || len(found) > 0 {
				t.Errorf("%s, example %d: %v %v", page, i+1, err, found)
			}
		}
	}
}

func examine(text string) ([]problem.Problem, error) {
	var kind struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
	}
	if err := yaml.Unmarshal([]byte(text), &kind); err != nil {
		return nil, err
	}
	obj, known := map[string]interface{ Validate() []problem.Problem }{
		v1alpha1.KindRollout: &v1alpha1.Rollout{}, v1alpha1.KindSource: &v1alpha1.Source{},
		v1alpha1.KindMetricTemplate: &v1alpha1.MetricTemplate{}, v1alpha1.KindNotifier: &v1alpha1.Notifier{},
		v1alpha1.KindRolloutAction: &v1alpha1.RolloutAction{},
	}[kind.Kind]
	if !known || kind.APIVersion != v1alpha1.GroupVersion().String() {
		return nil, fmt.Errorf("%s %s is not a kind of ours", kind.APIVersion, kind.Kind)
	}
	if err := yaml.UnmarshalStrict([]byte(text), obj); err != nil {
		return nil, err
	}
	return obj.Validate(), nil
}

// TestDocs_tellOfEveryKindOfNote holds the page against the constants.
func TestDocs_tellOfEveryKindOfNote(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/notifier.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range v1alpha1.NoteKinds() {
		if !strings.Contains(string(text), "`"+string(kind)+"`") {
			t.Errorf("notifier.md does not tell of %s", kind)
		}
	}
}
