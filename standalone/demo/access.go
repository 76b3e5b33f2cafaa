package demo

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	example "github.com/sluice-dev/sluice/examples/demo"
	"github.com/sluice-dev/sluice/gitsync/hook"
)

// The Secrets of the Source.
const (
	secretGit  = "reviews-git"
	secretHook = "reviews-hook"
)

const hintTimeout = 5 * time.Second

// createSecrets brings what no repository holds: how to read from Git, what signs its webhooks and what signs notes.
func (a *api) createSecrets(ctx context.Context, s secrets) error {
	for name, data := range map[string]map[string]string{
		secretGit:      {"username": gitUser, "password": s.git},
		secretHook:     {"token": s.hook},
		example.Secret: {"secret": s.note},
	} {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: example.Namespace, Name: name}, StringData: data}
		if err := a.client.Create(ctx, secret); err != nil {
			return fmt.Errorf("creating Secret %s: %w", name, err)
		}
	}
	return nil
}

// createSource points Sluice at the repository.
func (a *api) createSource(ctx context.Context, url string) error {
	source := &v1alpha1.Source{
		ObjectMeta: metav1.ObjectMeta{Namespace: example.Namespace, Name: example.Rollout},
		Spec: v1alpha1.SourceSpec{
			URL: url, Ref: v1alpha1.SourceRef{Branch: "main"}, Path: example.Path,
			Interval:  v1alpha1.DurationOf(10 * time.Second),
			SecretRef: &v1alpha1.LocalRef{Name: secretGit},
			Webhook:   &v1alpha1.SourceWebhook{Provider: v1alpha1.WebhookGeneric, SecretRef: v1alpha1.LocalRef{Name: secretHook}},
		},
	}
	if err := a.client.Create(ctx, source); err != nil {
		return fmt.Errorf("creating Source %s: %w", source.Name, err)
	}
	return nil
}

// hint sends Sluice the webhook that a Git server sends after a push.
func (p *Parts) hint(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, hintTimeout)
	defer cancel()
	body := []byte(`{"ref":"refs/heads/main"}`)
	url := "http://" + p.stack.Document().Hook + "/hooks/" + example.Namespace + "/" + example.Rollout
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	id, at := rand.Text(), p.Now()
	req.Header.Set("webhook-id", id)
	req.Header.Set("webhook-timestamp", strconv.FormatInt(at.Unix(), 10))
	req.Header.Set("webhook-signature", hook.Sign([]byte(p.secrets.hook), id, at, body))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 256))
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s answers %s: %s", url, resp.Status, text)
	}
	return err
}
