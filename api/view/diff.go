package view

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-dev/sluice/api/problem"
)

// DiffView says what would change from one state of objects to another, and in the proxies that they configure.
type DiffView struct {
	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	From       string         `json:"from"` // in words: a revision, or the cluster
	To         string         `json:"to"`
	Objects    []ObjectChange `json:"objects"`
	Proxies    []ProxyChange  `json:"proxies"`
}

// ChangeGroup is what a change is about.
type ChangeGroup string

// The groups, in the order of printing.
const (
	ChangesTraffic  ChangeGroup = "traffic"
	StartsAttempt   ChangeGroup = "attempt"
	ChangesAnalysis ChangeGroup = "analysis"
	ChangesMetadata ChangeGroup = "metadata"
	ChangesOther    ChangeGroup = "other"
)

func changeGroups() []ChangeGroup {
	return []ChangeGroup{ChangesTraffic, StartsAttempt, ChangesAnalysis, ChangesMetadata, ChangesOther}
}

// Action is what becomes of an object or a resource.
type Action string

// The actions.
const (
	Added   Action = "added"
	Changed Action = "changed"
	Removed Action = "removed"
)

// ObjectChange is what changes in one object in one respect. An object whose fields are of several groups stands in each.
type ObjectChange struct {
	Group  ChangeGroup   `json:"group"`
	Object string        `json:"object"` // Kind/namespace/name
	Action Action        `json:"action"`
	Path   string        `json:"path,omitempty"` // of its file
	Fields []FieldChange `json:"fields"`         // none of an object that is added or removed
}

// FieldChange is one value. From and To are JSON, cut; empty where there is none.
type FieldChange struct {
	Field string `json:"field"`
	From  string `json:"from"`
	To    string `json:"to"`
}

// ProxyChange is what changes for all proxies of one class.
type ProxyChange struct {
	Proxy     string           `json:"proxy"` // in words
	Resources []ResourceChange `json:"resources"`
	Answers   []AnswerChange   `json:"answers"`
}

// ResourceChange is one xDS resource.
type ResourceChange struct {
	Type   string `json:"type"`
	Name   string `json:"name"`
	Action Action `json:"action"`
}

// AnswerChange is a request that would be answered otherwise, with both answers in words.
type AnswerChange struct {
	Request string `json:"request"`
	From    string `json:"from"`
	To      string `json:"to"`
}

// Empty reports whether nothing changes.
func (v DiffView) Empty() bool { return len(v.Objects) == 0 && len(v.Proxies) == 0 }

// Text is the view for people.
func (v DiffView) Text() string {
	var b strings.Builder
	line := func(format string, args ...any) {
		b.WriteString(strings.TrimRight(problem.Clean(fmt.Sprintf(format, args...), 2*problem.MaxMessage), " ") + "\n")
	}
	if v.Empty() {
		line("no difference between %s and %s", v.From, v.To)
		return b.String()
	}
	line("from %s to %s", v.From, v.To)
	heads := map[ChangeGroup]string{ChangesTraffic: "changes traffic", StartsAttempt: "starts an attempt", ChangesAnalysis: "changes analysis",
		ChangesMetadata: "metadata", ChangesOther: "other"}
	for _, group := range changeGroups() {
		if !slices.ContainsFunc(v.Objects, func(o ObjectChange) bool { return o.Group == group }) {
			continue
		}
		b.WriteString("\n")
		line("%s", heads[group])
		for _, o := range v.Objects {
			if o.Group != group {
				continue
			}
			line("  %-8s %s  %s", o.Action, o.Object, o.Path)
			for _, f := range o.Fields {
				line("           %s: %s -> %s", f.Field, none(f.From), none(f.To))
			}
		}
	}
	for _, p := range v.Proxies {
		b.WriteString("\n")
		line("Envoy, %s", p.Proxy)
		for _, r := range p.Resources {
			line("  %-8s %s %s", r.Action, r.Type, r.Name)
		}
		for _, a := range p.Answers {
			line("  %s", a.Request)
			line("    was %s", a.From)
			line("    is  %s", a.To)
		}
	}
	return b.String()
}

func none(value string) string {
	if value == "" {
		return "(none)"
	}
	return value
}
