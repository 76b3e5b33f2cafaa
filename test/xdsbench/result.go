package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// field is one number of a result.
type field struct {
	name  string
	value any
}

// fields are a result, in the order of printing. The first is its name.
type fields []field

// String is one line.
func (f fields) String() string {
	parts := []string{strings.ReplaceAll(fmt.Sprint(f[0].value), "/", " ")}
	for _, one := range f[1:] {
		parts = append(parts, fmt.Sprintf("%s=%v", one.name, show(one.value)))
	}
	return strings.Join(parts, " ")
}

func show(v any) any {
	if f, ok := v.(float64); ok {
		return fmt.Sprintf("%.2f", f)
	}
	return v
}

// writeJSON writes results as a list of objects; times are nanoseconds.
func writeJSON(path string, lines []fields) error {
	list := make([]map[string]any, 0, len(lines))
	for _, l := range lines {
		one := map[string]any{}
		for _, f := range l {
			one[f.name] = f.value
		}
		list = append(list, one)
	}
	text, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return fmt.Errorf("writing results: %w", err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing results: %w", err)
	}
	return nil
}

// load is what the machine says of itself, so that a number can be judged.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(text), " ")
	return one
}

// quantile of durations, 0 to 1.
func quantile(times []time.Duration, q float64) time.Duration {
	if len(times) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(times))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)].Round(10 * time.Microsecond)
}

func ratio(a, b time.Duration) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

// cost is what something took of the machine: of the whole process, clients included.
type cost struct {
	cpu    time.Duration
	allocs uint64
	bytes  uint64
}

func spent() cost {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		panic(err) // this process exists
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return cost{cpu: time.Duration(use.Utime.Nano() + use.Stime.Nano()), allocs: m.Mallocs, bytes: m.TotalAlloc}
}

func (c *cost) add(before, after cost) {
	c.cpu += after.cpu - before.cpu
	c.allocs += after.allocs - before.allocs
	c.bytes += after.bytes - before.bytes
}
