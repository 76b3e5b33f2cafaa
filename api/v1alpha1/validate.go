package v1alpha1

import (
	"fmt"
	"regexp"
	"time"

	"github.com/sluice-dev/sluice/api/problem"
)

// The codes of the Problems that Validate finds.
const (
	CodeBound        = "S504" // a value out of its bounds or not of its form
	CodeWeightsFall  = "S601" // weights fall from one step to the next
	CodeLastStep     = "S602" // the last step is below 100: a step of 100 is added
	CodeUnsigned     = "S804" // a webhook without signature
	CodePlainHTTP    = "S801" // a repository over plain http
	CodePruneUnbound = "S806" // the guard against pruning too much is off
)

// findings collects the Problems of one object.
type findings struct {
	object string
	list   []problem.Problem
}

func (f *findings) add(code string, severity problem.Severity, field, message, hint string) {
	f.list = append(f.list, problem.Problem{
		Code: code, Severity: severity, Object: f.object, Field: field,
		Message: problem.Clean(message, problem.MaxMessage), Hint: hint,
	})
}

// bound reports a value that is out of its bounds or not of its form.
func (f *findings) bound(field, hint, format string, args ...any) {
	f.add(CodeBound, problem.Error, field, fmt.Sprintf(format, args...), hint)
}

func (f *findings) lasts(field string, d *Duration, low, high time.Duration) {
	if d != nil && (d.Duration < low || d.Duration > high) {
		f.bound(field, fmt.Sprintf("set %v to %v", Duration{low}, Duration{high}), "%v is out of bounds", d)
	}
}

func (f *findings) within(field string, n, low, high int32) {
	if n < low || n > high {
		f.bound(field, fmt.Sprintf("set %d to %d", low, high), "%d is out of bounds", n)
	}
}

func (f *findings) percent(field string, p Percent) {
	if p == "" {
		return
	}
	if _, err := p.Fraction(); err != nil {
		f.bound(field, "", "%v", err)
	}
}

func (f *findings) text(field, s string, shortest, longest int) {
	if len(s) < shortest || len(s) > longest {
		f.bound(field, fmt.Sprintf("set %d to %d bytes", shortest, longest), "%d bytes are out of bounds", len(s))
	}
}

func (f *findings) name(field, s string, form *regexp.Regexp) {
	if !form.MatchString(s) {
		f.bound(field, "use "+form.String(), "%q is not a name", s)
	}
}

func one[T comparable](f *findings, field string, v T, of ...T) {
	for _, o := range of {
		if v == o {
			return
		}
	}
	f.bound(field, fmt.Sprintf("use one of %v", of), "%q is unknown", fmt.Sprint(v))
}

func label() *regexp.Regexp { return regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`) }
func host() *regexp.Regexp {
	return regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
}
func subset() *regexp.Regexp { return regexp.MustCompile(`^[a-zA-Z0-9]([-_.a-zA-Z0-9]*[a-zA-Z0-9])?$`) }
func metric() *regexp.Regexp { return regexp.MustCompile(`^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$`) }
func variable() *regexp.Regexp {
	return regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
}
