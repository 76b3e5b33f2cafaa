package app

import (
	"fmt"
	"strconv"
)

// Switch is on until somebody turns it off: its zero value is on. It is a value for flags, too.
type Switch struct{ off bool }

// On reports that nobody turned it off.
func (s *Switch) On() bool { return !s.off }

// Set reads true or false.
func (s *Switch) Set(text string) error {
	on, err := strconv.ParseBool(text)
	if err != nil {
		return fmt.Errorf("%q is neither true nor false", text)
	}
	s.off = !on
	return nil
}

// String is what Set reads.
func (s *Switch) String() string { return strconv.FormatBool(!s.off) }

// Type is how help names the value.
func (s *Switch) Type() string { return "bool" }
