package prom

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
)

// scan reads JSON from left to right, without copies where there is nothing to unescape: an answer has hundreds of
// thousands of samples. It takes what encoding/json takes, no more; a key that stands twice where it is read is refused.
type scan struct {
	text  []byte
	at    int
	depth int
}

// deepest is how far values may be nested.
const deepest = 200

var errCut = errors.New("it ends too soon")

func (s *scan) wrong(want string) error {
	if s.at >= len(s.text) {
		return errCut
	}
	return fmt.Errorf("want %s at byte %d, got %q", want, s.at, s.text[s.at])
}

// blank skips white space and gives the byte behind it; 0: the end.
func (s *scan) blank() byte {
	for s.at < len(s.text) {
		switch c := s.text[s.at]; c {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return c
		}
	}
	return 0
}

// take goes over one byte, white space before it.
func (s *scan) take(c byte) error {
	if s.blank() != c || s.at >= len(s.text) {
		return s.wrong(string(c))
	}
	s.at++
	return nil
}

// more goes to the next element of an object or an array that ends with end; false: that was the end.
func (s *scan) more(first *bool, end byte) (bool, error) {
	c := s.blank()
	if c == end {
		s.at++
		s.depth--
		return false, nil
	}
	if *first {
		*first = false
		return true, nil
	}
	if c != ',' {
		return false, s.wrong("a comma")
	}
	s.at++
	return true, nil
}

// open goes into an object or an array.
func (s *scan) open(c byte) error {
	if s.depth++; s.depth > deepest {
		return errors.New("it is nested too deep")
	}
	return s.take(c)
}

// object calls field for each key; field has to go over the value.
func (s *scan) object(field func(key []byte) error) error {
	if err := s.open('{'); err != nil {
		return err
	}
	for first := true; ; {
		more, err := s.more(&first, '}')
		if err != nil || !more {
			return err
		}
		key, err := s.str()
		if err == nil {
			err = s.take(':')
		}
		if err == nil {
			err = field(key)
		}
		if err != nil {
			return err
		}
	}
}

// array calls element before each element; it has to go over it.
func (s *scan) array(element func() error) error {
	if err := s.open('['); err != nil {
		return err
	}
	for first := true; ; {
		more, err := s.more(&first, ']')
		if err != nil || !more {
			return err
		}
		if err := element(); err != nil {
			return err
		}
	}
}

// str reads a string. What it gives is part of the text where nothing is escaped.
func (s *scan) str() ([]byte, error) {
	if err := s.take('"'); err != nil {
		return nil, err
	}
	start, plain := s.at, true
	for s.at < len(s.text) {
		switch c := s.text[s.at]; {
		case c == '"':
			raw := s.text[start:s.at]
			s.at++
			if plain {
				return raw, nil
			}
			return unescape(raw)
		case c == '\\':
			plain = false
			s.at += 2
		case c < ' ':
			return nil, fmt.Errorf("a control character at byte %d", s.at)
		case c >= utf8.RuneSelf:
			plain = false
			s.at++
		default:
			s.at++
		}
	}
	return nil, errCut
}

// unescape reads the inside of a string.
func unescape(raw []byte) ([]byte, error) {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); {
		c := raw[i]
		switch {
		case c == '\\' && i+1 < len(raw) && raw[i+1] == 'u':
			r, size, err := escaped(raw[i:])
			if err != nil {
				return nil, err
			}
			out = utf8.AppendRune(out, r)
			i += size
		case c == '\\':
			if i+1 >= len(raw) {
				return nil, errCut
			}
			plain, known := simpleEscape(raw[i+1])
			if !known {
				return nil, fmt.Errorf("an escape \\%c", raw[i+1])
			}
			out = append(out, plain)
			i += 2
		case c >= utf8.RuneSelf:
			r, size := utf8.DecodeRune(raw[i:])
			out = utf8.AppendRune(out, r) // what is no UTF-8 becomes U+FFFD
			i += size
		default:
			out = append(out, c)
			i++
		}
	}
	return out, nil
}

func simpleEscape(c byte) (byte, bool) {
	switch c {
	case '"', '\\', '/':
		return c, true
	case 'b':
		return '\b', true
	case 'f':
		return '\f', true
	case 'n':
		return '\n', true
	case 'r':
		return '\r', true
	case 't':
		return '\t', true
	}
	return 0, false
}

// escaped reads \uXXXX, and the second half of a pair.
func escaped(raw []byte) (r rune, size int, err error) {
	high, ok := unit(raw)
	if !ok {
		return 0, 0, errors.New("an escape that is not \\u and four digits")
	}
	if low, ok := unit(raw[6:]); ok && high >= 0xd800 && high < 0xdc00 && low >= 0xdc00 && low < 0xe000 {
		return (high-0xd800)<<10 + (low - 0xdc00) + 0x10000, 12, nil
	}
	if high >= 0xd800 && high < 0xe000 {
		return utf8.RuneError, 6, nil
	}
	return high, 6, nil
}

func unit(raw []byte) (rune, bool) {
	if len(raw) < 6 || raw[0] != '\\' || raw[1] != 'u' {
		return 0, false
	}
	v := rune(0)
	for _, c := range raw[2:6] {
		switch {
		case '0' <= c && c <= '9':
			v = v<<4 | rune(c-'0')
		case 'a' <= c && c <= 'f':
			v = v<<4 | rune(c-'a'+10)
		case 'A' <= c && c <= 'F':
			v = v<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return v, true
}

// number reads the text of a number.
func (s *scan) number() ([]byte, error) {
	s.blank()
	start := s.at
	digits := func() bool {
		from := s.at
		for s.at < len(s.text) && '0' <= s.text[s.at] && s.text[s.at] <= '9' {
			s.at++
		}
		return s.at > from
	}
	is := func(set string) bool {
		for i := range len(set) {
			if s.at < len(s.text) && s.text[s.at] == set[i] {
				return true
			}
		}
		return false
	}
	if is("-") {
		s.at++
	}
	zero := is("0")
	if whole := s.at; !digits() || (zero && s.at > whole+1) {
		return nil, s.wrong("a number")
	}
	if is(".") {
		if s.at++; !digits() {
			return nil, s.wrong("a digit")
		}
	}
	if is("eE") {
		s.at++
		if is("+-") {
			s.at++
		}
		if !digits() {
			return nil, s.wrong("a digit")
		}
	}
	return s.text[start:s.at], nil
}

// skip goes over any value.
func (s *scan) skip() error {
	switch c := s.blank(); c {
	case '{':
		return s.object(func([]byte) error { return s.skip() })
	case '[':
		return s.array(s.skip)
	case '"':
		_, err := s.str()
		return err
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	default:
		_, err := s.number()
		return err
	}
}

func (s *scan) literal(word string) error {
	if len(s.text)-s.at < len(word) || string(s.text[s.at:s.at+len(word)]) != word {
		return s.wrong(word)
	}
	s.at += len(word)
	return nil
}

// plain reads [seconds, "value"] as Prometheus writes nearly all: without white space, sign or exponent, a whole value. It
// gives what sample gives; false: the sample is to be read by that, from where it starts.
func (s *scan) plain() (ms int64, value float64, ok bool) {
	text := s.text[s.at:]
	if len(text) < 2 || text[0] != '[' || text[1] == '0' {
		return 0, 0, false
	}
	seconds, size := digits(text[1:])
	at := 1 + size
	if size == 0 || size > 11 || at >= len(text) {
		return 0, 0, false
	}
	if ms = seconds * 1000; text[at] == '.' {
		rest, decimals := digits(text[at+1:])
		if decimals != 3 {
			return 0, 0, false
		}
		ms, at = ms+rest, at+1+decimals
	}
	if len(text) < at+2 || text[at] != ',' || text[at+1] != '"' {
		return 0, 0, false
	}
	whole, size := digits(text[at+2:])
	at += 2 + size
	if size == 0 || size > 15 || len(text) < at+2 || text[at] != '"' || text[at+1] != ']' {
		return 0, 0, false
	}
	s.at += at + 2
	return ms, float64(whole), true
}

// digits reads as many as there are, at most 16, and says how many.
func digits(text []byte) (value int64, size int) {
	for size < len(text) && size < 16 && '0' <= text[size] && text[size] <= '9' {
		value = value*10 + int64(text[size]-'0')
		size++
	}
	return value, size
}

// sample reads [seconds, "value"]; any other shape is an error, not a zero.
func (s *scan) sample() (ms int64, value float64, err error) {
	if err := s.take('['); err != nil {
		return 0, 0, err
	}
	when, err := s.number()
	if err == nil {
		err = s.take(',')
	}
	var text []byte
	if err == nil {
		text, err = s.str()
	}
	if err == nil {
		err = s.take(']')
	}
	if err != nil {
		return 0, 0, fmt.Errorf("a sample is not a time and a quoted value: %w", err)
	}
	if ms, err = milliseconds(when); err != nil {
		return 0, 0, err
	}
	value, err = float(text)
	return ms, value, err
}

// milliseconds reads a time in seconds. Such with at most three decimals, as Prometheus writes them, are read exactly.
func milliseconds(text []byte) (int64, error) {
	whole, decimals, point := int64(0), 0, false
	exact := len(text) <= 16
	for _, c := range text {
		switch {
		case '0' <= c && c <= '9' && exact:
			whole = whole*10 + int64(c-'0')
			if point {
				decimals++
			}
		case c == '.':
			point = true
		default:
			exact = false
		}
	}
	if exact && decimals <= 3 {
		for ; decimals < 3; decimals++ {
			whole *= 10
		}
		if whole > 0 && whole < 1e15 {
			return whole, nil
		}
	}
	seconds, err := strconv.ParseFloat(string(text), 64)
	if err != nil || !(seconds > 0 && seconds < 1e12) {
		return 0, fmt.Errorf("a sample has the time %.20q", text)
	}
	return int64(math.Round(seconds * 1000)), nil
}

// float reads a value; one that is too large is infinite.
func float(text []byte) (float64, error) {
	whole := int64(0)
	for i, c := range text {
		if c < '0' || c > '9' || i >= 15 {
			whole = -1
			break
		}
		whole = whole*10 + int64(c-'0')
	}
	if whole >= 0 && len(text) > 0 {
		return float64(whole), nil
	}
	v, err := strconv.ParseFloat(string(text), 64)
	if bytes.ContainsAny(text, "_xX") { // Go writes numbers so, Prometheus does not
		err = strconv.ErrSyntax
	}
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, fmt.Errorf("a sample has the value %.20q", text)
	}
	return v, nil
}
