package view

import (
	"fmt"
	"strings"

	"github.com/sluice-dev/sluice/api/problem"
)

// DoctorReport says what of an installation works.
type DoctorReport struct {
	APIVersion string        `json:"apiVersion"`
	Kind       string        `json:"kind"`
	Pre        bool          `json:"pre"` // only what can be known before installing was looked at
	Counts     DoctorCounts  `json:"counts"`
	Checks     []DoctorCheck `json:"checks"`
}

// DoctorCounts are the checks of a DoctorReport by result.
type DoctorCounts struct {
	OK   int `json:"ok"`
	Warn int `json:"warn"`
	Fail int `json:"fail"`
}

// DoctorResult is how a check ended.
type DoctorResult string

// The results. What could not be looked at is warn: it is not known to be good.
const (
	DoctorOK   DoctorResult = "ok"
	DoctorWarn DoctorResult = "warn"
	DoctorFail DoctorResult = "fail"
)

// DoctorCheck is one thing that was looked at.
type DoctorCheck struct {
	Area    string       `json:"area"` // client, cluster, controller, proxies, metrics, git, notes or standalone
	Name    string       `json:"name"`
	Result  DoctorResult `json:"result"`
	Message string       `json:"message"`
	Next    string       `json:"next,omitempty"` // command; each fail has one
}

// Add puts a check behind the others and counts it.
func (r *DoctorReport) Add(c DoctorCheck) {
	c.Message, c.Next = problem.Clean(c.Message, problem.MaxMessage), problem.Clean(c.Next, problem.MaxMessage)
	r.Checks = append(r.Checks, c)
	switch c.Result {
	case DoctorOK:
		r.Counts.OK++
	case DoctorWarn:
		r.Counts.Warn++
	case DoctorFail:
		r.Counts.Fail++
	}
}

// Text is the report for people. mark gives the word of a result, coloured where that is wanted; nil: the word itself.
func (r DoctorReport) Text(mark func(DoctorResult) string) string {
	var b strings.Builder
	area := 0
	name := 0
	for _, c := range r.Checks {
		area, name = max(area, len(c.Area)), max(name, len(c.Name))
	}
	for _, c := range r.Checks {
		word := fmt.Sprintf("%-4s", c.Result)
		if mark != nil {
			word = mark(c.Result)
		}
		fmt.Fprintf(&b, "%s  %-*s  %-*s  %s\n", word, area, c.Area, name, c.Name, c.Message)
		if c.Next != "" {
			fmt.Fprintf(&b, "      %-*s  %-*s  next: %s\n", area, "", name, "", c.Next)
		}
	}
	fmt.Fprintf(&b, "%d ok, %d warn, %d fail\n", r.Counts.OK, r.Counts.Warn, r.Counts.Fail)
	return b.String()
}
