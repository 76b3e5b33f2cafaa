package controller

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/notify"
)

// Sizes of a status as JSON, in bytes.
const (
	ampleStatus = 60 << 10 // above it what is needed least is left out
	mostBesides = 57 << 10 // all but evidence, notes and receipts, at their bounds

	mostOfNote    = 680 // an entry of the outbox at its bounds
	mostOfReceipt = 340
)

// What is left at least.
const (
	leanHistory = 3
	leanNotes   = 32
	leanMessage = 64 // of a condition, in bytes
)

// fit leaves out of a status what is needed least, one kind after the other, until it is small enough to be stored with
// room to spare. Of the engine's state only history goes, and, where all else was not enough, the evidence: after a
// restart the judge then begins afresh, which promotes no sooner.
func fit(s *v1alpha1.RolloutStatus, criteria []analysis.Criterion) error {
	if surelyAmple(s) {
		return nil
	}
	for _, leave := range []func(){
		func() { leaveErrors(s) },
		func() { s.History = s.History[:min(leanHistory, len(s.History))] },
		func() { leaveDryRows(s, criteria) },
		func() { s.Notes = notify.Merge(s.Notes, leanNotes, v1alpha1.SeverityInfo) },
		func() { s.Receipts = nil }, // the next notes begin threads of their own
		func() { leaveTexts(s) },
		func() {
			if s.Analysis != nil {
				s.Analysis.Evidence = ""
			}
		},
	} {
		text, err := json.Marshal(s)
		if err != nil {
			return fmt.Errorf("measuring the status: %w", err)
		}
		if len(text) <= ampleStatus {
			return nil
		}
		leave()
	}
	return nil
}

// surelyAmple reports that a status is small without writing it out.
func surelyAmple(s *v1alpha1.RolloutStatus) bool {
	size := mostBesides + mostOfNote*len(s.Notes) + mostOfReceipt*len(s.Receipts)
	if s.Analysis != nil {
		size += len(s.Analysis.Evidence) + strings.Count(s.Analysis.Evidence, `"`)
	}
	return size <= ampleStatus
}

func leaveErrors(s *v1alpha1.RolloutStatus) {
	for i := range s.Notes {
		s.Notes[i].LastError = ""
	}
}

// leaveDryRows leaves out the numbers of metrics that decide nothing.
func leaveDryRows(s *v1alpha1.RolloutStatus, criteria []analysis.Criterion) {
	if s.Analysis == nil {
		return
	}
	s.Analysis.Metrics = slices.DeleteFunc(s.Analysis.Metrics, func(m v1alpha1.MetricStatus) bool {
		return slices.ContainsFunc(criteria, func(c analysis.Criterion) bool { return c.Name == m.Name && c.DryRun })
	})
}

// leaveTexts leaves out sentences that stand elsewhere too: in events, or in the numbers beside them.
func leaveTexts(s *v1alpha1.RolloutStatus) {
	for i := range s.Notes {
		s.Notes[i].Text, s.Notes[i].AckedAt = "", nil
	}
	for i := range s.History {
		s.History[i].Text = ""
	}
	for i := range s.Conditions {
		s.Conditions[i].Message = problem.Clean(s.Conditions[i].Message, leanMessage)
	}
}
