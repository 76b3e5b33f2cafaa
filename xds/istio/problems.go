package istio

import "github.com/sluice-dev/sluice/api/problem"

// of makes a Problem one of the object's.
func (m Meta) of(p problem.Problem) problem.Problem {
	p.Object, p.Message = m.ref(), problem.Clean(p.Message, problem.MaxMessage)
	return p
}

// findings collects Problems, each once.
type findings struct {
	seen map[problem.Problem]bool
	list []problem.Problem
}

func (f *findings) add(ps ...problem.Problem) {
	if f.seen == nil {
		f.seen = map[problem.Problem]bool{}
	}
	for _, p := range ps {
		if !f.seen[p] {
			f.seen[p] = true
			f.list = append(f.list, p)
		}
	}
}

func (f *findings) fail(m Meta, code, field, message, hint string) {
	f.add(m.of(problem.Problem{Code: code, Severity: problem.Error, Field: field, Message: message, Hint: hint}))
}

func (f *findings) warn(m Meta, code, field, message, hint string) {
	f.add(m.of(problem.Problem{Code: code, Severity: problem.Warning, Field: field, Message: message, Hint: hint}))
}

func (f *findings) info(m Meta, code, field, message, hint string) {
	f.add(m.of(problem.Problem{Code: code, Severity: problem.Info, Field: field, Message: message, Hint: hint}))
}

// policy reports a field that is left out of the translation while the rest stays.
func (f *findings) policy(m Meta, field, what string) {
	f.warn(m, "S080", field, what+" is not supported and has no effect", "remove it, or do without it behind this proxy")
}

// selection reports a field that selects traffic and is not supported, so that the part it stands in is left out.
func (f *findings) selection(m Meta, field, what string) {
	f.fail(m, "S081", field, what+" is not supported; this part is left out", "write it in another way")
}

// sorted gives the Problems in the order in which they leave the process.
func (f *findings) sorted() []problem.Problem {
	problem.Sort(f.list)
	return f.list
}
