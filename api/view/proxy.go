package view

import (
	"fmt"
	"slices"
	"strings"
)

// ProxyView says what one proxy has of what it should have.
type ProxyView struct {
	APIVersion string          `json:"apiVersion"`
	Kind       string          `json:"kind"`
	Node       string          `json:"node"`
	Namespace  string          `json:"namespace"`
	ProxyKind  string          `json:"proxyKind"`
	Resources  []ProxyResource `json:"resources"`
	Weights    []ProxyWeight   `json:"weights"` // of the tables that it has acknowledged
}

// ProxyResource is one resource of a proxy.
type ProxyResource struct {
	Type    string `json:"type"`
	Name    string `json:"name"`
	State   string `json:"state"`   // SYNCED, STALE, ERROR, NOT_SENT; DOES_NOT_EXIST: it has asked for it and knows that there is none
	Acked   string `json:"acked"`   // version; empty: none
	Wanted  string `json:"wanted"`  // version; empty: another one, which has not been rejected
	Message string `json:"message"` // why the proxy has rejected what is wanted, in its own words
}

// ProxyWeight is the share of a cluster in one route.
type ProxyWeight struct {
	Table       string `json:"table"`
	VirtualHost string `json:"virtualHost"`
	Route       string `json:"route"`
	Cluster     string `json:"cluster"`
	Weight      uint32 `json:"weight"`
	Total       uint32 `json:"total"` // of the route's weights
}

// The states of a ProxyResource that matter to InSync.
const (
	ResourceSynced = "SYNCED"
	ResourceAbsent = "DOES_NOT_EXIST"
)

// InSync reports whether the proxy has all that it should have.
func (v ProxyView) InSync() bool {
	return !slices.ContainsFunc(v.Resources, func(r ProxyResource) bool { return r.State != ResourceSynced && r.State != ResourceAbsent })
}

// Table is the view for people: each type in a line, with what is not in sync by name; then the weights.
func (v ProxyView) Table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s of namespace %s)\n", v.Node, v.ProxyKind, v.Namespace)
	rows := [][]string{{"TYPE", "IN SYNC", "RESOURCE", "STATE", "WANTED", "ACKED", "MESSAGE"}}
	for _, kind := range v.types() {
		synced, all := 0, 0
		var behind [][]string
		for _, r := range v.Resources {
			if r.Type != kind {
				continue
			}
			all++
			if r.State == ResourceSynced || r.State == ResourceAbsent {
				synced++
				continue
			}
			behind = append(behind, []string{"", "", r.Name, r.State, short(r.Wanted), short(r.Acked), r.Message})
		}
		if len(behind) == 0 {
			behind = [][]string{make([]string, 7)}
		}
		behind[0][0], behind[0][1] = kind, fmt.Sprint(synced, "/", all)
		rows = append(rows, behind...)
	}
	columns(&b, rows, 0)
	if len(v.Weights) > 0 {
		rows = [][]string{{"TABLE", "VIRTUAL HOST", "ROUTE", "CLUSTER", "WEIGHT"}}
		for _, w := range v.Weights {
			rows = append(rows, []string{w.Table, w.VirtualHost, w.Route, w.Cluster, fmt.Sprint(w.Weight, "/", w.Total)})
		}
		columns(&b, rows, 0)
	}
	return b.String()
}

// types are the types of the resources, in their order.
func (v ProxyView) types() []string {
	var out []string
	for _, r := range v.Resources {
		if !slices.Contains(out, r.Type) {
			out = append(out, r.Type)
		}
	}
	return out
}

// short is the beginning of a version.
func short(version string) string { return version[:min(12, len(version))] }
