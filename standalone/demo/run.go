package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sluice-dev/sluice/internal/cli"
	"github.com/sluice-dev/sluice/standalone/stack"
)

const (
	readyWithin = 30 * time.Second
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
	d := &demo{out: s.Out, env: env, options: o, journal: NewJournal(env.Now)}
	d.parts = &Parts{Settings: Settings{Dir: dir, Envoy: envoy, Self: []string{env.Program, "demo", "service"}, Run: env.Run,
		RPS: o.rps, Seed: o.seed, BadErrors: float64(o.badErrors), Journal: d.journal, Now: env.Now}}
	err = d.run(ctx)
	if err == nil && o.state == "" && !o.keep && !o.stay {
		return dir.Remove()
	}
	fmt.Fprintf(s.Err, "state and logs: %s\n", path)
	return errors.Join(err, dir.Close())
}

// demo is one run.
type demo struct {
	out     io.Writer
	env     Env
	options options
	journal *Journal
	parts   *Parts
}

// run starts the parts, plays the story, shows what came of it and, with --stay, waits.
func (d *demo) run(ctx context.Context) error {
	story, cancel := interruptible(ctx, d.options.timeout)
	defer cancel()
	stopView, err := d.startView(ctx)
	if err != nil {
		return err
	}
	result, err := d.play(story)
	viewErr := stopView()
	if err != nil {
		code := d.exitCode(err)
		stopErr := d.parts.Stop(ctx)
		fmt.Fprintf(d.out, "demo: ended (exit %d): %v\n", code, err)
		return &cli.Exit{Code: code, Err: errors.Join(viewErr, stopErr)}
	}
	err = errors.Join(viewErr, d.conclude(ctx, result))
	if d.options.stay {
		d.explainStay()
		err = errors.Join(err, d.parts.Wait(ctx))
	}
	return errors.Join(err, d.parts.Stop(ctx))
}

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

func (d *demo) exitCode(err error) int {
	switch {
	case errors.Is(err, errTimeout):
		return cli.ExitTimeout
	case errors.Is(err, errInterrupted):
		return cli.ExitInterrupted
	default:
		return cli.ExitUsage
	}
}

// conclude prints the table and the last line and writes the files; the error carries the exit code.
func (d *demo) conclude(ctx context.Context, result Result) error {
	numbers := Measure(d.journal.Moments(), result)
	failed := Check(numbers, result, script{Subtle: d.options.subtle})
	head, line, err := d.parts.api.listing(ctx)
	if err != nil {
		failed = append(failed, err.Error())
	}
	fmt.Fprintf(d.out, "\n%s\n$ kubectl get rollouts -n bookinfo\n%s\n%s\n\n", Table(numbers), head, line)
	err = nil
	if d.options.summary != "" {
		err = Summarize(numbers, failed, line).Write(d.options.summary)
	}
	code := 0
	if len(failed) > 0 {
		code = cli.ExitNo
	}
	fmt.Fprintln(d.out, Verdict(failed, code))
	if err != nil {
		return err
	}
	if code != 0 {
		return &cli.Exit{Code: code}
	}
	return nil
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
		p := &plain{out: d.out, start: d.journal.Start()}
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
	s, tick := &screen{out: d.out}, time.NewTicker(redraw)
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
	doc, work := d.parts.stack.Document(), d.parts.work.Dir
	fmt.Fprintf(d.out, `
Everything goes on until Ctrl-C. In another terminal:
  export KUBECONFIG=%s
  kubectl get rollouts -A --watch
  sluice status reviews -n bookinfo --watch
  curl %s
  cd %s && sed -i 's/subset: .*/subset: v1/' deploy/rollout.yaml && git commit -qam 'reviews: v1' && git push origin HEAD:main
  %s demo fault v1 --errors 5%%
`, doc.Kubeconfig, d.parts.url(), work, d.env.Program)
}
