package controller

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/rollout"
)

func at(t *testing.T, text string) time.Time {
	t.Helper()
	out, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestWindow_isOneOfTheWeek(t *testing.T) {
	t.Parallel()
	week := []v1alpha1.Weekday{"Mon", "Tue", "Wed", "Thu", "Fri"}
	office := v1alpha1.Window{Days: week, From: "09:00", To: "17:00", TimeZone: "Europe/Berlin"}
	night := v1alpha1.Window{Days: []v1alpha1.Weekday{"Sat"}, From: "22:00", To: "02:00"}
	skipped := v1alpha1.Window{From: "02:30", To: "04:00", TimeZone: "Europe/Berlin"}
	twice := v1alpha1.Window{From: "02:30", To: "03:30", TimeZone: "Europe/Berlin"}
	for _, row := range []struct {
		name, now, until string
		w                v1alpha1.Window
	}{
		{"in it, in summer", "2026-07-06T07:00:00Z", "", office},
		{"a second before", "2026-07-06T06:59:59Z", "2026-07-06T07:00:00Z", office},
		{"in it, in winter", "2026-01-05T08:00:00Z", "", office},
		{"summer's hour in winter", "2026-01-05T07:00:00Z", "2026-01-05T08:00:00Z", office},
		{"its end is outside", "2026-01-05T16:00:00Z", "2026-01-06T08:00:00Z", office},
		{"over the weekend", "2026-01-09T20:00:00Z", "2026-01-12T08:00:00Z", office},
		{"after midnight of the next day", "2026-01-11T01:59:00Z", "", night},
		{"the next day after its end", "2026-01-11T02:00:00Z", "2026-01-17T22:00:00Z", night},
		{"another night", "2026-01-10T01:00:00Z", "2026-01-10T22:00:00Z", night},
		{"a skipped beginning is the change", "2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z", skipped},
		{"from the change on", "2026-03-29T01:00:00Z", "", skipped},
		{"the first of two", "2026-10-25T00:30:00Z", "", twice},
		{"before the first of two", "2026-10-25T00:29:00Z", "2026-10-25T00:30:00Z", twice},
		{"the second of two is still within", "2026-10-25T01:30:00Z", "", twice},
	} {
		got := windowOf(&v1alpha1.RolloutSpec{Windows: []v1alpha1.Window{row.w}}, "", at(t, row.now))
		open := row.until == ""
		if open != (got.Reason == "") || !open && (got.Reason != rollout.OutsideWindow || !got.Until.Equal(at(t, row.until))) {
			t.Errorf("%s: %+v, want until %q", row.name, got, row.until)
		}
	}
}

func TestWindow_anyOfThemOpens(t *testing.T) {
	t.Parallel()
	s := &v1alpha1.RolloutSpec{Windows: []v1alpha1.Window{{From: "01:00", To: "02:00"}, {From: "03:00", To: "04:00"}, {From: "05:00", To: "06:00", TimeZone: "No/Where"}}}
	if got := windowOf(s, "", at(t, "2026-01-05T03:30:00Z")); got.Reason != "" {
		t.Errorf("in the second one: %+v", got)
	}
	got := windowOf(s, "", at(t, "2026-01-05T02:30:00Z"))
	if !got.Until.Equal(at(t, "2026-01-05T03:00:00Z")) || got.Text != "outside every day 01:00-02:00 UTC, every day 03:00-04:00 UTC" {
		t.Errorf("between them: %+v", got)
	}
}

func TestWindow_freezes(t *testing.T) {
	t.Parallel()
	s := &v1alpha1.RolloutSpec{Freezes: []v1alpha1.Freeze{{From: metav1.NewTime(at(t, "2026-11-27T00:00:00Z")), To: metav1.NewTime(at(t, "2026-11-28T00:00:00Z")), Reason: "Black Friday"}}}
	for _, row := range []struct{ now, namespace, text string }{
		{"2026-11-26T23:59:59Z", "", ""},
		{"2026-11-27T00:00:00Z", "", "frozen: Black Friday"},
		{"2026-11-28T00:00:00Z", "", ""},
		{"2026-11-28T00:00:00Z", "audit", "the Namespace is frozen: audit"},
	} {
		got := windowOf(s, row.namespace, at(t, row.now))
		if got.Text != row.text || (got.Reason == rollout.Frozen) != (row.text != "") {
			t.Errorf("%s: %+v, want %q", row.now, got, row.text)
		}
	}
}
