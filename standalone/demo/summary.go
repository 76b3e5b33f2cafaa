package demo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// Summary is the document that --summary writes. Keys are only added; what is unknown is null. Times are in milliseconds.
type Summary struct {
	Good GoodSummary `json:"good"`
	Bad  BadSummary  `json:"bad"`

	ErrorsSeenByStableUsers int         `json:"errorsSeenByStableUsers"`
	AnswersFromNoVersion    int         `json:"answersFromNoVersion"`
	Requests                int         `json:"requests"`
	Shed                    int64       `json:"shed"`
	StillMs                 int64       `json:"stillMs"` // for how long at most the machine let the demo wait for its turn
	Notes                   NoteSummary `json:"notes"`
	Failed                  []string    `json:"failed"`
	Kubectl                 string      `json:"kubectl"`
}

// GoodSummary is the good release.
type GoodSummary struct {
	Outcome              string        `json:"outcome"`
	PushToFirstWeightMs  *int64        `json:"pushToFirstWeightMs"`
	PushToFirstRequestMs *int64        `json:"pushToFirstRequestMs"`
	Steps                []StepSummary `json:"steps"`
	Requests             int           `json:"requests"`
}

// BadSummary is the bad release.
type BadSummary struct {
	Outcome              string        `json:"outcome"`
	Reason               string        `json:"reason"`
	PushToFirstWeightMs  *int64        `json:"pushToFirstWeightMs"`
	Steps                []StepSummary `json:"steps"`
	DetectMs             *int64        `json:"detectMs"`
	PushToZeroMs         *int64        `json:"pushToZeroMs"`
	TimeToZeroAckedMs    *int64        `json:"timeToZeroAckedMs"` // from the decision
	DecidedToZeroMs      *int64        `json:"decidedToZeroMs"`   // the same
	DecidedToLastRequest *int64        `json:"decidedToLastRequestMs"`
	BadRequestsServed    int           `json:"badRequestsServed"`
	Requests             int           `json:"requests"`
}

// StepSummary is one weight that was held.
type StepSummary struct {
	Weight        int     `json:"weight"`
	ObservedShare float64 `json:"observedShare"` // 0 to 1
	Requests      int     `json:"requests"`
	TookMs        int64   `json:"tookMs"`
}

// NoteSummary counts notes.
type NoteSummary struct {
	Sent      int `json:"sent"`
	Verified  int `json:"verified"`
	Duplicate int `json:"duplicate"`
}

// Summarize puts the numbers into the document. kubectl is the Rollout's line, failed what Check says.
func Summarize(n Numbers, failed []string, kubectl string) Summary {
	s := Summary{
		Good: GoodSummary{Outcome: n.Good.Outcome, PushToFirstWeightMs: millis(n.Good.FirstAcked),
			PushToFirstRequestMs: millis(n.Good.FirstRequest), Steps: stepSummaries(n.Good.Steps), Requests: n.Good.Requests},
		Bad: BadSummary{Outcome: n.Bad.Outcome, Reason: n.Bad.Reason, PushToFirstWeightMs: millis(n.Bad.FirstAcked),
			Steps: stepSummaries(n.Bad.Steps), BadRequestsServed: n.Bad.Failed, Requests: n.Bad.Requests},
		ErrorsSeenByStableUsers: n.Good.StableErrors + n.Bad.StableErrors,
		AnswersFromNoVersion:    n.NoVersion,
		Requests:                n.Due,
		Shed:                    n.Shed,
		StillMs:                 n.Still.Milliseconds(),
		Notes:                   NoteSummary{Sent: n.Notes.Sent, Verified: n.Notes.Verified, Duplicate: n.Notes.Duplicate},
		Failed:                  append([]string{}, failed...),
		Kubectl:                 kubectl,
	}
	if f := n.Bad.Failure; f != nil {
		s.Bad.DetectMs, s.Bad.PushToZeroMs = millis(f.Detect), millis(f.PushToZero)
		s.Bad.TimeToZeroAckedMs, s.Bad.DecidedToZeroMs = millis(f.ZeroAcked), millis(f.ZeroAcked)
		s.Bad.DecidedToLastRequest = millis(f.LastRequest)
	}
	return s
}

func stepSummaries(steps []StepNumbers) []StepSummary {
	out := []StepSummary{}
	for _, s := range steps {
		out = append(out, StepSummary{Weight: s.Weight, ObservedShare: s.Share(), Requests: s.Requests, TookMs: s.Took.Milliseconds()})
	}
	return out
}

func millis(d *time.Duration) *int64 {
	if d == nil {
		return nil
	}
	ms := d.Milliseconds()
	return &ms
}

// Write writes the document to a file.
func (s Summary) Write(path string) error {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(s); err != nil {
		return err
	}
	if err := os.WriteFile(path, text.Bytes(), 0o644); err != nil {
		return fmt.Errorf("writing the summary: %w", err)
	}
	return nil
}
