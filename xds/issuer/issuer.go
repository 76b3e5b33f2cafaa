// Package issuer keeps the certificates of the xDS server and of proxies in Secrets, where no other issuer does. Every
// replica hands over what the server's Secret holds; the one that leads makes and renews, as xds/authority decides. Each
// write is conditional, so that of two that lead for a moment one wins, and a Secret that it did not make is read and
// never written.
//
// The server's Secret holds the authorities with their keys as well, so that they and what they signed are stored at
// once or not at all.
package issuer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/xds/authority"
)

// Label marks the Secrets that an Issuer made.
const Label = "sluice.dev/certificates"

// made is its value.
const made = "self"

// The keys of the Secrets besides those of every TLS Secret.
const (
	AuthoritiesKey = "ca.crt" // the authorities that are trusted, newest first
	signingKey     = "ca.key" // their keys in the same order; in the server's Secret only
)

const (
	retryAfter = time.Second
	lookEvery  = 10 * time.Second
	callWithin = 5 * time.Second
)

// Kept is a Secret with the certificate that it is for. One of another namespace has to exist, with the Label and perhaps
// nothing else: an Issuer makes none there.
type Kept struct {
	Namespace string // empty: the Issuer's
	Secret    string
	authority.Wanted
}

// String is the Secret, with its namespace where that is another one.
func (k Kept) String() string { return strings.TrimPrefix(k.Namespace+"/"+k.Secret, "/") }

// Config is what an Issuer works with. All but Proxies and Log is required.
type Config struct {
	Client    client.Client // reads Secrets without a cache
	Namespace string
	Server    Kept
	Proxies   []Kept
	Term      authority.Term
	Leads     func() bool                // only who leads writes
	Take      func(cert, key, ca []byte) // is given the server's, in PEM, when they are read and when they change
	Now       func() time.Time
	Log       *slog.Logger // nil: discard
}

// Issuer is a Runnable for a controller-runtime manager.
type Issuer struct {
	config Config
	taken  types.UID // of the Secret that was handed over, with its version
	at     string
	said   map[string]string // what was last complained of, by Secret
	meters meters
}

// New makes an Issuer that has read nothing yet.
func New(c Config) (*Issuer, error) {
	if c.Client == nil || c.Namespace == "" || c.Server.Secret == "" || c.Leads == nil || c.Take == nil || c.Now == nil {
		return nil, errors.New("making the issuer of certificates: Client, Namespace, Server, Leads, Take and Now are required")
	}
	seen := map[string]bool{c.Server.String(): true}
	for i, p := range c.Proxies {
		if p.Namespace == c.Namespace {
			p.Namespace = ""
			c.Proxies = slices.Clone(c.Proxies)
			c.Proxies[i] = p
		}
		if p.Secret == "" || seen[p.String()] {
			return nil, fmt.Errorf("making the issuer of certificates: %s needs a Secret of its own, not %q", p.Name, p)
		}
		seen[p.String()] = true
	}
	if err := c.Term.Check(); err != nil {
		return nil, fmt.Errorf("making the issuer of certificates: %w", err)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Issuer{config: c, said: map[string]string{}, meters: newMeters()}, nil
}

// NeedLeaderElection tells the manager that every replica reads.
func (i *Issuer) NeedLeaderElection() bool { return false }

// Start works until ctx ends. A store that does not answer is asked again; it stops nothing else.
func (i *Issuer) Start(ctx context.Context) error {
	every := min(lookEvery, max(retryAfter, i.config.Term.Leaf/30))
	for {
		wait := every
		if !i.Work(ctx) {
			wait = min(every, retryAfter)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// Work looks once, and makes and renews what is due if it leads. done: nothing is left to do for now.
func (i *Issuer) Work(ctx context.Context) (done bool) {
	server, err := i.server(ctx)
	i.say(i.config.Server.Secret, err)
	if err != nil {
		return false
	}
	i.meters.show(server.Name, server)
	if !i.config.Leads() {
		for _, p := range i.config.Proxies {
			i.meters.hide(p.String())
		}
		return true
	}
	done = true
	for _, p := range i.config.Proxies {
		err := i.proxy(ctx, p, server)
		i.say(p.String(), err)
		done = done && err == nil
	}
	return done
}

// say complains of a Secret once until something else is wrong with it.
func (i *Issuer) say(secret string, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != "" && text != i.said[secret] && !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) {
		i.config.Log.Warn("keeping certificates", "namespace", i.config.Namespace, "reason", secret, "err", err)
	}
	i.said[secret] = text
}

// server reads the server's Secret, which it makes or renews first where that is due, and hands it over.
func (i *Issuer) server(ctx context.Context) (*corev1.Secret, error) {
	have, err := i.read(ctx, i.config.Server)
	if err != nil {
		return nil, err
	}
	if i.config.Leads() && !foreign(have) {
		if have, err = i.renewServer(ctx, have); err != nil {
			return nil, err
		}
	}
	if have.ResourceVersion == "" {
		return nil, fmt.Errorf("secret %s does not exist yet: the replica that leads makes it", have.Name)
	}
	if have.UID != i.taken || have.ResourceVersion != i.at {
		i.taken, i.at = have.UID, have.ResourceVersion
		i.config.Take(have.Data[corev1.TLSCertKey], have.Data[corev1.TLSPrivateKeyKey], have.Data[AuthoritiesKey])
	}
	return have, nil
}

// renewServer puts into the server's Secret what is due, and gives what is stored.
func (i *Issuer) renewServer(ctx context.Context, have *corev1.Secret) (*corev1.Secret, error) {
	now, term := i.config.Now(), i.config.Term
	held, err := authority.Parse(have.Data[AuthoritiesKey], have.Data[signingKey])
	if err != nil && have.ResourceVersion != "" {
		i.config.Log.Error("the authority of proxies is made anew, as what is stored cannot be read", "namespace", have.Namespace, "reason", have.Name, "err", err)
	}
	course := term.Authorities(held, now)
	authorities := course.Keep
	if course.Renew {
		fresh, err := i.authority(now)
		if err != nil {
			return nil, err
		}
		authorities = append([]authority.Pair{fresh}, authorities...)
	}
	next, why, err := i.issue(have, i.config.Server.Wanted, authorities)
	if err != nil {
		return nil, err
	}
	if why == authority.Kept && !course.Renew && len(authorities) == len(held) {
		return have, nil
	}
	if next.Data[AuthoritiesKey], next.Data[signingKey], err = authority.Encode(authorities); err != nil {
		return nil, err
	}
	return next, i.write(ctx, next, why)
}

// proxy makes or renews a proxy's certificate, and keeps what it trusts that of the server's Secret.
func (i *Issuer) proxy(ctx context.Context, p Kept, server *corev1.Secret) error {
	have, err := i.read(ctx, p)
	if err != nil {
		return err
	}
	i.meters.show(p.String(), have)
	if foreign(have) {
		return nil
	}
	if p.Namespace != "" && have.ResourceVersion == "" {
		return fmt.Errorf("secret %s does not exist: make it, empty, with the label %s: %s", p, Label, made)
	}
	if foreign(server) {
		return fmt.Errorf("secret %s was made by another, and the certificate of %s needs its key: make %s as well, or remove %s", server.Name, p.Name, p, server.Name)
	}
	authorities, err := authority.Parse(server.Data[AuthoritiesKey], server.Data[signingKey])
	if err != nil {
		return fmt.Errorf("reading the authorities in %s: %w", server.Name, err)
	}
	next, why, err := i.issue(have, p.Wanted, authorities)
	if err != nil {
		return err
	}
	if why == authority.Kept && string(have.Data[AuthoritiesKey]) == string(server.Data[AuthoritiesKey]) {
		return nil
	}
	next.Data[AuthoritiesKey] = server.Data[AuthoritiesKey]
	if err := i.write(ctx, next, why); err != nil {
		return err
	}
	i.meters.show(p.String(), next)
	return nil
}

// foreign reports that a Secret exists and was made by somebody else.
func foreign(s *corev1.Secret) bool { return s.ResourceVersion != "" && s.Labels[Label] != made }

// read gives a Secret; one without a version does not exist.
func (i *Issuer) read(ctx context.Context, k Kept) (*corev1.Secret, error) {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	namespace, out := cmp.Or(k.Namespace, i.config.Namespace), &corev1.Secret{}
	err := i.config.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: k.Secret}, out)
	if apierrors.IsNotFound(err) {
		return &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: k.Secret, Labels: map[string]string{Label: made, "app.kubernetes.io/part-of": "sluice"}},
			Type:       corev1.SecretTypeTLS,
		}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading secret %s: %w", k, err)
	}
	return out, nil
}

// write stores a Secret, on the condition that nobody else did since it was read.
func (i *Issuer) write(ctx context.Context, s *corev1.Secret, why authority.Reason) error {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	doing, store := "renewing", func() error { return i.config.Client.Update(ctx, s) }
	if s.ResourceVersion == "" {
		doing, store = "making", func() error { return i.config.Client.Create(ctx, s) }
	}
	err := store()
	if err != nil {
		return fmt.Errorf("%s secret %s: %w", doing, s.Name, err)
	}
	i.config.Log.Info("certificates were written", "namespace", s.Namespace, "reason", s.Name+": "+string(cmp.Or(why, "Trust")))
	return nil
}
