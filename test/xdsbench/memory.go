package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"strings"
)

// memory measures what an idle stream costs the server. The clients are another process.
func memory(ctx context.Context, n int) (fields, error) {
	s, err := newSluice(ctx, scene{seq: 1, size: 16 << 10})
	if err != nil {
		return nil, err
	}
	before, err := resident()
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	leave, err := startApart(ctx, s.addr, n)
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	err = s.settled(ctx, 1, n)
	after, err2 := resident()
	err = errors.Join(err, err2, leave(), s.stop())
	return fields{{"kib_per_stream", (after - before) / n}, {"rss_mib", after >> 10}}, err
}

// startApart connects n clients that are another process, and returns when they have everything; leave ends them.
func startApart(ctx context.Context, addr string, n int) (leave func() error, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	child := exec.CommandContext(ctx, self, "-idle", addr, "-clients", strconv.Itoa(n))
	child.Stderr = os.Stderr
	in, err1 := child.StdinPipe()
	out, err2 := child.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	if err := child.Start(); err != nil {
		return nil, err
	}
	leave = func() error { return errors.Join(in.Close(), child.Wait()) }
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		return nil, errors.Join(fmt.Errorf("starting clients apart: %w", err), leave())
	}
	return leave, nil
}

// idleClients are clients in a process of their own.
func idleClients(ctx context.Context, addr string, n int, out io.Writer) error {
	f, err := start(ctx, addr, n)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "ready")
	_, err = io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, f.close())
}

// resident is the memory of this process in KiB, garbage apart.
func resident() (int, error) {
	debug.FreeOSMemory()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			return strconv.Atoi(strings.Fields(rest)[0])
		}
	}
	return 0, errors.New("/proc/self/status has no VmRSS")
}
