package controller

import (
	"context"
	"fmt"
	"strings"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/gitsync"
)

// remote gives what a Source follows, with the credentials and the proxy of its Secrets.
func (c *Controller) remote(ctx context.Context, src *v1alpha1.Source) (gitsync.Ref, error) {
	spec := src.Spec
	ref := gitsync.Ref{Remote: gitsync.Remote{URL: spec.URL}, Timeout: spec.Timeout.Or(defaultTimeout), Branch: spec.Ref.Branch, Tag: spec.Ref.Tag,
		Semver: spec.Ref.Semver, TagPrefix: spec.Ref.TagPrefix, Commit: spec.Ref.Commit, Name: spec.Ref.Name}
	if applied := src.Status.Commit; applied != nil {
		ref.Last.Ref = refOf(src.Status.LastAppliedRevision)
		if applied.Time != nil {
			ref.Last.Time = applied.Time.Time
		}
	}
	if spec.SecretRef != nil {
		data, err := c.secret(ctx, src.Namespace, spec.SecretRef.Name)
		if err != nil {
			return ref, err
		}
		if ref.Remote.Secret, err = gitsync.ReadSecret(spec.URL, data); err != nil {
			return ref, fmt.Errorf("reading Secret %s: %w", spec.SecretRef.Name, err)
		}
		ref.Remote.Scope = src.Namespace + "/" + spec.SecretRef.Name
	}
	if spec.ProxySecretRef != nil {
		data, err := c.secret(ctx, src.Namespace, spec.ProxySecretRef.Name)
		if err != nil {
			return ref, err
		}
		if ref.Remote.Proxy, err = gitsync.ReadProxy(data); err != nil {
			return ref, fmt.Errorf("reading Secret %s: %w", spec.ProxySecretRef.Name, err)
		}
		ref.Remote.Scope += " " + src.Namespace + "/" + spec.ProxySecretRef.Name
	}
	return ref, nil
}

// refOf gives the ref of a revision as statuses write it, main@sha1:<40 hex>.
func refOf(revision string) string {
	at := strings.LastIndex(revision, "@sha1:")
	return revision[:max(at, 0)]
}
