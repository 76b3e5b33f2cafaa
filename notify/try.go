package notify

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// Try is one try to send a note, for whoever follows what becomes of them.
type Try struct {
	Of       types.UID // of the Rollout or Source
	Attempt  int64     // of the Rollout; 0: it is about none
	Notifier types.NamespacedName
	ID       string // of the note
	Kind     v1alpha1.NoteKind
	From, To time.Time
	Err      error // nil: it was taken
}

// tried tells of a try that did reach for the sink.
func (w *Worker) tried(l landing) {
	if w.cfg.Tried == nil || l.sink == "" {
		return
	}
	now := w.cfg.Now()
	w.cfg.Tried(Try{Of: l.uid, Attempt: l.id.attempt, Notifier: l.notifier, ID: l.note.ID, Kind: l.note.Report.Note, From: now.Add(-l.took), To: now, Err: l.err})
}
