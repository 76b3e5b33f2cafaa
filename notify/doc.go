// Package notify tells people and programs what happened to a Rollout: at least once, in order, with a stable id.
//
// The outbox is the list of notes in a Rollout's status. rollout/controller appends to it in the same write as the
// transition (Matching says to whom, Append keeps the bounds), hands what it stored to the Worker, and takes the
// Worker's results into a later write (Settle). So a crash at any instruction loses nothing; it can repeat a note,
// with the same id.
//
//	to := notify.Matching(notifiers, notify.About{Kind: v1alpha1.NoteCompleted, Labels: ro.Labels})
//	status.Notes = notify.Append(status.Notes, note, to)
//	status.Notes = notify.Settle(status.Notes, worker.Results(ro.UID))
//	// ... write the status, then:
//	worker.Stored(ro)
//
// The package never writes a Rollout, never delays a decision, and sends nothing that no Notifier asks for.
package notify
