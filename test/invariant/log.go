package invariant

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// maxLine is how long a line of a log may be, in bytes.
const maxLine = 1 << 20

// line is an event as a log holds it.
type line struct {
	At   time.Duration   `json:"at"` // nanoseconds
	Kind string          `json:"kind"`
	Body json.RawMessage `json:"body"`
}

// Write puts events into a log: a line of JSON each, in order.
func Write(to io.Writer, events []Event) error {
	for i, e := range events {
		var kind string
		switch e.Body.(type) {
		case Stored:
			kind = "stored"
		case Endpoints:
			kind = "endpoints"
		case Served:
			kind = "served"
		case Answered:
			kind = "answered"
		case Noted:
			kind = "noted"
		default:
			return fmt.Errorf("event %d: %T is none", i+1, e.Body)
		}
		body, err := json.Marshal(e.Body)
		if err != nil {
			return fmt.Errorf("event %d: %w", i+1, err)
		}
		text, err := json.Marshal(line{At: e.At, Kind: kind, Body: body})
		if err != nil {
			return fmt.Errorf("event %d: %w", i+1, err)
		}
		if _, err := to.Write(append(text, '\n')); err != nil {
			return err
		}
	}
	return nil
}

// Read reads a log. A kind or field that it does not know is an error: nothing is judged that was not understood.
func Read(from io.Reader) ([]Event, error) {
	var out []Event
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var l line
		if err := strictly(lines.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("line %d: %w", len(out)+1, err)
		}
		body, err := l.body()
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", len(out)+1, err)
		}
		out = append(out, Event{At: l.At, Body: body})
	}
	return out, lines.Err()
}

func (l line) body() (any, error) {
	switch l.Kind {
	case "stored":
		return bodyOf[Stored](l.Body)
	case "endpoints":
		return bodyOf[Endpoints](l.Body)
	case "served":
		return bodyOf[Served](l.Body)
	case "answered":
		return bodyOf[Answered](l.Body)
	case "noted":
		return bodyOf[Noted](l.Body)
	}
	return nil, fmt.Errorf("%q is no kind of event", l.Kind)
}

func bodyOf[T any](text json.RawMessage) (out T, err error) {
	return out, strictly(text, &out)
}

// strictly reads one value and nothing else.
func strictly(text []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if _, err := decoder.Token(); err != io.EOF { //nolint:errorlint // it is never wrapped
		return errors.New("something follows the value")
	}
	return nil
}
