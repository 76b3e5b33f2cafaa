package view

import "github.com/sluice-dev/sluice/api/problem"

// LintReport says what is wrong with files.
type LintReport struct {
	APIVersion string              `json:"apiVersion"`
	Kind       string              `json:"kind"`
	Files      int                 `json:"files"`      // that were read
	Objects    int                 `json:"objects"`    // in them
	Counts     LintCounts          `json:"counts"`     // of Problems
	Problems   []problem.Problem   `json:"problems"`   // by file, line and code
	Suppressed []SuppressedProblem `json:"suppressed"` // by a comment beside them
}

// LintCounts are the Problems of a LintReport by severity.
type LintCounts struct {
	Errors   int `json:"errors"`
	Warnings int `json:"warnings"`
	Infos    int `json:"infos"`
}

// SuppressedProblem is a Problem that somebody has accepted, and why.
type SuppressedProblem struct {
	problem.Problem
	Reason string `json:"reason"`
}

// Lint makes the report of Problems in their order.
func Lint(files, objects int, found []problem.Problem, suppressed []SuppressedProblem) LintReport {
	r := LintReport{APIVersion: APIVersion, Kind: KindLintReport, Files: files, Objects: objects, Problems: found, Suppressed: suppressed}
	if r.Problems == nil {
		r.Problems = []problem.Problem{}
	}
	if r.Suppressed == nil {
		r.Suppressed = []SuppressedProblem{}
	}
	for _, p := range found {
		switch p.Severity {
		case problem.Error:
			r.Counts.Errors++
		case problem.Warning:
			r.Counts.Warnings++
		case problem.Info:
			r.Counts.Infos++
		}
	}
	return r
}

// CodeList explains codes.
type CodeList struct {
	APIVersion string          `json:"apiVersion"`
	Kind       string          `json:"kind"`
	Codes      []problem.Entry `json:"codes"`
}

// Codes makes the document of entries.
func Codes(entries []problem.Entry) CodeList {
	return CodeList{APIVersion: APIVersion, Kind: KindCodeList, Codes: entries}
}
