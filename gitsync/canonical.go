package gitsync

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Canonical writes a JSON value in the form of RFC 8785: no spaces, keys in the order of their UTF-16 code units,
// numbers as ECMAScript prints them. It accepts nil, bool, string, the integer and float types, json.Number,
// []any, []string, map[string]any and map[string]string; NaN, infinities and invalid UTF-8 are errors.
func Canonical(v any) ([]byte, error) { return appendCanonical(nil, v) }

func appendCanonical(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case string:
		return appendString(b, v)
	case map[string]any:
		return appendMap(b, v)
	case map[string]string:
		return appendMap(b, v)
	case []any:
		return appendList(b, v)
	case []string:
		return appendList(b, v)
	}
	n, err := number(v)
	if err != nil {
		return nil, err
	}
	return appendNumber(b, n)
}

func number(v any) (float64, error) {
	switch v := v.(type) {
	case int:
		return float64(v), nil
	case int32:
		return float64(v), nil
	case int64:
		return float64(v), nil
	case uint64:
		return float64(v), nil
	case float64:
		return v, nil
	case json.Number:
		return v.Float64()
	}
	return 0, fmt.Errorf("canonical JSON: unsupported type %T", v)
}

func appendList[T any](b []byte, list []T) ([]byte, error) {
	b = append(b, '[')
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendCanonical(b, v); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

func appendMap[T any](b []byte, m map[string]T) ([]byte, error) {
	var few [16]string // most mappings have fewer keys
	keys, plain := few[:0], true
	for k := range m {
		keys = append(keys, k)
		plain = plain && beforeSurrogates(k)
	}
	if plain {
		slices.Sort(keys)
	} else {
		slices.SortFunc(keys, compareUTF16)
	}
	b = append(b, '{')
	for i, k := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendString(b, k); err != nil {
			return nil, err
		}
		if b, err = appendCanonical(append(b, ':'), m[k]); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// beforeSurrogates reports whether the bytes of s sort as its UTF-16 code units do: no character is above U+CFFF.
func beforeSurrogates(s string) bool {
	for i := range len(s) {
		if s[i] >= 0xed {
			return false
		}
	}
	return true
}

// compareUTF16 orders strings by UTF-16 code units: a character beyond the basic plane sorts before U+E000.
func compareUTF16(a, b string) int {
	if strings.IndexFunc(a+b, func(r rune) bool { return r >= 0xd800 }) < 0 {
		return cmp.Compare(a, b)
	}
	return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
}

func appendString(b []byte, s string) ([]byte, error) {
	if !utf8.ValidString(s) {
		return nil, errors.New("canonical JSON: string is not valid UTF-8")
	}
	b = append(b, '"')
	done := 0
	for i := range len(s) {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[done:i]...)
		done = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\b':
			b = append(b, '\\', 'b')
		case '\t':
			b = append(b, '\\', 't')
		case '\n':
			b = append(b, '\\', 'n')
		case '\f':
			b = append(b, '\\', 'f')
		case '\r':
			b = append(b, '\\', 'r')
		default:
			b = fmt.Appendf(b, "\\u%04x", c)
		}
	}
	b = append(b, s[done:]...)
	return append(b, '"'), nil
}

// appendNumber prints the shortest decimal that reads back as f, in plain notation from 1e-6 up to 1e21.
func appendNumber(b []byte, f float64) ([]byte, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, errors.New("canonical JSON: number is not finite")
	}
	if f == 0 {
		return append(b, '0'), nil
	}
	if abs := math.Abs(f); abs >= 1e-6 && abs < 1e21 {
		return strconv.AppendFloat(b, f, 'f', -1, 64), nil
	}
	text := strconv.FormatFloat(f, 'e', -1, 64)
	mantissa, exponent, _ := strings.Cut(text, "e")
	sign, digits := exponent[:1], strings.TrimLeft(exponent[1:], "0")
	return append(b, mantissa+"e"+sign+digits...), nil
}
