package browser

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
)

// View is how a person looks at a page: the size of the window in pixels, and whether dark colours are asked for.
type View struct {
	Width, Height int
	Dark          bool
}

// String is the view in words.
func (v View) String() string {
	if v.Dark {
		return fmt.Sprintf("%d px, dark", v.Width)
	}
	return fmt.Sprintf("%d px, light", v.Width)
}

// Page is an open page.
type Page struct {
	browser *Browser
	session string
	loaded  chan struct{} // has one entry once the page is loaded

	mu      sync.Mutex
	trouble []string // guarded by mu
	asked   []string // guarded by mu
}

// Open opens a page and waits until it is loaded with all that belongs to it.
func (b *Browser) Open(t testing.TB, address string, v View) *Page {
	t.Helper()
	p := &Page{browser: b, loaded: make(chan struct{}, 1)}
	var target struct {
		ID string `json:"targetId"`
	}
	var attached struct {
		Session string `json:"sessionId"`
	}
	p.must(t, "Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	p.must(t, "Target.attachToTarget", map[string]any{"targetId": target.ID, "flatten": true}, &attached)
	p.session = attached.Session
	b.mu.Lock()
	b.hear[p.session] = p.heard
	b.mu.Unlock()
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		p.must(t, domain+".enable", nil, nil)
	}
	colours := "light"
	if v.Dark {
		colours = "dark"
	}
	p.must(t, "Emulation.setDeviceMetricsOverride", map[string]any{"width": v.Width, "height": v.Height, "deviceScaleFactor": 1, "mobile": false}, nil)
	p.must(t, "Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]string{"name": "prefers-color-scheme", "value": colours}}}, nil)
	var went struct {
		Error string `json:"errorText"`
	}
	p.must(t, "Page.navigate", map[string]any{"url": address}, &went)
	if went.Error != "" {
		t.Fatalf("opening %s: %s", address, went.Error)
	}
	ctx, cancel := within(t)
	defer cancel()
	select {
	case <-p.loaded:
	case <-ctx.Done():
		t.Fatalf("%s is not loaded within %v", address, patience)
	}
	return p
}

// heard takes in what happens on the page.
func (p *Page) heard(m message) {
	var e struct {
		Type    string `json:"type"`
		Args    []struct{ Value, Description any }
		Details struct {
			Text      string
			Exception struct{ Description string }
		} `json:"exceptionDetails"`
		Entry   struct{ Source, Level, Text, URL string }
		Request struct{ URL string }
	}
	if json.Unmarshal(m.raw, &e) != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch m.Method {
	case "Page.loadEventFired":
		select {
		case p.loaded <- struct{}{}:
		default:
		}
	case "Runtime.consoleAPICalled":
		p.trouble = append(p.trouble, fmt.Sprintf("console %s: %v", e.Type, e.Args))
	case "Runtime.exceptionThrown":
		p.trouble = append(p.trouble, "exception: "+e.Details.Text+" "+e.Details.Exception.Description)
	case "Log.entryAdded":
		p.trouble = append(p.trouble, fmt.Sprintf("%s %s: %s %s", e.Entry.Source, e.Entry.Level, e.Entry.Text, e.Entry.URL))
	case "Network.requestWillBeSent":
		p.asked = append(p.asked, e.Request.URL)
	}
}

// Trouble is what the console says: errors, warnings, refusals by the page's policy.
func (p *Page) Trouble() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.trouble)
}

// Requests are the addresses that were asked for, the page itself first.
func (p *Page) Requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked)
}

// Value is what an expression of JavaScript comes to on the page.
func Value[T any](t testing.TB, p *Page, expression string) T {
	t.Helper()
	var got struct {
		Result struct {
			Value T `json:"value"`
		} `json:"result"`
		Details *struct {
			Text      string
			Exception struct{ Description string }
		} `json:"exceptionDetails"`
	}
	p.must(t, "Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &got)
	if d := got.Details; d != nil {
		t.Fatalf("%s: %s %s", expression, d.Text, d.Exception.Description)
	}
	return got.Result.Value
}

// Picture writes the whole page as a PNG.
func (p *Page) Picture(t testing.TB, path string) {
	t.Helper()
	var got struct {
		Data []byte `json:"data"`
	}
	p.must(t, "Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true}, &got)
	if err := os.WriteFile(path, got.Data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (p *Page) must(t testing.TB, method string, params, out any) {
	t.Helper()
	ctx, cancel := within(t)
	defer cancel()
	if err := p.browser.call(ctx, p.session, method, params, out); err != nil {
		t.Fatal(err)
	}
}
