package demo

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
)

const unknown = "n/a"

// span writes a duration for people: 212ms, 6.9s, 1m47s.
func span(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d.Round(time.Second/10) < time.Minute:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", d.Seconds()), ".0") + "s"
	default:
		d = d.Round(time.Second)
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	}
}

func spanOr(d *time.Duration) string {
	if d == nil {
		return unknown
	}
	return span(*d)
}

// Table gives the final table: a column for each release, below it what counts for the whole demo.
func Table(n Numbers) string {
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 3, ' ', 0)
	row := func(name, good, bad string) { fmt.Fprintf(w, "%s\t%s\t%s\n", name, good, bad) }
	row("RELEASE", "GOOD: "+good, "BAD: "+bad)
	row("outcome", outcomeText(n.Good), outcomeText(n.Bad))
	row("push to first weight ACKed", spanOr(n.Good.FirstAcked), spanOr(n.Bad.FirstAcked))
	row("push to first request on it", spanOr(n.Good.FirstRequest), spanOr(n.Bad.FirstRequest))
	for _, weight := range []int{15, 50, 100} {
		row(fmt.Sprintf("share seen at %d%%, time in step", weight), stepText(n.Good, weight), stepText(n.Bad, weight))
	}
	f := Failure{}
	if n.Bad.Failure != nil {
		f = *n.Bad.Failure
	}
	row("first failure to decided", "", spanOr(f.Detect))
	row("push to weight 0 ACKed", "", spanOr(f.PushToZero))
	row("decided to weight 0: ACKed, last request", "", spanOr(f.ZeroAcked)+", "+spanOr(f.LastRequest))
	row("requests: all, on this version, failed on it", requestsText(n.Good), requestsText(n.Bad))
	row("errors seen by users of other versions", fmt.Sprint(n.Good.StableErrors), fmt.Sprint(n.Bad.StableErrors))
	_ = w.Flush() // a strings.Builder takes everything
	fmt.Fprintf(&out, "\nnotes: %d sent, %d verified, %d duplicate   requests: %d due, %d shed, %d answered by no version   latency: %s median, %s p99   machine: still for %s at most\n",
		n.Notes.Sent, n.Notes.Verified, n.Notes.Duplicate, n.Due, n.Shed, n.NoVersion, span(n.Median), span(n.P99), span(n.Still))
	return trimLines(out.String())
}

func trimLines(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

func outcomeText(r Release) string {
	switch {
	case r.Outcome == "":
		return unknown
	case r.Reason != "":
		return r.Outcome + " (" + r.Reason + ")"
	default:
		return r.Outcome
	}
}

func stepText(r Release, weight int) string {
	for _, s := range r.Steps {
		if s.Weight == weight {
			return fmt.Sprintf("%.1f%% of %d, %s", 100*s.Share(), s.Requests, span(s.Took))
		}
	}
	return "-"
}

func requestsText(r Release) string {
	if r.Outcome == "" {
		return unknown
	}
	return fmt.Sprintf("%d, %d, %d", r.Requests, r.OnVersion, r.Failed)
}

// Verdict is the last line of the demo.
func Verdict(failed []string, code int) string {
	if len(failed) == 0 {
		return fmt.Sprintf("demo: passed (exit %d)", code)
	}
	return fmt.Sprintf("demo: failed (exit %d): %s", code, strings.Join(failed, "; "))
}
