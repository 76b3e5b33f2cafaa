package rollout

// Note is the kind of message that a transition is worth. The zero value: none.
type Note string

// The kinds of notes.
const (
	NoteStarted           Note = "Started"
	NoteStepPassed        Note = "StepPassed"
	NoteCompleted         Note = "Completed"
	NoteResumed           Note = "Resumed"
	NoteSuperseded        Note = "Superseded"
	NotePaused            Note = "Paused"
	NoteApprovalNeeded    Note = "ApprovalNeeded"
	NoteWaitingForTraffic Note = "WaitingForTraffic"
	NoteSuspicious        Note = "Suspicious"
	NoteRolledBack        Note = "RolledBack"
	NoteAborted           Note = "Aborted"
	NoteBlocked           Note = "Blocked"
	NoteGitDrift          Note = "GitDrift"
	NoteGitInSync         Note = "GitInSync"
)

// Note is what people are to be told of the transition, or "". A failure that Step or a brake found is a rollback; one
// that a person asked for is an abort.
func (m Transition) Note() Note {
	if m.To == RollingBack && m.From != RollingBack {
		return m.ending()
	}
	switch m.Reason {
	case AttemptStarted:
		return NoteStarted
	case StepPassed:
		return NoteStepPassed
	case Completed:
		return NoteCompleted
	case Resumed:
		return NoteResumed
	case ManualPause: // told when it was asked for, not again when it takes effect
		if m.Asked {
			return NotePaused
		}
	case PauseStep, InconclusiveTimeout, DeadlineExceeded, OutsideWindow, Frozen:
		return NotePaused
	case ApprovalNeeded:
		return NoteApprovalNeeded
	case WaitingForTraffic:
		return NoteWaitingForTraffic
	case Suspicious:
		return NoteSuspicious
	case NoProxies, Blind, TrafficMismatch, RollbackUnconfirmed, ProgressDeadlineExceeded, StableIsEmpty, StatusRefused:
		return NoteBlocked
	case KnownRejected:
		return NoteGitDrift
	case Reverted:
		return NoteGitInSync
	default: // the rest is seen in events and conditions only
	}
	return ""
}

// ending is the note of the end of an attempt that is no promotion.
func (m Transition) ending() Note {
	switch m.Reason {
	case Aborted, ManualRollback:
		return NoteAborted
	case Superseded:
		return NoteSuperseded
	case Reverted, Deleted, Restarted:
		return ""
	default:
		return NoteRolledBack
	}
}
