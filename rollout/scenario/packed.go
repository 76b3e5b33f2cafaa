package scenario

import (
	"bytes"
	"compress/lzw"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/sluice-dev/sluice/rollout"
)

// packOf is how many moments are packed together at most.
const packOf = 4

// packed are moments in a quarter of their space or less, a few in each piece.
type packed []piece

type piece struct {
	moments int
	text    []byte
}

// moments is how many there are.
func (p packed) moments() (n int) {
	for _, one := range p {
		n += one.moments
	}
	return n
}

// written is a moment as it is packed.
type written struct {
	Spec   *rollout.Spec
	State  *rollout.State
	Clocks *storedClocks
	Look   look
}

// pack puts all moments but the newest into a piece. What does not fit is forgotten.
func (t *Tape) pack() {
	last := len(t.list) - 1
	text, err := pressed(t.list[:last])
	if err != nil { // a value that has no JSON: what came before it cannot be told either
		*t = Tape{}
		return
	}
	t.packed = append(t.packed, piece{moments: last, text: text})
	t.list = slices.Clone(t.list[last:])
	for t.packed.moments() > tapeLength-packOf {
		t.Shorten()
	}
}

// Shorten forgets the oldest decisions that are packed.
func (t *Tape) Shorten() {
	if len(t.packed) == 0 {
		return
	}
	oldest, err := loosened(t.packed[0].text)
	if err != nil {
		*t = Tape{}
		return
	}
	for _, m := range oldest {
		if m.spec != nil {
			t.origin = m.spec
		}
		base := m.apply(*t.base)
		if next, _ := m.decide(*t.origin, base); m.Stored {
			base = kept(next)
		}
		t.base = new(base)
	}
	t.packed = slices.Delete(t.packed, 0, 1)
}

// Size is how many bytes the packed decisions take, which is what a tape has beyond a few kB.
func (t *Tape) Size() (n int) {
	for _, one := range t.packed {
		n += len(one.text)
	}
	return n
}

// Rests reports that no attempt is open after the newest decision.
func (t *Tape) Rests() bool { return t.after == nil || t.after.Phase.Rest() }

// all are the moments, oldest first.
func (t *Tape) all() ([]moment, error) {
	var out []moment
	for _, one := range t.packed {
		some, err := loosened(one.text)
		if err != nil {
			return nil, err
		}
		out = append(out, some...)
	}
	return append(out, t.list...), nil
}

// pressed packs moments.
func pressed(list []moment) ([]byte, error) {
	var out bytes.Buffer
	w := lzw.NewWriter(&out, lzw.LSB, 8) // with tables a tenth as large as those of other ways
	for _, m := range list {
		text, err := compact(written{Spec: m.spec, State: m.state, Clocks: m.clocks, Look: m.look})
		if err == nil {
			_, err = io.WriteString(w, text)
		}
		if err != nil {
			return nil, fmt.Errorf("packing the decision of %s: %w", m.Now, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("packing decisions: %w", err)
	}
	return bytes.Clone(out.Bytes()), nil
}

// loosened unpacks moments.
func loosened(text []byte) ([]moment, error) {
	decoder := json.NewDecoder(lzw.NewReader(bytes.NewReader(text), lzw.LSB, 8))
	var out []moment
	for decoder.More() {
		var m written
		if err := decoder.Decode(&m); err != nil {
			return nil, fmt.Errorf("unpacking a decision: %w", err)
		}
		out = append(out, moment{spec: m.Spec, state: m.State, clocks: m.Clocks, look: m.Look})
	}
	return out, nil
}
