package controller

import (
	"context"
	"net/url"
	"strings"
	"time"

	"golang.org/x/time/rate"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/gitsync"
	"github.com/sluice-dev/sluice/gitsync/hook"
)

// source gives what a request for a Source is checked against; for an unknown one a token that nobody has. Tokens are
// kept for a while, so that a flood of requests is none of the API server: names without a Source are answered from the
// cache. An error means that nothing can be known yet.
func (r *receiver) source(ctx context.Context, name types.NamespacedName, now time.Time) (hooked, error) {
	r.mu.Lock()
	known := r.sources[name]
	r.mu.Unlock()
	if known != nil && !now.After(known.until) {
		return *known, nil
	}
	fresh, there, err := r.lookUp(ctx, name)
	if err != nil {
		return hooked{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !there {
		delete(r.sources, name)
		return fresh, nil
	}
	fresh.until, fresh.bucket = now.Add(tokenFor), rate.NewLimiter(1, oneBurst)
	if known != nil {
		fresh.bucket = known.bucket
	}
	r.sources[name] = &fresh
	return fresh, nil
}

// lookUp reads a Source's token; there is false where no Source wants webhooks.
func (r *receiver) lookUp(ctx context.Context, name types.NamespacedName) (found hooked, there bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookupFor)
	defer cancel()
	found = hooked{provider: hook.Generic, token: r.dummy, nobody: true}
	src := &v1alpha1.Source{}
	err = r.controller.config.Client.Get(ctx, name, src)
	if apierrors.IsNotFound(err) || (err == nil && src.Spec.Webhook == nil) {
		return found, false, nil
	}
	if err != nil {
		return found, false, err
	}
	if src.Spec.Webhook.Provider != "" {
		found.provider = hook.Provider(src.Spec.Webhook.Provider)
	}
	found.url = src.Spec.URL
	data, err := r.controller.secret(ctx, name.Namespace, src.Spec.Webhook.SecretRef.Name)
	switch {
	case gitsync.ReasonOf(err, "") == gitsync.SecretInvalid:
		return found, true, nil // as if there was no Source
	case err != nil:
		return found, false, err
	case len(data["token"]) >= hook.MinToken:
		found.token, found.nobody = data["token"], false
	}
	return found, true, nil
}

// tell wakes every Source of the same repository whose ref may be one of those that were pushed.
func (r *receiver) tell(ctx context.Context, repository string, h hook.Hint) error {
	list := &v1alpha1.SourceList{}
	if err := r.controller.config.Client.List(ctx, list); err != nil {
		return err
	}
	wanted := map[types.NamespacedName]string{}
	for i := range list.Items {
		s := &list.Items[i]
		if s.Spec.Suspend || place(s.Spec.URL) != place(repository) {
			continue
		}
		if after, concerned := concerns(s.Spec.Ref, h.Changes); concerned {
			wanted[types.NamespacedName{Namespace: s.Namespace, Name: s.Name}] = after
		}
	}
	return r.relay.wake(ctx, wanted)
}

// place is a repository whichever way it is asked: scheme, user and port do not matter.
func place(repository string) string {
	u, err := url.Parse(gitsync.SharedURL(repository))
	if err != nil {
		return repository
	}
	return u.Hostname() + u.Path
}

// concerns reports whether a ref may be one of the pushed ones, and which commit it should then show: "" where that is
// not known. When in doubt it may.
func concerns(ref v1alpha1.SourceRef, changes []hook.Change) (after string, concerned bool) {
	if len(changes) == 0 {
		return "", true
	}
	for _, c := range changes {
		branch, isBranch := strings.CutPrefix(c.Ref, "refs/heads/")
		tag, isTag := strings.CutPrefix(c.Ref, "refs/tags/")
		may := true
		switch {
		case !strings.HasPrefix(c.Ref, "refs/"):
		case ref.Branch != "":
			may = isBranch && branch == ref.Branch
		case ref.Tag != "":
			may = isTag && tag == ref.Tag
		case ref.Semver != "":
			may = isTag && strings.HasPrefix(tag, ref.TagPrefix)
		case ref.Name != "":
			may = c.Ref == ref.Name
		case ref.Commit != "": // it may be fetched only now
		default: // the remote's HEAD
			may = isBranch
		}
		if !may {
			continue
		}
		if isBranch && ref.Branch != "" && isCommit(c.After) {
			return c.After, true // a tag's object is not the commit
		}
		concerned = true
	}
	return "", concerned
}

// isCommit reports whether a text is the id of a commit, and not the zeros that stand for a deleted ref.
func isCommit(id string) bool {
	return len(id) == 40 && strings.Trim(id, "0123456789abcdef") == "" && strings.Trim(id, "0") != ""
}
