package notify

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
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
	Guard   *egress.Guard
	Secrets Secrets
	Cluster string           // names this installation in the source of events
	Now     func() time.Time // stamps signatures
	shown   shown
}

// Open gives the sink that n describes, with its Secrets as they are now. What is missing is a *Failure.
func (o *Outlet) Open(ctx context.Context, n *v1alpha1.Notifier) (Sink, error) {
	switch {
	case n.Spec.Webhook != nil:
		return o.webhook(ctx, n.Namespace, n.Spec.Webhook)
	case n.Spec.GitStatus != nil:
		return o.gitStatus(ctx, n.Namespace, n.Spec.GitStatus)
	case n.Spec.Slack != nil:
		return o.slack(ctx, n.Namespace, n.Spec.Slack)
	}
	return nil, &Failure{Reason: v1alpha1.ReasonRefused, Hope: Retry, Err: errors.New("the Notifier has no sink")}
}

func (o *Outlet) webhook(ctx context.Context, ns string, s *v1alpha1.WebhookSink) (Sink, error) {
	target := s.URL
	if s.URLSecretRef != nil {
		text, err := o.value(ctx, ns, *s.URLSecretRef)
		if err != nil {
			return nil, err
		}
		target = strings.TrimSpace(string(text))
	}
	options := egress.Options{Timeout: s.Timeout.Or(sendTimeout), PlainHTTP: s.Insecure}
	if err := o.check(target, options); err != nil {
		return nil, err
	}
	if err := o.roots(ctx, ns, s.CASecretRef, &options); err != nil {
		return nil, err
	}
	sink := &webhook{url: target, cluster: o.Cluster, now: o.Now}
	if s.SigningSecretRef != nil {
		text, err := o.value(ctx, ns, *s.SigningSecretRef)
		if err != nil {
			return nil, err
		}
		if sink.secrets, err = ParseSecrets(text); err != nil {
			return nil, unusable(*s.SigningSecretRef, err)
		}
	}
	sink.client = o.Guard.Client(options)
	return sink, nil
}

// roots makes the certificates of a Secret, if one is named, the only ones that are trusted.
func (o *Outlet) roots(ctx context.Context, ns string, ref *v1alpha1.SecretKeyRef, options *egress.Options) error {
	if ref == nil {
		return nil
	}
	pem, err := o.value(ctx, ns, *ref)
	if err != nil {
		return err
	}
	options.Roots = x509.NewCertPool()
	if !options.Roots.AppendCertsFromPEM(pem) {
		return unusable(*ref, errors.New("it holds no PEM certificate"))
	}
	return nil
}

func (o *Outlet) slack(ctx context.Context, ns string, s *v1alpha1.SlackSink) (Sink, error) {
	text, err := o.value(ctx, ns, s.WebhookSecretRef)
	if err != nil {
		return nil, err
	}
	target, options := strings.TrimSpace(string(text)), egress.Options{Timeout: sendTimeout}
	if err := o.check(target, options); err != nil {
		return nil, err
	}
	return &slackWebhook{client: o.Guard.Client(options), url: target, mention: s.MentionOnRollback}, nil
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

func (o *Outlet) value(ctx context.Context, ns string, ref v1alpha1.SecretKeyRef) ([]byte, error) {
	data, err := o.Secrets.Secret(ctx, types.NamespacedName{Namespace: ns, Name: ref.Name})
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, &Failure{Reason: v1alpha1.ReasonSecretNotFound, Err: fmt.Errorf("secret %s/%s does not exist", ns, ref.Name)}
	case err != nil:
		return nil, &Failure{Reason: v1alpha1.ReasonUnreachable, Err: fmt.Errorf("reading secret %s/%s: %w", ns, ref.Name, err)}
	case len(data[ref.Key]) == 0:
		return nil, &Failure{Reason: v1alpha1.ReasonSecretNotFound, Err: fmt.Errorf("secret %s/%s has no key %s", ns, ref.Name, ref.Key)}
	}
	return data[ref.Key], nil
}

func unusable(ref v1alpha1.SecretKeyRef, err error) *Failure {
	return &Failure{Reason: v1alpha1.ReasonSecretInvalid, Err: fmt.Errorf("secret %s, key %s: %w", ref.Name, ref.Key, err)}
}
