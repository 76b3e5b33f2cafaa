package service

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os/exec"
	"sync"
	"time"

	"github.com/sluice-dev/sluice/test/child"
)

const (
	answerTimeout = 60 * time.Second
	stopGrace     = 2 * time.Second
)

// Ready is the first line that a process prints.
type Ready struct {
	Version   string   `json:"version"`
	Endpoints []string `json:"endpoints"` // host:port
}

// Config is what a process serves.
type Config struct {
	Version   string
	Endpoints int
	Seed      uint64
	Fault     Fault
}

// Run serves the version on free loopback ports until in or ctx ends.
func Run(ctx context.Context, in io.Reader, out io.Writer, cfg Config) error {
	h := NewHandler(cfg.Version, cfg.Seed)
	if err := h.SetFault(cfg.Fault); err != nil {
		return err
	}
	ready, server := Ready{Version: cfg.Version}, &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	var serving sync.WaitGroup
	defer serving.Wait()
	defer server.Close()
	for range cfg.Endpoints {
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return fmt.Errorf("listening for version %s: %w", cfg.Version, err)
		}
		ready.Endpoints = append(ready.Endpoints, l.Addr().String())
		serving.Go(func() { _ = server.Serve(l) }) // always http.ErrServerClosed
	}
	if err := json.NewEncoder(out).Encode(ready); err != nil {
		return fmt.Errorf("announcing version %s: %w", cfg.Version, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- obey(in, out, h) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return nil // the reader ends with the process
	}
}

// obey puts the faults in force that in asks for, until it ends.
func obey(in io.Reader, out io.Writer, h *Handler) error {
	for lines := bufio.NewScanner(in); ; {
		if !lines.Scan() {
			return lines.Err()
		}
		var f Fault
		if err := json.Unmarshal(lines.Bytes(), &f); err != nil {
			return fmt.Errorf("reading a fault: %w", err)
		}
		if err := h.SetFault(f); err != nil {
			return err
		}
		if err := json.NewEncoder(out).Encode(f); err != nil {
			return err
		}
	}
}

// Process is a version that runs as a child process. Its methods may be called from any goroutine.
type Process struct {
	Ready

	process *child.Process
	answers chan []byte // the lines it prints

	mu    sync.Mutex // guards what follows
	stdin io.WriteCloser
}

// Start runs cmd, which has to call Run on its standard streams, and returns when it serves.
func Start(ctx context.Context, cmd *exec.Cmd) (*Process, error) {
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, in := io.Pipe()
	cmd.Stdout = in
	p := &Process{stdin: stdin, answers: make(chan []byte, 1)}
	if p.process, err = child.Start(cmd); err != nil {
		return nil, err
	}
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			p.answers <- append([]byte(nil), lines.Bytes()...)
		}
	}()
	go func() {
		<-p.process.Done()
		in.Close()
	}()
	if err := p.answer(ctx, &p.Ready); err != nil {
		return nil, errors.Join(fmt.Errorf("starting a version of the service: %w", err), p.process.Kill())
	}
	return p, nil
}

// answer reads the next line that the process prints.
func (p *Process) answer(ctx context.Context, v any) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	select {
	case line := <-p.answers:
		return json.Unmarshal(line, v)
	case <-p.process.Done():
		return p.process.Ended()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// SetFault changes how the version misbehaves; it is in force when this returns.
func (p *Process) SetFault(ctx context.Context, f Fault) error {
	if err := f.Validate(); err != nil {
		return err
	}
	line, err := json.Marshal(f)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := p.stdin.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("telling version %s: %w", p.Version, err)
	}
	var got Fault
	if err := p.answer(ctx, &got); err != nil {
		return fmt.Errorf("telling version %s: %w", p.Version, err)
	}
	if got != f {
		return fmt.Errorf("version %s answers %+v to %+v", p.Version, got, f)
	}
	return nil
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.process.Done() }

// Pid is its process id.
func (p *Process) Pid() int { return p.process.Pid() }

// Stop ends the process and waits for its end.
func (p *Process) Stop() error {
	p.mu.Lock()
	err := p.stdin.Close()
	p.mu.Unlock()
	timer := time.NewTimer(stopGrace)
	defer timer.Stop()
	select {
	case <-p.process.Done():
		return nil
	case <-timer.C:
		return errors.Join(err, p.process.Kill())
	}
}
