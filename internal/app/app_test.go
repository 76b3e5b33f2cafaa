package app_test

import (
	"context"
	"os"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/sluice-dev/sluice/internal/app"
)

func TestRun_leavesNoRepositoriesBehind(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	none := app.Listen{XDS: "127.0.0.1:0", Hooks: "0", Metrics: "0", Health: "0", Decisions: "0"}
	if err := app.Run(ctx, &rest.Config{Host: "http://127.0.0.1:1"}, app.Config{Listen: none}); err != nil {
		t.Log("with nothing to talk to:", err)
	}
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
