// Package browser lets tests look at a page as a person does: in a real headless Chromium, which it drives over the
// debugging pipe. Nothing listens, nothing is fetched but what a page asks for, and the browser ends with the test.
//
//	page := browser.Start(t).Open(t, "file:///tmp/report.html", browser.View{Width: 360, Height: 800, Dark: true})
//	wide := browser.Value[int](t, page, "document.documentElement.scrollWidth")
package browser

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/test/child"
)

// patience is how long the browser may take for one thing.
const patience = time.Minute

// Binary gives the browser to run: $SLUICE_BROWSER, else the one that make browser has put into .cache.
func Binary(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("SLUICE_BROWSER"); path != "" {
		return path
	}
	root, err := child.Repository()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(root, ".cache", "browser", "bin", "chromium")
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("no browser: %v\nnext: make browser", err)
	}
	return path
}

// Browser is a running browser.
type Browser struct {
	process *child.Process
	log     string
	out     io.Writer

	mu      sync.Mutex // guards what follows, and writes to out
	last    int
	waiting map[int]chan message
	hear    map[string]func(message) // by session
	ended   error
}

// message is what comes over the pipe: an answer where it has an ID, else an event.
type message struct {
	ID      int             `json:"id,omitempty"`
	Session string          `json:"sessionId,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  any             `json:"params,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
	raw json.RawMessage // params of an event
}

// Start starts a browser that ends with the test.
func Start(t testing.TB) *Browser {
	t.Helper()
	dir := t.TempDir()
	commands, err := newPipe(t)
	if err != nil {
		t.Fatal(err)
	}
	answers, err := newPipe(t)
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	// No sandbox: it needs rights that a container does not give, and only our own pages are opened.
	cmd := exec.Command(Binary(t), "--headless=shell", "--no-sandbox", "--no-zygote", "--disable-dev-shm-usage", "--disable-gpu",
		"--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-background-networking",
		"--disable-component-update", "--no-first-run", "--no-pings", "--hide-scrollbars", "--font-render-hinting=none",
		"--remote-debugging-pipe", "--user-data-dir="+filepath.Join(dir, "profile"), "about:blank")
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = log, log, []*os.File{commands.r, answers.w} // 3 and 4
	b := &Browser{log: log.Name(), out: commands.w, waiting: map[int]chan message{}, hear: map[string]func(message){}}
	if b.process, err = child.Start(cmd); err != nil {
		t.Fatal(err)
	}
	commands.r.Close()
	answers.w.Close()
	read := make(chan struct{})
	go func() {
		defer close(read)
		b.listen(answers.r)
	}()
	t.Cleanup(func() {
		if err := b.process.Kill(); err != nil {
			t.Error(err)
		}
		<-read
	})
	return b
}

// pipe is one direction.
type pipe struct{ r, w *os.File }

func newPipe(t testing.TB) (pipe, error) {
	r, w, err := os.Pipe()
	if err == nil {
		t.Cleanup(func() { r.Close(); w.Close() })
	}
	return pipe{r, w}, err
}

// listen hands out what the browser says until it ends.
func (b *Browser) listen(from io.Reader) {
	in := bufio.NewReaderSize(from, 1<<20)
	for {
		text, err := in.ReadBytes(0)
		if err != nil {
			b.mu.Lock()
			b.ended = fmt.Errorf("the browser ended: %w: %s", err, child.Tail(b.log, 2048))
			for id, to := range b.waiting {
				delete(b.waiting, id)
				close(to)
			}
			b.mu.Unlock()
			return
		}
		var m message
		var event struct {
			Params json.RawMessage `json:"params"`
		}
		text = bytes.TrimSuffix(text, []byte{0})
		if json.Unmarshal(text, &m) != nil || json.Unmarshal(text, &event) != nil {
			continue
		}
		m.raw = event.Params
		b.mu.Lock()
		to, hear := b.waiting[m.ID], b.hear[m.Session]
		delete(b.waiting, m.ID)
		b.mu.Unlock()
		switch {
		case m.ID != 0 && to != nil:
			to <- m
		case m.ID == 0 && hear != nil:
			hear(m)
		}
	}
}

// call asks for something and reads the result into out, unless it is nil.
func (b *Browser) call(ctx context.Context, session, method string, params, out any) error {
	answer := make(chan message, 1)
	b.mu.Lock()
	if b.ended != nil {
		defer b.mu.Unlock()
		return b.ended
	}
	b.last++
	b.waiting[b.last] = answer
	text, err := json.Marshal(message{ID: b.last, Session: session, Method: method, Params: params})
	if err == nil {
		_, err = b.out.Write(append(text, 0))
	}
	b.mu.Unlock()
	if err != nil {
		return fmt.Errorf("asking the browser for %s: %w", method, err)
	}
	select {
	case <-ctx.Done():
		return fmt.Errorf("the browser does not answer %s: %w: %s", method, context.Cause(ctx), child.Tail(b.log, 2048))
	case m, ok := <-answer:
		switch {
		case !ok:
			b.mu.Lock()
			defer b.mu.Unlock()
			return b.ended
		case m.Error != nil:
			return fmt.Errorf("the browser refuses %s: %s", method, m.Error.Message)
		case out == nil:
			return nil
		}
		return json.Unmarshal(m.Result, out)
	}
}

// errSlow ends a wait for the browser.
var errSlow = errors.New("it takes too long")

func within(t testing.TB) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(t.Context(), patience, errSlow)
}
