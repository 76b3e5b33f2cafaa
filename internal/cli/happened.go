package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	eventsclient "k8s.io/client-go/kubernetes/typed/events/v1"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
)

// happening is something that happened, with an id that changes when it happens again.
type happening struct {
	id string
	view.Event
}

func views(list []happening) []view.Event {
	out := make([]view.Event, 0, len(list))
	for _, h := range list {
		out = append(out, h.Event)
	}
	return out
}

// happened gives what is known to have happened to a rollout, to its Source, to its notes and on its proxies, oldest first.
// missing says what of it cannot be read, and why; the error is that of its own events.
func (c *cluster) happened(ctx context.Context, ro *v1alpha1.Rollout) (out []happening, missing []string, err error) {
	of := []regarded{{ro.Namespace, v1alpha1.KindRollout, ro.Name}}
	if name := ro.Labels[v1alpha1.LabelSourceName]; name != "" {
		of = append(of, regarded{cmp.Or(ro.Labels[v1alpha1.LabelSourceNamespace], ro.Namespace), v1alpha1.KindSource, name})
	}
	for _, r := range of {
		list, err := c.events(ctx, r)
		if err != nil {
			return nil, nil, err
		}
		out = append(out, list...)
	}
	notes, trouble := c.notes(ctx, ro.Namespace, ro.UID, func(n []v1alpha1.Notifier) []view.Event { return view.NoteEvents(ro, n) })
	out = append(out, notes...)
	if trouble != nil {
		missing = append(missing, "notes: "+problem.Clean(trouble.Error(), maxTrouble))
	}
	reports := &v1alpha1.FleetReportList{}
	if err := c.client.Get().Resource("fleetreports").Do(ctx).Into(reports); err != nil {
		missing = append(missing, "proxies: "+problem.Clean(failed("listing fleetreports", err).Error(), maxTrouble))
	}
	out = append(out, identified(view.ProxyEvents(ro, reports.Items))...)
	slices.SortStableFunc(out, func(a, b happening) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.id, b.id)) })
	return out, missing, nil
}

// happenedTo gives what is known to have happened to a Source and to its notes, oldest first, as happened does.
func (c *cluster) happenedTo(ctx context.Context, src *v1alpha1.Source) (out []happening, missing []string, err error) {
	out, err = c.events(ctx, regarded{src.Namespace, v1alpha1.KindSource, src.Name})
	if err != nil {
		return nil, nil, err
	}
	notes, trouble := c.notes(ctx, src.Namespace, src.UID, func(n []v1alpha1.Notifier) []view.Event { return view.SourceNoteEvents(src, n) })
	if trouble != nil {
		missing = append(missing, "notes: "+problem.Clean(trouble.Error(), maxTrouble))
	}
	out = append(out, notes...)
	slices.SortStableFunc(out, func(a, b happening) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.id, b.id)) })
	return out, missing, nil
}

// maxTrouble is how much is said of why something is missing, in bytes.
const maxTrouble = 256

// notes gives what became of the notes of an object, of which tell says what its outbox and Notifiers say.
func (c *cluster) notes(ctx context.Context, namespace string, uid types.UID, tell func([]v1alpha1.Notifier) []view.Event) ([]happening, error) {
	list := &v1alpha1.NotifierList{}
	var trouble error
	if err := c.client.Get().Namespace(namespace).Resource("notifiers").Do(ctx).Into(list); err != nil {
		trouble = failed("listing notifiers", err)
	}
	out := identified(tell(list.Items))
	if len(list.Items) == 0 {
		return out, trouble
	}
	dropped, err := c.events(ctx, regarded{namespace, v1alpha1.KindNotifier, ""})
	for _, h := range dropped {
		if strings.Contains(h.Note, "note "+string(uid)+".") {
			out = append(out, h)
		}
	}
	return out, cmp.Or(trouble, err)
}

// identified are events that are none of Kubernetes: another text is another happening.
func identified(list []view.Event) []happening {
	out := make([]happening, 0, len(list))
	for _, e := range list {
		out = append(out, happening{strings.Join([]string{e.Object, e.Reason, e.Note, e.At.String()}, " "), e})
	}
	return out
}

// regarded is what events are about; without a name all objects of the kind.
type regarded struct{ namespace, kind, name string }

// events gives the events of an object, or of all of a kind.
func (c *cluster) events(ctx context.Context, of regarded) ([]happening, error) {
	client, err := eventsclient.NewForConfig(c.config)
	if err != nil {
		return nil, &Exit{Code: ExitUsage, Err: fmt.Errorf("reading the kubeconfig: %w", err)}
	}
	only := fields.Set{"regarding.kind": of.kind}
	if of.name != "" {
		only["regarding.name"] = of.name
	}
	list, err := client.Events(of.namespace).List(ctx, metav1.ListOptions{FieldSelector: only.AsSelector().String()})
	if err != nil {
		return nil, failed("getting events", err)
	}
	out := make([]happening, 0, len(list.Items))
	for i := range list.Items {
		e := &list.Items[i]
		out = append(out, happening{fmt.Sprintf("%s %d", e.UID, count(e)), view.Event{Object: regarding(e), Reason: problem.Clean(e.Reason, maxWords),
			Note: problem.Clean(e.Note, problem.MaxMessage), Count: count(e), At: lastSeen(e).UTC()}})
	}
	return out, nil
}

// regarding names the object of an event.
func regarding(e *eventsv1.Event) string {
	return problem.Clean(strings.ToLower(e.Regarding.Kind)+"/"+e.Regarding.Name, maxWords)
}

// lastSeen is when an event happened last.
func lastSeen(e *eventsv1.Event) time.Time {
	switch {
	case e.Series != nil && !e.Series.LastObservedTime.IsZero():
		return e.Series.LastObservedTime.Time
	case !e.EventTime.IsZero():
		return e.EventTime.Time
	case !e.DeprecatedLastTimestamp.IsZero():
		return e.DeprecatedLastTimestamp.Time
	}
	return e.CreationTimestamp.Time
}

// count is how often it happened.
func count(e *eventsv1.Event) int32 {
	if e.Series != nil {
		return e.Series.Count
	}
	return max(1, e.DeprecatedCount)
}
