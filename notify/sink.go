package notify

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/egress"
)

const sendTimeout = 10 * time.Second

// Secrets reads the data of a Secret. ErrNotFound says that there is none.
type Secrets interface {
	Secret(ctx context.Context, key types.NamespacedName) (map[string][]byte, error)
}

// ErrNotFound is returned by readers for an object that does not exist.
var ErrNotFound = errors.New("not found")

// Outlet builds sinks: it holds what all of them share.
type Outlet struct {
	Guard      *egress.Guard
	Secrets    Secrets
	Cluster    string           // names this installation in the source of events
	Now        func() time.Time // stamps signatures
	SlackEvery time.Duration    // between messages to one channel of Slack; 0: a second
	Plot       Plotter          // nil: no plots
	shown      shown
	paces      paces
	rooms      rooms
}

// Plotter draws the evidence of a note.
type Plotter interface {
	// Plot gives a PNG; nil where there is nothing to draw.
	Plot(n Note) ([]byte, error)
}

// Open gives the sink that n describes, with its Secrets as they are now. What is missing is a *Failure.
func (o *Outlet) Open(ctx context.Context, n *v1alpha1.Notifier) (Sink, error) {
	opening := &opening{Outlet: o, ns: n.Namespace}
	sink, err := opening.sink(ctx, &n.Spec)
	if err != nil {
		return nil, err
	}
	return newPrinted(sink, opening.read), nil
}

// opening is the making of one sink.
type opening struct {
	*Outlet
	ns   string
	read [][]byte // what was taken from Secrets
}

func (o *opening) sink(ctx context.Context, s *v1alpha1.NotifierSpec) (Sink, error) {
	switch {
	case s.Webhook != nil:
		return o.webhook(ctx, s.Webhook)
	case s.GitStatus != nil:
		return o.gitStatus(ctx, s.GitStatus)
	case s.Slack != nil && s.Slack.TokenSecretRef != nil:
		return o.slackToken(ctx, s.Slack)
	case s.Slack != nil && s.Slack.WebhookSecretRef != nil:
		return o.slackWebhook(ctx, s.Slack)
	case s.Teams != nil:
		return o.teams(ctx, s.Teams)
	case s.Grafana != nil:
		return o.grafana(ctx, s.Grafana)
	}
	return nil, &Failure{Reason: v1alpha1.ReasonRefused, Hope: Retry, Err: errors.New("the Notifier has no sink")}
}

func (o *opening) webhook(ctx context.Context, s *v1alpha1.WebhookSink) (Sink, error) {
	target := s.URL
	if s.URLSecretRef != nil {
		text, err := o.value(ctx, *s.URLSecretRef)
		if err != nil {
			return nil, err
		}
		target = strings.TrimSpace(string(text))
	}
	options := egress.Options{Timeout: s.Timeout.Or(sendTimeout), PlainHTTP: s.Insecure}
	if err := o.check(target, options); err != nil {
		return nil, err
	}
	if err := o.roots(ctx, s.CASecretRef, &options); err != nil {
		return nil, err
	}
	sink := &webhook{url: target, cluster: o.Cluster, now: o.Now}
	if ref := s.SigningSecretRef; ref != nil {
		text, err := o.value(ctx, *ref)
		if err != nil {
			return nil, err
		}
		if sink.secrets, err = ParseSecrets(text); err != nil {
			return nil, unusable(*ref, err)
		}
	}
	if ref := s.HeadersSecretRef; ref != nil {
		text, err := o.value(ctx, *ref)
		if err != nil {
			return nil, err
		}
		if sink.headers, err = parseHeaders(text); err != nil {
			return nil, unusable(*ref, err)
		}
	}
	sink.client = o.Guard.Client(options)
	return sink, nil
}

// roots makes the certificates of a Secret, if one is named, the only ones that are trusted.
func (o *opening) roots(ctx context.Context, ref *v1alpha1.SecretKeyRef, options *egress.Options) error {
	if ref == nil {
		return nil
	}
	pem, err := o.value(ctx, *ref)
	if err != nil {
		return err
	}
	options.Roots = x509.NewCertPool()
	if !options.Roots.AppendCertsFromPEM(pem) {
		return unusable(*ref, errors.New("it holds no PEM certificate"))
	}
	return nil
}

// secretURL gives a client for the URL that a Secret holds.
func (o *opening) secretURL(ctx context.Context, ref v1alpha1.SecretKeyRef) (string, *http.Client, error) {
	text, err := o.value(ctx, ref)
	if err != nil {
		return "", nil, err
	}
	target, options := strings.TrimSpace(string(text)), egress.Options{Timeout: sendTimeout}
	if err := o.check(target, options); err != nil {
		return "", nil, err
	}
	return target, o.Guard.Client(options), nil
}

func (o *opening) slackWebhook(ctx context.Context, s *v1alpha1.SlackSink) (Sink, error) {
	target, client, err := o.secretURL(ctx, *s.WebhookSecretRef)
	if err != nil {
		return nil, err
	}
	return &slackWebhook{client: client, url: target, mention: s.MentionOnRollback}, nil
}

// check refuses a URL that must not be asked, before anything is rendered for it.
func (o *Outlet) check(target string, options egress.Options) error {
	u, err := url.Parse(target)
	if err != nil {
		err = errors.New("the URL cannot be read")
	} else {
		err = o.Guard.CheckURL(u, options)
	}
	if err != nil {
		return &Failure{Reason: v1alpha1.ReasonRefused, Hope: Thrice, Err: err}
	}
	return nil
}

func (o *opening) value(ctx context.Context, ref v1alpha1.SecretKeyRef) ([]byte, error) {
	ns := o.ns
	data, err := o.Secrets.Secret(ctx, types.NamespacedName{Namespace: ns, Name: ref.Name})
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, &Failure{Reason: v1alpha1.ReasonSecretNotFound, Err: fmt.Errorf("secret %s/%s does not exist", ns, ref.Name)}
	case err != nil:
		return nil, &Failure{Reason: v1alpha1.ReasonUnreachable, Err: fmt.Errorf("reading secret %s/%s: %w", ns, ref.Name, err)}
	case len(data[ref.Key]) == 0:
		return nil, &Failure{Reason: v1alpha1.ReasonSecretNotFound, Err: fmt.Errorf("secret %s/%s has no key %s", ns, ref.Name, ref.Key)}
	}
	o.read = append(o.read, data[ref.Key])
	return data[ref.Key], nil
}

func unusable(ref v1alpha1.SecretKeyRef, err error) *Failure {
	return &Failure{Reason: v1alpha1.ReasonSecretInvalid, Err: fmt.Errorf("secret %s, key %s: %w", ref.Name, ref.Key, err)}
}
