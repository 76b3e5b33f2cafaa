package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// heldFor is how much of a recording tells which metrics it holds, in seconds.
const heldFor = 60

// held keeps the first lines where the Config has metrics that nobody listed, until it is known which of them there are
// lines of: a rollout is judged without those that nobody counts, and so is a recording.
type held struct {
	o     *judgeOptions
	open  bool // what is judged is settled
	lines []heldLine
	seen  map[string]bool
}

type heldLine struct {
	number int
	text   []byte
}

func newHeld(o *judgeOptions) *held {
	optional := slices.ContainsFunc(o.cfg.Criteria, func(c analysis.Criterion) bool { return c.Optional })
	return &held{o: o, open: !optional, seen: map[string]bool{}}
}

// add takes a line, and reports whether lines can be judged now.
func (h *held) add(number int, text []byte) bool {
	h.lines = append(h.lines, heldLine{number, bytes.Clone(text)})
	if h.open {
		return true
	}
	var l struct {
		T      float64 `json:"t"`
		Metric string  `json:"metric"`
	}
	if json.Unmarshal(text, &l) != nil { // what is wrong with it is said where it is judged
		l.T = h.o.from + heldFor
	}
	h.seen[l.Metric] = true
	if l.T >= h.o.from+heldFor {
		h.settle()
	}
	return h.open
}

// settle leaves out what there is no line of. Attempts stand in for errors then, as in a rollout.
func (h *held) settle() {
	if h.open {
		return
	}
	h.open = true
	absent := func(c analysis.Criterion) bool { return c.Optional && !h.seen[c.Name] }
	stands := false
	for _, c := range h.o.cfg.Criteria {
		if absent(c) {
			h.o.without = append(h.o.without, c.Name)
			stands = stands || c.Name == v1alpha1.MetricErrors && c.Required
		}
	}
	slices.Sort(h.o.without)
	h.o.cfg.Criteria = slices.DeleteFunc(h.o.cfg.Criteria, absent)
	for i := range h.o.cfg.Criteria {
		if c := &h.o.cfg.Criteria[i]; c.Optional && c.Name == v1alpha1.MetricAttempts {
			c.Required = c.Required || stands
		}
	}
}

// play judges what is kept, and reports whether the end came early.
func (h *held) play(j *judgement, w *bufio.Writer) (ended bool, err error) {
	lines := h.lines
	h.lines = nil
	for _, l := range lines {
		if err := j.read(l.text); err != nil {
			return true, &Exit{Code: ExitUsage, Err: fmt.Errorf("line %d: %w", l.number, err)}
		}
		if h.o.trace {
			if err := w.Flush(); err != nil {
				return true, fmt.Errorf("writing the trace: %w", err)
			}
		}
		if h.o.stop && (j.rollbackAt != nil || j.promotableAt != nil) {
			return true, nil
		}
	}
	return false, nil
}
