package controller

import (
	"encoding/json"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// prunedText is what is said where the server kept less than it was given.
const prunedText = "the API server dropped fields of the status: its definition of Rollouts is older than this build, so that nothing is raised; " +
	"install the definitions of this build"

// pruned reports that the server keeps less of a status than it was given: its definition is older than this build, and
// drops what it does not know. An attempt that goes on from such a status would forget gates, or limits.
func pruned(sent, stored *v1alpha1.RolloutStatus) bool { return !holdsAll(stored, sent) }

// holdsAll reports that a status which was read holds all that was sent.
func holdsAll(read, sent *v1alpha1.RolloutStatus) bool {
	text, err := json.Marshal(sent)
	whole := &v1alpha1.RolloutStatus{}
	if err != nil || json.Unmarshal(text, whole) != nil {
		return false
	}
	return equality.Semantic.DeepEqual(whole, read)
}
