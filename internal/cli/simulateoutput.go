package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/analysis/sim"
)

// simulated is what `sluice simulate` prints. Times are seconds from the fault, null where that part of the runs did
// not come to it.
type simulated struct {
	Title        string         `json:"-"`
	Runs         int            `json:"runs"` // of a row, at least
	Seed         uint64         `json:"seed"`
	Weight       int            `json:"weight"` // percent
	Rate         float64        `json:"rps"`
	StableErrors float64        `json:"stableErrors"`
	Horizon      float64        `json:"horizon"`
	World        string         `json:"-"` // what rows differ in
	Judged       bool           `json:"-"` // rows have rules and a bar
	Rows         []simulatedRow `json:"rows"`
}

type simulatedRow struct {
	World         string         `json:"world"`
	Rule          string         `json:"rule,omitempty"`
	CanaryErrors  *float64       `json:"canaryErrors,omitempty"`
	LatencyFactor *float64       `json:"latencyFactor,omitempty"` // where latency is judged
	Runs          int            `json:"runs"`
	RolledBack    simulatedTime  `json:"rolledBack"`
	BadServed     float64        `json:"badServed"` // mean
	Promotable    *simulatedTime `json:"promotable,omitempty"`
	Misses        []string       `json:"misses,omitempty"` // of the bar
	foreign       bool           // another tool's rule: there is no bar
}

type simulatedTime struct {
	Share float64  `json:"share"` // of runs
	P50   *float64 `json:"p50"`
	P90   *float64 `json:"p90"`
	P99   *float64 `json:"p99"`
}

func rowOf(world string, s sim.Summary) simulatedRow {
	promotable := timeOf(s.Promotable)
	return simulatedRow{World: world, Runs: s.Runs, RolledBack: timeOf(s.RolledBack), BadServed: s.Bad, Promotable: &promotable}
}

func timeOf(s sim.Share) simulatedTime {
	at := func(d time.Duration) *float64 {
		if d == sim.Never {
			return nil
		}
		v := d.Seconds()
		return &v
	}
	return simulatedTime{Share: s.Part(), P50: at(s.P50), P90: at(s.P90), P99: at(s.P99)}
}

func (v simulated) write(out io.Writer, format string) error {
	switch format {
	case "json":
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	case "md":
		return writeMarkdown(out, v.Title, v.header(), v.cells())
	default:
		return writeColumns(out, v.Title, v.header(), v.cells())
	}
}

func (v simulated) header() []string {
	h := []string{v.World}
	if v.timed() {
		h = append(h, "latency")
	}
	if v.Judged {
		h = append(h, "rule")
	}
	h = append(h, "rolled back", "p50", "p90", "p99", "bad served", "promotable", "p50", "p90")
	if v.Judged {
		h = append(h, "bar")
	}
	return h
}

// timed reports that latency is judged.
func (v simulated) timed() bool { return len(v.Rows) > 0 && v.Rows[0].LatencyFactor != nil }

func (v simulated) cells() [][]string {
	rows := make([][]string, 0, len(v.Rows))
	for _, r := range v.Rows {
		cells := []string{r.World}
		if r.LatencyFactor != nil {
			cells = append(cells, timesOf(*r.LatencyFactor))
		}
		if v.Judged {
			cells = append(cells, r.Rule)
		}
		cells = append(cells, percentOf(r.RolledBack.Share), r.RolledBack.at(r.RolledBack.P50), r.RolledBack.at(r.RolledBack.P90),
			r.RolledBack.at(r.RolledBack.P99), analysis.Digits(r.BadServed))
		if p := r.Promotable; p != nil {
			cells = append(cells, percentOf(p.Share), p.at(p.P50), p.at(p.P90))
		} else {
			cells = append(cells, "", "", "")
		}
		switch {
		case !v.Judged:
		case r.foreign:
			cells = append(cells, "")
		case len(r.Misses) > 0:
			cells = append(cells, strings.Join(r.Misses, ", "))
		default:
			cells = append(cells, "reached")
		}
		rows = append(rows, cells)
	}
	return rows
}

// at is a quantile in words; none where not so many runs came to it.
func (simulatedTime) at(seconds *float64) string {
	if seconds == nil {
		return "-"
	}
	return spanOf(time.Duration(*seconds * float64(time.Second)))
}

func spanOf(d time.Duration) string {
	if d < 0 {
		return "-" + analysis.Span(-d)
	}
	if d == 0 {
		return "0s"
	}
	return analysis.Span(d)
}

func percentOf(share float64) string { return analysis.Percent(share) }

func writeMarkdown(out io.Writer, title string, header []string, rows [][]string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n| %s |\n|%s\n", title, strings.Join(header, " | "), strings.Repeat("---|", len(header)))
	for _, cells := range rows {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func writeColumns(out io.Writer, title string, header []string, rows [][]string) error {
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.ToUpper(strings.Join(header, "\t")))
	for _, cells := range rows {
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, "%s\n\n", title); err != nil {
		return err
	}
	for line := range strings.Lines(table.String()) {
		if _, err := io.WriteString(out, strings.TrimRight(line, " \n")+"\n"); err != nil {
			return err
		}
	}
	return nil
}
