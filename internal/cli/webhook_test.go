package cli

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/notify"
)

const signingSecret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

var listensAt = regexp.MustCompile(`http://[0-9.:]+/`)

// listener runs `sluice webhook listen` and gives its URL, and how it ended.
func listener(t *testing.T, ctx context.Context, args ...string) (url string, ended <-chan int, out *strings.Builder) {
	t.Helper()
	r, w := io.Pipe()
	out = &strings.Builder{}
	done := make(chan int, 1)
	go func() {
		code := Main(ctx, append([]string{"webhook", "listen"}, args...), Streams{In: strings.NewReader(""), Out: out, Err: w}, Build{})
		_ = w.Close()
		done <- code
	}()
	line := make([]byte, 256)
	n, err := r.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	return listensAt.FindString(string(line[:n])), done, out
}

func deliverTo(t *testing.T, url, id string, at time.Time, signed bool) int {
	t.Helper()
	body := `{"note":"\u001b[31m` + "\x1b[31m" + `"}`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	secrets, err := notify.ParseSecrets([]byte(signingSecret))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("Webhook-Timestamp", strconv.FormatInt(at.Unix(), 10))
	req.Header.Set("Webhook-Signature", "v1,AAAA")
	if signed {
		req.Header.Set("Webhook-Signature", notify.Sign(secrets, id, at.Unix(), []byte(body)))
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}

func TestWebhookListen_checksWhatArrives(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secrets")
	if err := os.WriteFile(file, []byte(signingSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	url, ended, out := listener(t, t.Context(), "--secret-file", file, "--count", "3")
	now := time.Now()
	for _, row := range []struct {
		id     string
		at     time.Time
		signed bool
		want   int
	}{{"good", now, true, 200}, {"bad", now, false, 401}, {"old", now.Add(-time.Hour), true, 401}} {
		if got := deliverTo(t, url, row.id, row.at, row.signed); got != row.want {
			t.Errorf("%s: answered %d, want %d", row.id, got, row.want)
		}
	}
	if code := <-ended; code != ExitNo {
		t.Errorf("exit %d, want %d: some were not signed", code, ExitNo)
	}
	for _, want := range []string{"id good  signature good", "id bad  signature bad: ", "id old  signature bad: the signature is good, but it is of a time 1h0m"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in %s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "\x1b") || strings.Contains(out.String(), signingSecret) {
		t.Errorf("a body steers the terminal, or a secret is shown: %q", out.String())
	}
}

func TestWebhookListen_goesOnUntilInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	url, ended, _ := listener(t, ctx)
	if got := deliverTo(t, url, "any", time.Now(), false); got != 200 {
		t.Errorf("without secrets: answered %d", got)
	}
	cancel()
	if code := <-ended; code != ExitInterrupted {
		t.Errorf("exit %d, want %d", code, ExitInterrupted)
	}
}
