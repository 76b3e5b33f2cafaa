package controller

import (
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // a container has no zones of its own

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/rollout"
)

// windowOf says whether a Rollout may be raised at a time, and when that may change. frozen is why its namespace forbids
// it, or "".
func windowOf(s *v1alpha1.RolloutSpec, frozen string, now time.Time) rollout.Window {
	if w := outside(s.Windows, now); w.Reason != "" {
		return w
	}
	if frozen != "" {
		return rollout.Window{Reason: rollout.Frozen, Text: "the Namespace is frozen: " + problem.Clean(frozen, 128)}
	}
	for _, f := range s.Freezes {
		if !now.Before(f.From.Time) && now.Before(f.To.Time) {
			return rollout.Window{Reason: rollout.Frozen, Text: "frozen: " + problem.Clean(f.Reason, 128), Until: f.To.UTC()}
		}
	}
	return rollout.Window{}
}

// outside is the zero value within a window or where there is none.
func outside(windows []v1alpha1.Window, now time.Time) rollout.Window {
	if len(windows) == 0 {
		return rollout.Window{}
	}
	out := rollout.Window{Reason: rollout.OutsideWindow}
	var texts []string
	for _, w := range windows {
		zone, err := time.LoadLocation(or(w.TimeZone, "UTC"))
		if err != nil { // Validate says so
			continue
		}
		open, next := within(w, zone, now)
		if open {
			return rollout.Window{}
		}
		if !next.IsZero() && (out.Until.IsZero() || next.Before(out.Until)) {
			out.Until = next.UTC()
		}
		texts = append(texts, describeWindow(w))
	}
	out.Text = "outside " + strings.Join(texts, ", ")
	return out
}

func describeWindow(w v1alpha1.Window) string {
	days := "every day"
	if len(w.Days) > 0 {
		words := make([]string, len(w.Days))
		for i, d := range w.Days {
			words[i] = string(d)
		}
		days = strings.Join(words, " ")
	}
	return fmt.Sprintf("%s %s-%s %s", days, w.From, w.To, or(w.TimeZone, "UTC"))
}

// within reports that a time lies in a window, or else when it next begins.
func within(w v1alpha1.Window, zone *time.Location, now time.Time) (open bool, next time.Time) {
	local := now.In(zone)
	for day := -1; day <= 8; day++ {
		date := time.Date(local.Year(), local.Month(), local.Day()+day, 12, 0, 0, 0, zone)
		if !on(w.Days, date.Weekday()) {
			continue
		}
		from, to := clock(date, w.From), clock(date, w.To)
		if w.To <= w.From {
			to = clock(date.AddDate(0, 0, 1), w.To)
		}
		if !now.Before(from) && now.Before(to) {
			return true, time.Time{}
		}
		if from.After(now) && from.Before(to) && (next.IsZero() || from.Before(next)) {
			next = from
		}
	}
	return false, next
}

func on(days []v1alpha1.Weekday, day time.Weekday) bool {
	for _, d := range days {
		if string(d) == day.String()[:3] {
			return true
		}
	}
	return len(days) == 0
}

// clock is the instant at which the clocks of a date's place show hh:mm, the first one where there are two. Where they skip
// it, it is the next one that exists.
func clock(date time.Time, hhmm string) time.Time {
	at, err := time.Parse("15:04", hhmm)
	if err != nil {
		return time.Time{}
	}
	t := time.Date(date.Year(), date.Month(), date.Day(), at.Hour(), at.Minute(), 0, 0, date.Location())
	begins, ends := t.ZoneBounds()
	if t.Hour() != at.Hour() || t.Minute() != at.Minute() { // skipped: the change itself
		if !ends.IsZero() && ends.Sub(t) < 3*time.Hour {
			return ends
		}
		return begins
	}
	if before := t.Add(-3 * time.Hour); !begins.IsZero() && before.Before(begins) { // shown twice?
		_, now := t.Zone()
		_, was := before.Zone()
		if earlier := t.Add(-time.Duration(was-now) * time.Second); was > now && earlier.Before(begins) {
			return earlier
		}
	}
	return t
}
