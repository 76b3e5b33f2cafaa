package decode

import (
	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/gitsync"
)

// Form gives what is wrong with the form of one object: fields that its Go type does not have, a value of another type, a
// kind or version that its group does not have. Who may apply it does not matter, and groups that nobody here knows are
// taken as they are.
func (d *Decoder) Form(o gitsync.Object) []problem.Problem {
	c := &check{Decoder: &Decoder{scheme: d.scheme}}
	c.types(o)
	return c.problems
}
