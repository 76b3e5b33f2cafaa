package up

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/sluice-dev/sluice/gitsync/hook"
	"github.com/sluice-dev/sluice/internal/cli"
)

// hinter tells the webhook receiver that there is a new commit. A hint that does not arrive costs only time: the
// Source looks by itself, too.
type hinter struct {
	url   string
	token string
	now   func() time.Time
}

func (h hinter) send(ctx context.Context, s cli.Streams, branch, commit string) {
	if err := h.post(ctx, branch, commit); err != nil && ctx.Err() == nil {
		fmt.Fprintf(s.Err, "commit %.7s is not hinted at, it will be found at the next look: %v\n", commit, err)
		return
	}
	fmt.Fprintf(s.Err, "commit %.7s\n", commit)
}

func (h hinter) post(ctx context.Context, branch, commit string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	body, err := json.Marshal(struct {
		Ref   string `json:"ref"`
		After string `json:"after"`
	}{"refs/heads/" + branch, commit})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	id, at := rand.Text(), h.now()
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("Webhook-Timestamp", strconv.FormatInt(at.Unix(), 10))
	req.Header.Set("Webhook-Signature", hook.Sign([]byte(h.token), id, at, body))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, 4096)); err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("the webhook receiver answers %s", resp.Status)
	}
	return nil
}
