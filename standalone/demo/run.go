package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sluice-dev/sluice/internal/cli"
	"github.com/sluice-dev/sluice/standalone/stack"
)

const (
	readyWithin = 120 * time.Second
	redraw      = 100 * time.Millisecond
	lookPace    = 5 // frames between two looks at the API server
)

// run is one demo from the first part to the last line.
func run(ctx context.Context, s cli.Streams, env Env, o options) error {
	envoy, err := env.program()
	if err != nil {
		return err
	}
	path := o.state
	if path == "" {
		if path, err = tempDir(env.Temp); err != nil {
			return err
		}
	}
	if path, err = filepath.Abs(path); err != nil {
		return err
	}
	dir, err := stack.OpenDir(path)
	if err != nil {
		return err
	}
	if o.subtle {
		o.badErrors = rareErrors
	}
	d := &demo{streams: s, env: env, options: o, journal: NewJournal(env.Now)}
	d.parts = &Parts{Settings: Settings{Dir: dir, Envoy: envoy, Self: []string{env.Program, "demo", "service"}, Run: env.Run, Version: env.Version, Commit: env.Commit,
		RPS: o.rps, Seed: o.seed, BadErrors: float64(o.badErrors), Journal: d.journal, Now: env.Now}}
	code, verdict := d.run(ctx)
	if code == 0 && o.state == "" && !o.keep && !o.stay {
		err = dir.Remove()
	} else {
		fmt.Fprintf(s.Err, "state and logs: %s\n", path)
		err = dir.Close()
	}
	if err != nil {
		fmt.Fprintf(s.Err, "leaving the state directory: %v\n", err)
	}
	if verdict != "" {
		fmt.Fprintln(s.Out, verdict)
	}
	if code != 0 {
		return &cli.Exit{Code: code}
	}
	return nil
}

// demo is one run.
type demo struct {
	streams cli.Streams
	env     Env
	options options
	journal *Journal
	parts   *Parts
}

// run starts the parts, plays the story, shows what came of it, waits with --stay, and stops the parts. It gives the
// exit code and the last line, which is empty when people have it already.
func (d *demo) run(ctx context.Context) (code int, verdict string) {
	story, cancel := interruptible(ctx, d.options.timeout)
	defer cancel()
	stopView, err := d.startView(ctx)
	if err != nil {
		return cli.ExitUsage, ended(cli.ExitUsage, err)
	}
	result, err := d.play(story)
	if viewErr := stopView(); viewErr != nil {
		fmt.Fprintf(d.streams.Err, "writing the timeline: %v\n", viewErr)
	}
	if err != nil {
		code = exitCode(err)
		verdict = ended(code, err)
	} else {
		code, verdict = d.conclude(ctx, result)
	}
	if d.options.stay && err == nil {
		fmt.Fprintln(d.streams.Out, verdict)
		d.explainStay()
		verdict, err = "", d.parts.Wait(ctx)
	}
	if err := errors.Join(err, d.parts.Stop(ctx)); err != nil {
		fmt.Fprintf(d.streams.Err, "error: %v\n", err)
	}
	return code, verdict
}

func ended(code int, err error) string { return fmt.Sprintf("demo: ended (exit %d): %v", code, err) }

// play starts the parts, which is act 0, and plays the other acts. The error says that there is no story to judge.
func (d *demo) play(ctx context.Context) (Result, error) {
	ready, cancel := context.WithTimeoutCause(ctx, readyWithin, fmt.Errorf("not ready within %s", span(readyWithin)))
	err := d.parts.Start(ready)
	if err != nil && ready.Err() != nil {
		err = fmt.Errorf("%w: %w", context.Cause(ready), err)
	}
	cancel()
	if err != nil {
		return Result{}, err
	}
	story := &Story{World: d.parts, Journal: d.journal, Script: script{Subtle: d.options.subtle}}
	return story.Play(ctx)
}

// exitCode gives the code of a demo that ended before its story.
func exitCode(err error) int {
	switch {
	case errors.Is(err, errTimeout):
		return cli.ExitTimeout
	case errors.Is(err, errInterrupted):
		return cli.ExitInterrupted
	default:
		return cli.ExitUsage
	}
}

// conclude prints the table, writes the summary, and gives the exit code and the last line.
func (d *demo) conclude(ctx context.Context, result Result) (code int, verdict string) {
	numbers := Measure(d.journal.Moments(), result)
	failed := Check(numbers, result, script{Subtle: d.options.subtle})
	head, line, err := d.parts.api.listing(ctx)
	if err != nil {
		failed = append(failed, err.Error())
	}
	fmt.Fprintf(d.streams.Out, "\n%s\n$ kubectl get rollouts -n bookinfo\n%s\n%s\n\n", Table(numbers), head, line)
	if d.options.summary != "" {
		if err := Summarize(numbers, failed, line).Write(d.options.summary); err != nil {
			return cli.ExitUsage, ended(cli.ExitUsage, err)
		}
	}
	if len(failed) > 0 {
		code = cli.ExitNo
	}
	return code, Verdict(failed, code)
}

// startView shows moments as they come, and writes the timeline, until the function it gives is called.
func (d *demo) startView(ctx context.Context) (stop func() error, err error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var views sync.WaitGroup
	var file *os.File
	var writeErr error
	if d.options.timeline != "" {
		if file, err = os.Create(d.options.timeline); err != nil {
			cancel()
			return nil, err
		}
		t := &timeline{out: json.NewEncoder(file), start: d.journal.Start()}
		views.Go(func() {
			d.journal.Follow(ctx, func(m Moment) { writeErr = errors.Join(writeErr, t.Write(m)) })
		})
	}
	if width := d.env.Width(); width > 0 && !d.options.plain {
		views.Go(func() { d.drawFrames(ctx, width) })
	} else {
		p := &plain{out: d.streams.Out, start: d.journal.Start()}
		views.Go(func() { d.journal.Follow(ctx, p.Show) })
	}
	return func() error {
		cancel()
		views.Wait()
		if file != nil {
			writeErr = errors.Join(writeErr, file.Close())
		}
		return writeErr
	}, nil
}

// drawFrames redraws the live view until ctx ends; the last frame stays.
func (d *demo) drawFrames(ctx context.Context, width int) {
	s, tick := &screen{out: d.streams.Out}, time.NewTicker(redraw)
	defer tick.Stop()
	var look Look
	draw := func() {
		s.Draw(frame(scene{now: d.env.Now(), start: d.journal.Start(), moments: d.journal.Moments(), record: d.parts.record(), look: look, width: width}))
	}
	defer draw() // how it ended
	for n := 0; ; n++ {
		if n%lookPace == 0 && d.parts.record() != nil {
			if now, err := d.parts.Look(ctx); err == nil {
				look = now
			}
		}
		draw()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// explainStay says what can be done with what is running.
func (d *demo) explainStay() {
	doc, work := d.parts.stack.Document(), d.parts.forge.work.Dir
	fmt.Fprintf(d.streams.Out, `
Everything goes on until Ctrl-C. In another terminal:
  export KUBECONFIG=%s
  kubectl get rollouts -A --watch
  sluice status reviews -n bookinfo --watch
  curl %s
  cd %s && sed -i 's/subset: .*/subset: v1/' deploy/rollout.yaml && git commit -qam 'reviews: v1' && git push origin HEAD:main
  %s demo fault v1 --errors 5%%
`, doc.Kubeconfig, d.parts.url(), work, d.env.Program)
}
