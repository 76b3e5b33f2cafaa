// Command xdsbench measures xds/server against a floor and against the SnapshotCache of go-control-plane, all in one run.
//
// The floor is a server without state that writes the same bytes to as many streams and reads a small reply: nobody can
// be faster with this gRPC. The SnapshotCache is in its best form: delta, one node for all. Each has clients of its own,
// all of them alike, in this process. Rounds of pushes are interleaved in rotating order, and garbage is collected
// between them, so that a busy machine is busy for all. It decides nothing: it prints a line per benchmark, and writes
// all of them as JSON. What can be counted instead of timed is a test of this package.
//
//	xdsbench -rounds 30 -run push/n=1000 -o .cache/bench/xds.json
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
)

// settings are what a person may choose.
type settings struct {
	rounds int
	pushes int // per round
	run    *regexp.Regexp
	out    string // file for the JSON; empty: none
	apart  bool   // the clients of pushes are other processes: what is measured of CPU is the servers'
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := command(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "xdsbench:", err)
		os.Exit(1)
	}
}

func command(ctx context.Context, args []string, out io.Writer) error {
	var s settings
	flags := flag.NewFlagSet("xdsbench", flag.ContinueOnError)
	flags.IntVar(&s.rounds, "rounds", 30, "rounds of each benchmark")
	flags.IntVar(&s.pushes, "pushes", 10, "pushes in a round")
	pattern := flags.String("run", ".", "regular expression: run the benchmarks whose name it matches")
	flags.StringVar(&s.out, "o", "", "write the results as JSON to this file")
	flags.BoolVar(&s.apart, "apart", false, "give pushes clients that are other processes, so that CPU and allocations are those of the servers")
	idle := flags.String("idle", "", "internal: be idle clients of the server at this address, until standard input ends")
	count := flags.Int("clients", 0, "internal: as many of them")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *idle != "" {
		return idleClients(ctx, *idle, *count, out)
	}
	var err error
	if s.run, err = regexp.Compile(*pattern); err != nil {
		return fmt.Errorf("flag -run: %w", err)
	}
	if s.rounds < 1 || s.pushes < 1 {
		return fmt.Errorf("%d rounds of %d pushes: at least one of each is needed", s.rounds, s.pushes)
	}
	return runAll(ctx, s, out)
}

// benchmark is one line of the results.
type benchmark struct {
	name string
	run  func(context.Context, settings) (fields, error)
}

func all() []benchmark {
	var out []benchmark
	for _, n := range []int{100, 1000, 5000} {
		for _, size := range []int{1, 16, 128} {
			out = append(out, benchmark{fmt.Sprintf("push/n=%d/size=%dK", n, size), func(ctx context.Context, s settings) (fields, error) {
				return push(ctx, s, n, size<<10)
			}})
		}
	}
	return append(out,
		benchmark{"step", step},
		benchmark{"reconnect/n=1000", reconnect},
		benchmark{"lower/churn=100", lower},
		benchmark{"slowreader/n=1000", slowReader},
		benchmark{"nack", nack},
		benchmark{"memory/n=1000", func(ctx context.Context, _ settings) (fields, error) { return memory(ctx, 1000) }},
		benchmark{"memory/n=5000", func(ctx context.Context, _ settings) (fields, error) { return memory(ctx, 5000) }})
}

func runAll(ctx context.Context, s settings, out io.Writer) error {
	var lines []fields
	for _, b := range all() {
		if !s.run.MatchString(b.name) {
			continue
		}
		one, err := b.run(ctx, s)
		if err != nil {
			return fmt.Errorf("%s: %w", b.name, err)
		}
		one = append(fields{{"benchmark", b.name}}, append(one, field{"load", load()})...)
		fmt.Fprintln(out, one)
		lines = append(lines, one)
	}
	if s.out == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(s.out), 0o755); err != nil {
		return fmt.Errorf("writing results: %w", err)
	}
	return writeJSON(s.out, lines)
}
