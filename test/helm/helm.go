// Package helm runs the real Helm in tests: what it renders is what people install.
//
//	text, err := helm.Run(t, "template", "sluice", chart, "--namespace", "sluice-system")
//	for _, o := range helm.Objects(t, text) { ... }
//
// The program is SLUICE_HELM, else .cache/bin/helm of the repository.
package helm

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/sluice-dev/sluice/test/child"
)

// Chart is the directory of the chart, from the root of the repository.
const Chart = "charts/sluice"

// Run runs Helm in the root of the repository, with nothing of the person's own, and gives what it prints. The error is
// what it complains of.
func Run(t testing.TB, args ...string) (string, error) {
	t.Helper()
	root, err := child.Repository()
	if err != nil {
		t.Fatal(err)
	}
	program := os.Getenv("SLUICE_HELM")
	if program == "" {
		program = filepath.Join(root, ".cache", "bin", "helm")
	}
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("no helm: run `make helm` (%v)", err)
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	home := t.TempDir()
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home, "KUBECONFIG="+filepath.Join(home, "none"))
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), errors.New(errs.String())
	}
	return out.String(), nil
}

// Objects reads what Helm rendered.
func Objects(t testing.TB, text string) []*unstructured.Unstructured {
	t.Helper()
	var out []*unstructured.Unstructured
	for d := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096); ; {
		o := &unstructured.Unstructured{}
		err := d.Decode(&o.Object)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(o.Object) > 0 {
			out = append(out, o)
		}
	}
}
