package browser_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/test/browser"
)

const page = `<!doctype html><title>t</title><style>p{color:rgb(1,2,3)}@media(prefers-color-scheme:dark){p{color:rgb(4,5,6)}}</style>
<p id=p>words</p><img src="/nothing.png"><script>console.error("oh", 1); document.title = innerWidth; throw new Error("thrown")</script>`

// A page is seen as a person sees it: laid out at that width, in those colours, with all that went wrong.
func TestPage_isSeenAsItIs(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(page)) // a browser that went away
	}))
	defer server.Close()
	b := browser.Start(t)
	for _, row := range []struct {
		view   browser.View
		colour string
	}{{browser.View{Width: 360, Height: 640}, "rgb(1, 2, 3)"}, {browser.View{Width: 1280, Height: 800, Dark: true}, "rgb(4, 5, 6)"}} {
		p := b.Open(t, server.URL+"/", row.view)
		if got := browser.Value[string](t, p, "document.title"); got != map[int]string{360: "360", 1280: "1280"}[row.view.Width] {
			t.Errorf("%v: the window is %s wide", row.view, got)
		}
		if got := browser.Value[string](t, p, "getComputedStyle(document.getElementById('p')).color"); got != row.colour {
			t.Errorf("%v: the text is %s, want %s", row.view, got, row.colour)
		}
		trouble := strings.Join(p.Trouble(), "\n")
		for _, want := range []string{"console error", "thrown", "404"} {
			if !strings.Contains(trouble, want) {
				t.Errorf("%v: no %q in what went wrong:\n%s", row.view, want, trouble)
			}
		}
		if asked := p.Requests(); !slices.Contains(asked, server.URL+"/nothing.png") {
			t.Errorf("%v: it asked for %v", row.view, asked)
		}
		path := filepath.Join(t.TempDir(), "p.png")
		p.Picture(t, path)
		if png, err := os.ReadFile(path); err != nil || !strings.HasPrefix(string(png), "\x89PNG") {
			t.Errorf("%v: no picture: %v", row.view, err)
		}
	}
}
