package controller

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/gitsync"
)

// invalidReason says why content was not applied: because the account may not, because the operator's lists do not allow it,
// or because it is wrong.
func invalidReason(s *v1alpha1.SourceStatus) string {
	reason := ""
	for _, f := range s.Problems {
		one := v1alpha1.ReasonContentInvalid
		switch {
		case f.Severity != string(problem.Error):
			continue
		case f.Code == "S406":
			one = v1alpha1.ReasonForbidden
		case f.Code == "S401", f.Code == "S402":
			one = v1alpha1.ReasonNotAllowed
		}
		if reason != "" && reason != one {
			return v1alpha1.ReasonContentInvalid
		}
		reason = one
	}
	return cmp.Or(reason, v1alpha1.ReasonContentInvalid)
}

// invalid is the sentence about content that was not applied.
func invalid(s *v1alpha1.SourceStatus) string {
	text := fmt.Sprintf("%s, %s held", count(int(s.ProblemCount), "problem"), count(refusedUnits(s), "unit"))
	if len(s.Problems) > 0 {
		text += "; first: " + line(s.Problems[0])
	}
	return text
}

// line says a problem in one line.
func line(f v1alpha1.ProblemStatus) string {
	place := f.Path
	if f.Line > 0 {
		place = fmt.Sprintf("%s:%d:%d", f.Path, f.Line, f.Column)
	}
	return strings.TrimSpace(strings.Join(slices.DeleteFunc([]string{place, f.Code, f.Message}, func(t string) bool { return t == "" }), " "))
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func short(c gitsync.Commit) string { return fmt.Sprintf("%s@%.7s", c.Ref, c.ID) }

// waitingUnits names the Rollouts whose other objects wait until the version before has no traffic, in units without codes:
// nothing is wrong with them. Where limit leaves no room for all of them none is named.
func waitingUnits(waiting []gitsync.ID, limit int) []v1alpha1.HeldUnit {
	var out []v1alpha1.HeldUnit
	for some := range slices.Chunk(waiting, maxCodes) {
		unit := v1alpha1.HeldUnit{}
		for _, id := range some {
			unit.Rollouts = append(unit.Rollouts, id.Ref())
		}
		out = append(out, unit)
	}
	if len(out) > limit {
		return nil
	}
	return out
}

// refusedUnits counts those that are held because of Problems.
func refusedUnits(s *v1alpha1.SourceStatus) (n int) {
	for _, u := range s.Held {
		if len(u.Codes) > 0 {
			n++
		}
	}
	return n
}

// heldUnits gives what the plan and the server have held, for people.
func heldUnits(r *result) []v1alpha1.HeldUnit {
	codes := map[int][]string{}
	for _, refusal := range r.outcome.Refused {
		codes[refusal.Unit] = append(codes[refusal.Unit], refusal.Problem.Code)
	}
	var out []v1alpha1.HeldUnit
	add := func(u gitsync.Unit, codes []string) {
		slices.Sort(codes)
		codes = slices.Compact(codes)
		held := v1alpha1.HeldUnit{Codes: codes[:min(len(codes), maxCodes)]}
		for _, id := range u.Rollouts {
			held.Rollouts = append(held.Rollouts, id.Name)
		}
		out = append(out, held)
	}
	for _, h := range r.set.Held {
		add(h.Unit, slices.Clone(h.Codes))
	}
	for i, u := range r.set.Units {
		if len(codes[i]) > 0 {
			add(u, codes[i])
		}
	}
	return out
}
