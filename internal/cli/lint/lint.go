// Package lint says what is wrong with the manifests of files: what the compiler finds in the mesh that they make up,
// whether each object has the form of its kind, and what is suppressed by a comment.
//
// It decides which proxies a mesh implies, which findings count and how they are written; it opens no file. The verb
// `sluice lint` hands it what it has read:
//
//	report, err := lint.Run(lint.Input{Units: units, Files: files}, lint.Options{})
//	err = lint.WriteText(out, report, false)
package lint

import (
	"cmp"
	"slices"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/view"
	"github.com/sluice-dev/sluice/xds/manifest"
)

// File is the text of one file, by the name that findings show.
type File struct {
	Name    string
	Content []byte
}

// Unit is what stands together in a cluster: one mesh, and what was wrong before its objects could be read.
type Unit struct {
	Mesh  *manifest.Mesh
	Found []problem.Problem
}

// Input is what is looked at. A finding that several units share counts once.
type Input struct {
	Units []Unit
	Files []File // all that were read: comments in them suppress
}

// Options say how to look. The zero value takes files as the whole mesh.
type Options struct {
	Partial       bool               // hosts that the files do not hold exist
	Rate          float64            // requests a second that each Rollout's host is expected to get; 0: what its annotation says, if any
	Rates         map[string]float64 // the same as measured, by the reference of the Rollout; where nothing is said for all
	GRPC          bool               // gRPC clients without a proxy are clients, too
	DomainSuffix  string             // empty: cluster.local
	RootNamespace string             // empty: istio-system
}

// Rule finds what is wrong with one mesh. Its Problems need no place: their object and field have one.
type Rule func(*manifest.Mesh, Options) []problem.Problem

// rules are all that is asked.
func (o Options) rules() ([]Rule, error) {
	forms, err := newForms()
	if err != nil {
		return nil, err
	}
	return []Rule{forms.check, compiled, detectable}, nil
}

// Run asks every rule about every unit. An error is one of this program, not of the files.
func Run(in Input, o Options) (view.LintReport, error) {
	rules, err := o.rules()
	if err != nil {
		return view.LintReport{}, err
	}
	var found []problem.Problem
	objects := map[[2]string]bool{}
	for _, u := range in.Units {
		var here []problem.Problem
		for _, rule := range rules {
			here = append(here, rule(u.Mesh, o)...)
		}
		found = append(found, u.Found...)
		found = append(found, relevant(u.Mesh, u.Mesh.Placed(here))...)
		for _, it := range u.Mesh.Items() {
			objects[[2]string{it.Path, it.Ref}] = true
		}
	}
	found, suppressed := suppress(in.Files, once(found))
	slices.SortStableFunc(found, byPlace)
	return view.Lint(len(in.Files), len(objects), found, suppressed), nil
}

// once drops what was found before.
func once(found []problem.Problem) []problem.Problem {
	seen := make(map[problem.Problem]bool, len(found))
	return slices.DeleteFunc(found, func(p problem.Problem) bool {
		p.Hint = ""
		twice := seen[p]
		seen[p] = true
		return twice
	})
}

// byPlace orders as a reader goes through the files. What has no place comes last.
func byPlace(a, b problem.Problem) int {
	return cmp.Or(
		placeless(a)-placeless(b), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
		cmp.Compare(a.Code, b.Code), cmp.Compare(a.Object, b.Object), cmp.Compare(a.Field, b.Field), cmp.Compare(a.Message, b.Message))
}

func placeless(p problem.Problem) int {
	if p.Path == "" {
		return 1
	}
	return 0
}

// Reaches reports whether some Problem is as grave as the severity, or graver.
func Reaches(r view.LintReport, s problem.Severity) bool {
	n := r.Counts.Errors
	if s == problem.Warning || s == problem.Info {
		n += r.Counts.Warnings
	}
	if s == problem.Info {
		n += r.Counts.Infos
	}
	return n > 0
}
