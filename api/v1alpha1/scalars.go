package v1alpha1

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Duration is a length of time written as 8s, 1m30s, 500ms or 2h: whole numbers with units h, m, s and ms, no sign
// and no fraction. What is shorter than a millisecond is dropped when it is written.
//
// +kubebuilder:validation:Type=string
// +kubebuilder:validation:Pattern=`^([0-9]+(ms|s|m|h))+$`
// +kubebuilder:validation:MaxLength=16
type Duration struct {
	time.Duration `json:"-"`
}

// DurationOf gives a pointer to d as a Duration: the form that optional fields take.
func DurationOf(d time.Duration) *Duration { return &Duration{Duration: d} }

// Or gives the length of d, or fallback where d is nil.
func (d *Duration) Or(fallback time.Duration) time.Duration {
	if d == nil {
		return fallback
	}
	return d.Duration
}

// ParseDuration reads the written form.
func ParseDuration(s string) (Duration, error) {
	if len(s) > 16 || !durationPattern(s) {
		return Duration{}, fmt.Errorf("duration %q: want whole numbers with units h, m, s, ms, such as 1m30s", s)
	}
	v, err := time.ParseDuration(s)
	if err != nil {
		return Duration{}, fmt.Errorf("duration %q is out of range", s)
	}
	return Duration{Duration: v}, nil
}

func durationPattern(s string) bool {
	digits, rest := 0, s
	for rest != "" {
		c := rest[0]
		if c >= '0' && c <= '9' {
			digits, rest = digits+1, rest[1:]
			continue
		}
		if digits == 0 {
			return false
		}
		switch {
		case strings.HasPrefix(rest, "ms"):
			rest = rest[2:]
		case c == 'h' || c == 'm' || c == 's':
			rest = rest[1:]
		default:
			return false
		}
		digits = 0
	}
	return s != "" && digits == 0
}

// String gives the shortest written form: 90s becomes 1m30s, nothing becomes 0s.
func (d Duration) String() string {
	left := d.Truncate(time.Millisecond)
	if left <= 0 {
		return "0s"
	}
	var b strings.Builder
	for _, u := range []struct {
		size time.Duration
		name string
	}{{time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}, {time.Millisecond, "ms"}} {
		if n := left / u.size; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, u.name)
			left -= n * u.size
		}
	}
	return b.String()
}

// MarshalJSON writes the written form as a JSON string.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// UnmarshalJSON reads the written form from a JSON string.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("duration %s is not a string", b)
	}
	v, err := ParseDuration(s)
	if err != nil {
		return err
	}
	*d = v
	return nil
}

// Percent is a share written with a percent sign: 1%, 99.9%.
//
// +kubebuilder:validation:Pattern=`^[0-9]{1,4}(\.[0-9]{1,6})?%$`
type Percent string

// Fraction gives the share as a number: 1% is 0.01.
func (p Percent) Fraction() (float64, error) {
	if number, ok := strings.CutSuffix(string(p), "%"); !ok || !decimal(number, 4) {
		return 0, fmt.Errorf("percentage %q: want a number with a percent sign, such as 0.5%%", string(p))
	}
	// The decimal point is moved in the text: dividing a float by 100 would round twice.
	return strconv.ParseFloat(strings.TrimSuffix(string(p), "%")+"e-2", 64)
}

// Decimal is a number without sign written in quotes, such as "2" or "1.5".
//
// +kubebuilder:validation:Pattern=`^[0-9]{1,6}(\.[0-9]{1,6})?$`
type Decimal string

// Float gives the number.
func (d Decimal) Float() (float64, error) {
	if !decimal(string(d), 6) {
		return 0, fmt.Errorf("number %q: want digits with at most one point, such as 1.5", string(d))
	}
	return strconv.ParseFloat(string(d), 64)
}

// decimal reports that a text is digits, at most so many, and after a point at most six. It is asked in every look at a Rollout:
// an expression would be compiled each time.
func decimal(text string, whole int) bool {
	before, after, point := strings.Cut(text, ".")
	digits := func(s string, most int) bool {
		return s != "" && len(s) <= most && strings.Trim(s, "0123456789") == ""
	}
	return digits(before, whole) && (!point || digits(after, 6))
}
