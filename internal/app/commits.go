package app

import (
	"k8s.io/apimachinery/pkg/types"

	gitcontroller "github.com/sluice-dev/sluice/gitsync/controller"
)

// commits knows how commits came in, once the source controller is made.
type commits struct {
	run func(source types.NamespacedName, commit string) (gitcontroller.Run, bool)
}
