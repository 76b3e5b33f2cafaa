package v1alpha1_test

import (
	"encoding/json"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

func TestDuration_isReadAsWritten(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		in, out string
		want    time.Duration
	}{
		{"8s", "8s", 8 * time.Second},
		{"90s", "1m30s", 90 * time.Second},
		{"1h0m0s", "1h", time.Hour},
		{"1500ms", "1s500ms", 1500 * time.Millisecond},
		{"0s", "0s", 0},
		{"168h", "168h", 168 * time.Hour},
	} {
		got, err := v1alpha1.ParseDuration(row.in)
		if err != nil || got.Duration != row.want || got.String() != row.out {
			t.Errorf("%q is %v, shown as %q (%v), want %v, %q", row.in, got.Duration, got, err, row.want, row.out)
		}
	}
	for _, bad := range []string{"", "8", "s", "1.5s", "-1s", "1d", "8 s", "1us", "8ss", "10000000000000000h", "9999999999999h"} {
		if got, err := v1alpha1.ParseDuration(bad); err == nil {
			t.Errorf("%q is %v, want it refused", bad, got)
		}
	}
}

func TestDuration_roundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := v1alpha1.Duration{Duration: time.Duration(rapid.Int64Range(0, int64(720*time.Hour/time.Millisecond)).Draw(t, "ms")) * time.Millisecond}
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got v1alpha1.Duration
		if err := json.Unmarshal(text, &got); err != nil || got != want {
			t.Fatalf("%v was written as %s and read as %v (%v)", want.Duration, text, got.Duration, err)
		}
	})
}

func TestPercent_isAFraction(t *testing.T) {
	t.Parallel()
	for in, want := range map[v1alpha1.Percent]float64{"1%": 0.01, "0.5%": 0.005, "99.9%": 0.999, "250%": 2.5, "0%": 0} {
		if got, err := in.Fraction(); err != nil || got != want {
			t.Errorf("%q is %v (%v), want %v", in, got, err, want)
		}
	}
	for _, bad := range []v1alpha1.Percent{"", "1", "-1%", "1e3%", "1.%", "%", "NaN%"} {
		if got, err := bad.Fraction(); err == nil {
			t.Errorf("%q is %v, want it refused", bad, got)
		}
	}
}

func TestDecimal_isANumber(t *testing.T) {
	t.Parallel()
	for in, want := range map[v1alpha1.Decimal]float64{"2": 2, "1.5": 1.5, "0": 0} {
		if got, err := in.Float(); err != nil || got != want {
			t.Errorf("%q is %v (%v), want %v", in, got, err, want)
		}
	}
	for _, bad := range []v1alpha1.Decimal{"", "-1", "1e3", "Inf", "0x10", "1%"} {
		if got, err := bad.Float(); err == nil {
			t.Errorf("%q is %v, want it refused", bad, got)
		}
	}
}
