package app

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	gitcontroller "github.com/sluice-dev/sluice/gitsync/controller"
)

// commits knows how commits came in, once the source controller is made.
type commits struct {
	run func(source types.NamespacedName, commit string) (gitcontroller.Run, bool)
}

// heard is when a Source first heard of a commit; zero: not known.
func (c *commits) heard(source types.NamespacedName, commit string) time.Time {
	run, _ := c.run(source, commit)
	return run.Heard
}
