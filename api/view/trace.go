package view

import (
	"fmt"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// TraceView says where an object came from and how far it got: commit, rollouts, and the proxies that run their traffic.
// What is not known is null.
type TraceView struct {
	APIVersion string          `json:"apiVersion"`
	Kind       string          `json:"kind"`
	Object     string          `json:"object"` // Kind/namespace/name
	Source     *TraceSource    `json:"source"`
	Commit     *TraceCommit    `json:"commit"`
	Rollouts   []TraceRollout  `json:"rollouts"`
	Proxies    []ExceptionView `json:"proxies"` // those that are not in sync
}

// TraceSource is the Source that applied the object.
type TraceSource struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	URL       string `json:"url,omitempty"` // empty: the Source is gone
	Revision  string `json:"revision,omitempty"`
	Reason    string `json:"reason,omitempty"` // of Ready
	Path      string `json:"path,omitempty"`   // file of the object
}

// TraceCommit is the commit that brought the object's content.
type TraceCommit struct {
	ID       string     `json:"id"`
	Author   string     `json:"author,omitempty"`
	Subject  string     `json:"subject,omitempty"`
	Time     *time.Time `json:"time"`
	Signer   *string    `json:"signer"`   // key that signed it; null: not known of this commit
	Verifies bool       `json:"verifies"` // whether its Source asks for signatures
}

// TraceRollout is a Rollout that the object belongs to, and the traffic that its status asks proxies for.
type TraceRollout struct {
	Object
	Reason   string      `json:"reason"`
	Message  string      `json:"message"`
	Stable   *Version    `json:"stable"`
	Canary   *Version    `json:"canary"`
	Seq      int64       `json:"seq"`
	Replicas []SplitView `json:"replicas"`
}

// Text is the view for people, a line for each fact.
func (v TraceView) Text() string {
	var b strings.Builder
	row := func(what, format string, args ...any) {
		fmt.Fprintf(&b, "%-9s %s\n", what, problem.Clean(fmt.Sprintf(format, args...), 2*problem.MaxMessage))
	}
	row("object", "%s", v.Object)
	if s := v.Source; s == nil {
		row("source", "none: it was not applied from Git by Sluice")
	} else {
		row("source", "%s/%s %s %s", s.Namespace, s.Name, known(s.URL), known(s.Reason))
		row("file", "%s", known(s.Path))
	}
	if c := v.Commit; c != nil {
		row("commit", "%s %q by %s, %s", Short(c.ID), c.Subject, known(c.Author), when(c.Time))
		switch {
		case c.Signer != nil && *c.Signer != "":
			row("signature", "good, by key %s", *c.Signer)
		case c.Verifies:
			row("signature", "n/a for this commit: the Source has applied a newer one since")
		default:
			row("signature", "not asked for by the Source")
		}
	}
	for _, r := range v.Rollouts {
		row("rollout", "%s/%s %s: %s", r.Namespace, r.Name, r.Reason, r.Message)
		for _, s := range r.Replicas {
			row("xds", "seq %d at %d%%: %d of %d proxies of replica %s run it, %d reject it", s.Seq, s.Weight, s.Acked, s.Connected, s.Replica, s.Nacked)
		}
		if len(r.Replicas) == 0 {
			row("xds", "seq %d: no replica reports it", r.Seq)
		}
	}
	for _, p := range v.Proxies {
		row("proxy", "%s (%s) %s %s %s", p.Node, p.Namespace, p.State, p.Resource, p.Message)
	}
	return b.String()
}

func known(text string) string {
	if text == "" {
		return "n/a"
	}
	return text
}

func when(t *time.Time) string {
	if t == nil {
		return "n/a"
	}
	return t.UTC().Format(time.RFC3339)
}

// Traced gives how a Rollout stands and which replicas report its split.
func Traced(ro *v1alpha1.Rollout, fleet FleetView) TraceRollout {
	st := Status(ro)
	out := TraceRollout{Object: st.Rollout, Reason: st.Reason, Message: st.Message, Stable: st.Stable, Canary: st.Canary, Replicas: []SplitView{}}
	if ro.Status != nil {
		out.Seq = ro.Status.Seq
	}
	for _, s := range fleet.Splits {
		if s.Split == ro.Namespace+"/"+ro.Name {
			out.Replicas = append(out.Replicas, s)
		}
	}
	return out
}
