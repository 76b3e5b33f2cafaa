package view

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// FleetView says how far all proxies are: what the replicas report, added up.
type FleetView struct {
	APIVersion        string                `json:"apiVersion"`
	Kind              string                `json:"kind"`
	Replicas          []string              `json:"replicas"` // sorted
	Proxies           v1alpha1.FleetProxies `json:"proxies"`
	Splits            []SplitView           `json:"splits"`
	SplitsOmitted     int32                 `json:"splitsOmitted,omitempty"`
	Exceptions        []ExceptionView       `json:"exceptions"`
	ExceptionsOmitted int32                 `json:"exceptionsOmitted,omitempty"`
}

// SplitView is how far the proxies of one replica are with a split.
type SplitView struct {
	Replica string `json:"replica"`
	v1alpha1.FleetSplit
}

// ExceptionView is a proxy that is not in sync.
type ExceptionView struct {
	Replica   string              `json:"replica"`
	Node      string              `json:"node"`
	Namespace string              `json:"namespace"`
	Kind      string              `json:"kind"`
	State     v1alpha1.FleetState `json:"state"`
	Type      string              `json:"type"`
	Resource  string              `json:"resource"`
	Message   string              `json:"message"`
	Since     *time.Time          `json:"since"`
}

// Fleet adds up what replicas report. A split stands there once for each replica: each has rendered it by itself.
func Fleet(reports []v1alpha1.FleetReport) FleetView {
	out := FleetView{APIVersion: APIVersion, Kind: KindFleetView, Replicas: []string{}, Splits: []SplitView{}, Exceptions: []ExceptionView{}}
	for _, r := range reports {
		st := r.Status
		out.Replicas = append(out.Replicas, r.Name)
		out.Proxies.Connected += st.Proxies.Connected
		out.Proxies.Synced += st.Proxies.Synced
		out.Proxies.Pending += st.Proxies.Pending
		out.Proxies.Rejected += st.Proxies.Rejected
		out.Proxies.Lost += st.Proxies.Lost
		out.SplitsOmitted += st.SplitsOmitted
		out.ExceptionsOmitted += st.ExceptionsOmitted
		for _, s := range st.Splits {
			out.Splits = append(out.Splits, SplitView{Replica: r.Name, FleetSplit: s})
		}
		for _, e := range st.Exceptions {
			out.Exceptions = append(out.Exceptions, ExceptionView{Replica: r.Name, Node: e.Node, Namespace: e.Namespace, Kind: e.Kind,
				State: e.State, Type: e.Type, Resource: e.Resource, Message: e.Message, Since: instant(e.Since.Time)})
		}
	}
	slices.Sort(out.Replicas)
	slices.SortStableFunc(out.Splits, func(a, b SplitView) int {
		return cmp.Or(cmp.Compare(a.Split, b.Split), cmp.Compare(a.Replica, b.Replica))
	})
	slices.SortStableFunc(out.Exceptions, func(a, b ExceptionView) int {
		return cmp.Or(cmp.Compare(badness(a.State), badness(b.State)), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Node, b.Node))
	})
	return out
}

// badness ranks states, worst first.
func badness(s v1alpha1.FleetState) int {
	return slices.Index([]v1alpha1.FleetState{v1alpha1.FleetRejected, v1alpha1.FleetLost, v1alpha1.FleetPending}, s)
}

// InSync reports whether every proxy runs all that it should have.
func (v FleetView) InSync() bool {
	return v.Proxies.Synced == v.Proxies.Connected && v.Proxies.Lost == 0
}

// Table is the view for people.
func (v FleetView) Table() string {
	var b strings.Builder
	p := v.Proxies
	fmt.Fprintf(&b, "%d/%d proxies in sync: %d pending, %d rejected, %d lost (replicas: %s)\n",
		p.Synced, p.Connected, p.Pending, p.Rejected, p.Lost, strings.Join(v.Replicas, ", "))
	if splits := v.moving(); len(splits) > 0 {
		rows := [][]string{{"SPLIT", "WEIGHT", "SEQ", "RUN", "REJECTED", "REPLICA"}}
		for _, s := range splits {
			rows = append(rows, []string{s.Split, fmt.Sprint(s.Weight, "%"), fmt.Sprint(s.Seq), fmt.Sprint(s.Acked, "/", s.Connected), fmt.Sprint(s.Nacked), s.Replica})
		}
		columns(&b, rows, v.SplitsOmitted)
	}
	if len(v.Exceptions) > 0 {
		rows := [][]string{{"PROXY", "NAMESPACE", "KIND", "STATE", "RESOURCE", "REPLICA", "MESSAGE"}}
		for _, e := range v.Exceptions {
			rows = append(rows, []string{e.Node, e.Namespace, e.Kind, string(e.State), strings.TrimSpace(e.Type + " " + e.Resource), e.Replica, e.Message})
		}
		columns(&b, rows, v.ExceptionsOmitted)
	}
	return b.String()
}

// moving are the splits that people look for: those that are not at rest, or that some proxy does not run.
func (v FleetView) moving() []SplitView {
	return slices.DeleteFunc(slices.Clone(v.Splits), func(s SplitView) bool {
		return s.Rest && s.Rendered && s.Acked == s.Connected && s.Lost == 0 && s.FirstNack == nil
	})
}

// columns writes rows below an empty line, each cell as wide as the widest; omitted is how many more there are.
func columns(b *strings.Builder, rows [][]string, omitted int32) {
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 3, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			if cell == "" {
				row[i] = "-"
			}
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	_ = w.Flush() // into memory
	b.WriteString("\n")
	for line := range strings.Lines(table.String()) {
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	if omitted > 0 {
		fmt.Fprintf(b, "and %d more\n", omitted)
	}
}
