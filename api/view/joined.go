package view

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// The reasons of what Kubernetes has no events of.
const (
	NotePending   = "NotePending"   // a note waits to be delivered
	NoteGivenUp   = "NoteGivenUp"   // one will not be delivered any more
	ProxyRejected = "ProxyRejected" // a proxy refuses what the Rollout asks for
	ProxyPending  = "ProxyPending"  // a proxy has not answered
)

// NoteEvents are what the outbox of ro and Notifiers say of its notes, as if each were an event.
func NoteEvents(ro *v1alpha1.Rollout, notifiers []v1alpha1.Notifier) []Event {
	if ro.Status == nil {
		return noteEvents(ro.UID, nil, notifiers)
	}
	return noteEvents(ro.UID, ro.Status.Notes, notifiers)
}

// SourceNoteEvents are the same of src.
func SourceNoteEvents(src *v1alpha1.Source, notifiers []v1alpha1.Notifier) []Event {
	return noteEvents(src.UID, src.Status.Notes, notifiers)
}

// noteEvents tells of the notes of an object: those that wait in its outbox, and those that were given up.
func noteEvents(uid types.UID, pending []v1alpha1.PendingNote, notifiers []v1alpha1.Notifier) []Event {
	var out []Event
	for _, n := range pending {
		words := string(n.Kind) + " waits to be sent"
		if n.Tries > 0 {
			words = fmt.Sprintf("%s: %s failed, the last by: %s", n.Kind, times(n.Tries, "try", "tries"), n.LastError)
		}
		out = append(out, Event{Object: "notifier/" + n.Notifier, Reason: NotePending, Note: said(words), Count: max(1, n.Tries), At: n.At.UTC()})
	}
	for _, n := range notifiers {
		for _, d := range n.Status.DeadLetters {
			if strings.HasPrefix(d.ID, string(uid)+".") {
				words := fmt.Sprintf("%s is given up: %s", d.Kind, cmp.Or(d.LastError, "it is too old"))
				out = append(out, Event{Object: "notifier/" + n.Name, Reason: NoteGivenUp, Note: said(words), Count: 1, At: d.At.UTC()})
			}
		}
	}
	return out
}

// ProxyEvents are what replicas say of proxies that do not run what ro asks for, as if each were an event.
func ProxyEvents(ro *v1alpha1.Rollout, reports []v1alpha1.FleetReport) []Event {
	var out []Event
	for _, r := range reports {
		i := slices.IndexFunc(r.Status.Splits, func(s v1alpha1.FleetSplit) bool {
			return s.Split == ro.Namespace+"/"+ro.Name && (s.UID == "" || s.UID == string(ro.UID))
		})
		if i < 0 {
			continue
		}
		split := r.Status.Splits[i]
		if n := split.FirstNack; n != nil {
			words := fmt.Sprintf("refuses %s: %s", resource(n.Type, n.Resource, "it"), n.Message)
			if more := split.Nacked - 1; more > 0 {
				words += fmt.Sprintf("; so do %s", times(more, "other proxy", "other proxies"))
			}
			out = append(out, Event{Object: "proxy/" + problem.Clean(n.Node, 128), Reason: ProxyRejected, Note: said(words), Count: 1, At: atLatest(n.At.Time, ro)})
		}
		for _, node := range split.Pending {
			since, what := time.Time{}, "the newest weight"
			for _, e := range r.Status.Exceptions {
				if e.Node == node && e.State != v1alpha1.FleetRejected {
					since, what = e.Since.UTC(), resource(e.Type, e.Resource, "anything yet")
				}
			}
			if !since.IsZero() {
				out = append(out, Event{Object: "proxy/" + problem.Clean(node, 128), Reason: ProxyPending, Note: said("has not acknowledged " + what), Count: 1, At: since})
			}
		}
	}
	return out
}

// atLatest is a time, or where it is not told the newest that it can be later than.
func atLatest(at time.Time, ro *v1alpha1.Rollout) time.Time {
	if at.IsZero() && ro.Status != nil {
		at = ro.Status.Since.Time
	}
	return at.UTC()
}

// resource names a resource of a proxy as far as it is known, and otherwise says so.
func resource(kind, name, unknown string) string {
	return cmp.Or(strings.TrimSpace(kind+" "+name), unknown)
}

func times(n int32, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

func said(words string) string { return problem.Clean(words, problem.MaxMessage) }
