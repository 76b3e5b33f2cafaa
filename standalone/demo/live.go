package demo

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/load"
)

// The shape of the live view.
const (
	barWidth     = 30
	harmWidth    = 10
	sparkSeconds = 8
	seenSeconds  = 2
	recent       = 6
	harmLimit    = 100
)

// scene is what a frame shows.
type scene struct {
	now     time.Time
	start   time.Time
	moments []Moment
	record  *load.Record // nil: no load yet
	look    Look
	width   int
}

// traffic is who gets what, as the moments tell.
type traffic struct {
	stable, canary string
	wanted, acked  int
	open           bool
}

func trafficOf(moments []Moment) traffic {
	var t traffic
	for _, m := range moments {
		switch m.Kind {
		case KindTransition:
			t.wanted, t.open = m.Event.Weight, false
			switch {
			case v1alpha1.Phase(m.Event.Phase).AtRest():
				t.stable, t.canary = m.Event.Subset, ""
			default:
				t.canary, t.open = m.Event.Subset, true
			}
		case KindAcked:
			t.acked = m.Event.Weight
		case KindPart, KindAct, KindPush, KindNote, KindFault, KindEnd:
		}
	}
	return t
}

// frame draws the live view.
func frame(s scene) []string {
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, clip(fmt.Sprintf(format, args...), s.width)) }
	act, ok := last(s.moments, KindAct)
	title := "starting"
	if ok {
		title = fmt.Sprintf("act %d of %d: %s", act.Act, acts, act.Text)
	}
	add("Sluice demo   %-32s %s", title, span(s.now.Sub(s.start)))
	if m, ok := last(s.moments, KindPush); ok {
		add("$ git push origin main     %.7s %-24s pushed %s ago", m.Push.Commit, problem.Clean(m.Push.Subject, 24), span(s.now.Sub(m.At)))
	}
	if s.record != nil {
		lines = append(lines, s.trafficLines()...)
	}
	add("")
	for _, m := range tail(s.moments) {
		add("%s", m)
	}
	return lines
}

func last(moments []Moment, kind Kind) (Moment, bool) {
	for _, m := range slices.Backward(moments) {
		if m.Kind == kind {
			return m, true
		}
	}
	return Moment{}, false
}

func (s scene) trafficLines() []string {
	t := trafficOf(s.moments)
	recently := s.record.Tally(s.now.Add(-seenSeconds*time.Second), s.now)
	cells := t.wanted * barWidth / 100
	line := fmt.Sprintf("traffic  %s %s %d", t.stable, bar(barWidth-cells, barWidth-cells), 100-t.wanted)
	rates := "         " + s.rate(t.stable, recently)
	if t.open {
		line += fmt.Sprintf("   %s %s %d", t.canary, bar(cells, cells), t.wanted)
		line += fmt.Sprintf("     wanted %d acked %d seen %.1f", t.wanted, t.acked, 100*recently.Share(t.canary))
		rates += "          " + s.rate(t.canary, recently)
	}
	lines := []string{clip(line, s.width), clip(rates, s.width)}
	if t.open {
		evidence := "evidence harm " + harmText(s.look.Harm)
		if s.look.Safe != "" {
			evidence += fmt.Sprintf("   safe %s of 20 to promote", s.look.Safe)
		}
		failed := s.record.Tally(s.actStart(), time.Time{}).Failed(t.canary)
		lines = append(lines, clip(fmt.Sprintf("%s   failed on %s so far: %d", evidence, t.canary, failed), s.width))
	}
	return lines
}

func (s scene) actStart() time.Time {
	m, _ := last(s.moments, KindAct)
	return m.At
}

// rate tells of one version: requests a second, the share that failed, and its course.
func (s scene) rate(version string, recently load.Tally) string {
	n := recently.Requests(version)
	failed := 0.0
	if n > 0 {
		failed = 100 * float64(recently.Failed(version)) / float64(n)
	}
	var shares []float64
	for i := sparkSeconds; i > 0; i-- {
		second := s.record.Tally(s.now.Add(-time.Duration(i)*time.Second), s.now.Add(-time.Duration(i-1)*time.Second))
		share := 0.0
		if k := second.Requests(version); k > 0 {
			share = float64(second.Failed(version)) / float64(k)
		}
		shares = append(shares, share)
	}
	return fmt.Sprintf("%s %d/s %.3g%% errors %s", version, n/seenSeconds, failed, spark(shares))
}

// spark draws shares, full at the largest of them or at 20 %, whichever is more.
func spark(shares []float64) string {
	levels := []rune("▁▂▃▄▅▆▇█")
	top := max(0.2, slices.Max(shares))
	var out strings.Builder
	for _, s := range shares {
		out.WriteRune(levels[int(s/top*float64(len(levels)-1)+0.5)])
	}
	return out.String()
}

func bar(full, width int) string {
	return strings.Repeat("█", full) + strings.Repeat("░", width-full)
}

func harmText(harm string) string {
	if harm == "" {
		return unknown
	}
	value := 0.0
	if _, err := fmt.Sscan(harm, &value); err != nil {
		return harm
	}
	full := int(min(1, max(0, value/harmLimit)) * harmWidth)
	return fmt.Sprintf("%s %s of %d to roll back", bar(full, harmWidth), harm, harmLimit)
}

// tail gives the newest lines of the plain view.
func tail(moments []Moment) []string {
	if len(moments) == 0 {
		return nil
	}
	var out strings.Builder
	p := &plain{out: &out, start: moments[0].At}
	for _, m := range moments {
		p.Show(m)
	}
	lines := strings.Split(strings.TrimRight(out.String(), "\n"), "\n")
	return lines[max(0, len(lines)-recent):]
}

func clip(line string, width int) string {
	runes := []rune(line)
	if width > 0 && len(runes) > width {
		runes = runes[:width]
	}
	return strings.TrimRight(string(runes), " ")
}

// screen draws frames one over the other on a terminal.
type screen struct {
	out   io.Writer
	drawn int // lines of the last frame
}

// Draw replaces the last frame.
func (s *screen) Draw(lines []string) {
	var text strings.Builder
	if s.drawn > 0 {
		fmt.Fprintf(&text, "\x1b[%dA", s.drawn)
	}
	for _, line := range lines {
		fmt.Fprintf(&text, "\r\x1b[2K%s\n", line)
	}
	if s.drawn > len(lines) {
		text.WriteString("\x1b[J")
	}
	s.drawn = len(lines)
	fmt.Fprint(s.out, text.String())
}
