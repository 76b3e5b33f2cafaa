package gitsync

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/api/problem"
)

// Drift is an object that was not as we had left it, and was brought back.
type Drift struct {
	ID       ID
	Managers []string // who may have changed it; empty for a deleted object, and where nobody can be told
	Fields   []string // paths of what differed, at most MaxDriftFields; empty for a deleted object
}

// MaxDriftFields bounds the paths that a Drift names.
const MaxDriftFields = 8

const (
	contestedAfter  = 3 // repairs within contestedWithin
	contestedWithin = 10 * time.Minute
	contestedEvery  = 5 * time.Minute
)

// Repairs remembers when one object was repaired, and how it had drifted last. Its zero value has no repair.
type Repairs struct {
	times     []time.Time // within contestedWithin of the last
	contested bool        // since then nobody left it alone for long enough
	last      Drift
}

// Add notes a repair.
func (r Repairs) Add(at time.Time, d Drift) Repairs {
	times := slices.DeleteFunc(slices.Clone(r.times), func(t time.Time) bool { return at.Sub(t) >= contestedWithin })
	times = append(times, at)
	contested := r.Contested(at) || len(times) >= contestedAfter
	return Repairs{times: times[max(0, len(times)-contestedAfter):], contested: contested, last: d}
}

// Contested reports whether somebody else keeps changing the object.
func (r Repairs) Contested(now time.Time) bool { return r.contested && now.Before(r.Quiet()) }

// Quiet is when the object counts as left alone, if it needs no repair until then.
func (r Repairs) Quiet() time.Time {
	if len(r.times) == 0 {
		return time.Time{}
	}
	return r.times[len(r.times)-1].Add(contestedWithin)
}

// Next is when the object may be repaired again: at once, unless it is contested.
func (r Repairs) Next(now time.Time) time.Time {
	if !r.Contested(now) {
		return now
	}
	return r.times[len(r.times)-1].Add(contestedEvery)
}

// Problem says who contests the object. It is a warning: what Git wants is applied, only not all the time.
func (r Repairs) Problem() problem.Problem {
	p := problem.Problem{Code: "S411", Severity: problem.Warning, Object: r.last.ID.Ref(),
		Hint: "stop the other writer, or take these fields out of Git"}
	who := "somebody"
	if len(r.last.Managers) > 0 {
		who = strings.Join(r.last.Managers, ", ")
	}
	if len(r.last.Fields) == 0 {
		p.Message = fmt.Sprintf("%s keeps deleting it; it is created again every %s now", who, short(contestedEvery))
		return p
	}
	p.Field = r.last.Fields[0]
	p.Message = fmt.Sprintf("%s keeps changing %s; it is restored every %s now", who, strings.Join(r.last.Fields, ", "), short(contestedEvery))
	return p
}

func short(d time.Duration) string { return strings.TrimSuffix(d.String(), "0s") }

// Repair gives the Set that restores items as they were last applied, each a unit of its own. What another living
// Source or tool has taken over by now is left to the next Plan.
func Repair(owner Owner, items []Item, have Inventory, live map[ID]Live, sources []Owner) Set {
	set := Set{Owner: owner, Union: have}
	items = slices.SortedFunc(slices.Values(items), func(a, b Item) int { return CompareID(a.Object.ID, b.Object.ID) })
	in := Input{Owner: owner, Live: live, Sources: sources}
	for _, it := range items {
		in.Want = []Object{it.Object}
		if len(ownership(in)) > 0 {
			continue
		}
		it.Unit = len(set.Units)
		set.Units = append(set.Units, Unit{Objects: []ID{it.Object.ID}})
		set.Items = append(set.Items, it)
	}
	slices.SortStableFunc(set.Items, func(a, b Item) int { return int(a.Stage) - int(b.Stage) })
	return set
}

// Differences gives the paths, such as "spec.ports[0].port", at which two objects differ in what Git could say, sorted, at
// most limit. Values are never part of a path.
func Differences(before, after map[string]any, limit int) []string {
	var out []string
	differences("", serverless(before), serverless(after), &out)
	return out[:min(limit, len(out))]
}

// serverless drops what only the server writes.
func serverless(content map[string]any) map[string]any {
	out := maps.Clone(content)
	delete(out, "status")
	out["metadata"] = pick(mapping(content, "metadata"), "labels", "annotations")
	return out
}

func differences(path string, a, b any, out *[]string) {
	switch x := a.(type) {
	case map[string]any:
		if y, ok := b.(map[string]any); ok {
			keys := maps.Clone(x)
			maps.Copy(keys, y)
			for _, k := range slices.Sorted(maps.Keys(keys)) {
				differences(field(path, k), x[k], y[k], out)
			}
			return
		}
	case []any:
		if y, ok := b.([]any); ok && len(x) == len(y) {
			for i := range x {
				differences(fmt.Sprintf("%s[%d]", path, i), x[i], y[i], out)
			}
			return
		}
	}
	if !equalJSON(a, b) {
		*out = append(*out, path)
	}
}

func field(path, key string) string {
	switch {
	case strings.ContainsAny(key, "./"):
		return path + "[" + key + "]"
	case path == "":
		return key
	}
	return path + "." + key
}
