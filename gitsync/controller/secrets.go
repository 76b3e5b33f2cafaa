package controller

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/gitsync"
)

// secretsFor is how long the Secrets of a Source that works are used without reading them again.
const secretsFor = 5 * time.Minute

// secrets are what was read of a Source's Secrets for one generation of its spec, by the name of the Secret.
type secrets struct {
	data       map[string]map[string][]byte
	read       time.Time
	generation int64
}

// staleSecrets reports whether Secrets are to be read again: now and then, and whenever they may be what keeps a fetch from
// working or somebody asks for a look.
func (p *pass) staleSecrets() bool {
	m := p.memory
	asked := p.src.Annotations[v1alpha1.AnnotationReconcile] != p.src.Status.LastHandledReconcile
	return asked || m.fetching.failures > 0 || p.src.Generation != m.secrets.generation || p.started.Sub(m.secrets.read) >= secretsFor
}

// secret gives the content of a Secret that the spec names in field.
func (p *pass) secret(ctx context.Context, name, field string) (map[string][]byte, error) {
	if held, ok := p.memory.secrets.data[name]; ok {
		return held, nil
	}
	data, err := p.controller.secret(ctx, p.src.Namespace, name)
	if gitsync.ReasonOf(err, "") == gitsync.SecretInvalid {
		return nil, secretProblem(err, "S201", field, "create the Secret, or name another")
	}
	if err != nil {
		return nil, err
	}
	p.memory.secrets.data[name] = data
	return data, nil
}

// secretProblem shows what is wrong with a Secret at the field that names it.
func secretProblem(err error, code, field, hint string) error {
	return &gitsync.Failure{Reason: gitsync.SecretInvalid, Err: err, Problem: &problem.Problem{Code: code, Severity: problem.Error, Field: field,
		Message: problem.Clean(err.Error(), problem.MaxMessage), Hint: hint}}
}

// remote gives what the Source follows, with the credentials, the proxy and the trusted keys of its Secrets.
func (p *pass) remote(ctx context.Context) (gitsync.Ref, error) {
	m, spec := p.memory, p.src.Spec
	if p.staleSecrets() {
		m.secrets = secrets{data: map[string]map[string][]byte{}, read: p.started, generation: p.src.Generation}
	}
	ref := refOf(p.src)
	var scope []string
	if spec.SecretRef != nil {
		data, err := p.secret(ctx, spec.SecretRef.Name, "spec.secretRef")
		if err != nil {
			return ref, err
		}
		if ref.Remote.Secret, err = gitsync.ReadSecret(spec.URL, data); err != nil {
			return ref, secretProblem(fmt.Errorf("reading Secret %s: %w", spec.SecretRef.Name, err), "S202", "spec.secretRef", "set the keys of one kind of credential, all of them")
		}
		scope = append(scope, p.src.Namespace+"/"+spec.SecretRef.Name)
	}
	if spec.ProxySecretRef != nil {
		data, err := p.secret(ctx, spec.ProxySecretRef.Name, "spec.proxySecretRef")
		if err != nil {
			return ref, err
		}
		if ref.Remote.Proxy, err = gitsync.ReadProxy(data); err != nil {
			return ref, secretProblem(fmt.Errorf("reading Secret %s: %w", spec.ProxySecretRef.Name, err), "S202", "spec.proxySecretRef", "set address, and username and password if the proxy wants them")
		}
		scope = append(scope, p.src.Namespace+"/"+spec.ProxySecretRef.Name)
	}
	ref.Remote.Scope = strings.Join(scope, " ")
	if spec.Verify != nil {
		data, err := p.secret(ctx, spec.Verify.SecretRef.Name, "spec.verify.secretRef")
		if err != nil {
			return ref, err
		}
		ref.Verify.Head = spec.Verify.Mode != v1alpha1.VerifyTag
		ref.Verify.Tag = spec.Verify.Mode == v1alpha1.VerifyTag || spec.Verify.Mode == v1alpha1.VerifyTagAndHead
		ref.Verify.Keys = data
	}
	return ref, nil
}

// refOf gives what a Source follows, as its spec and its status say it.
func refOf(src *v1alpha1.Source) gitsync.Ref {
	spec := src.Spec
	ref := gitsync.Ref{Remote: gitsync.Remote{URL: spec.URL}, Timeout: spec.Timeout.Or(defaultTimeout), Branch: spec.Ref.Branch, Tag: spec.Ref.Tag,
		Semver: spec.Ref.Semver, TagPrefix: spec.Ref.TagPrefix, Commit: spec.Ref.Commit, Name: spec.Ref.Name, Accept: accepted(src)}
	if spec.OnRewrite == v1alpha1.RewriteFollow {
		ref.Rewrite = gitsync.Follow
	}
	if applied := src.Status.Commit; applied != nil {
		ref.Last.Ref = nameOf(src.Status.LastAppliedRevision)
		if applied.Time != nil {
			ref.Last.Time = applied.Time.Time
		}
	}
	return ref
}

// accepted gives the commit that a person accepts though it does not descend. It counts once: not for a commit that was
// applied before, to which somebody leads the ref back.
func accepted(src *v1alpha1.Source) string {
	if src.Spec.Accept == nil {
		return ""
	}
	id := src.Spec.Accept.Revision
	again := func(h v1alpha1.SourceHistory) bool { return strings.HasSuffix(h.Revision, "@sha1:"+id) }
	if slices.ContainsFunc(src.Status.History, again) {
		return ""
	}
	return id
}

// nameOf gives the ref of a revision as statuses write it, main@sha1:<40 hex>.
func nameOf(revision string) string {
	at := strings.LastIndex(revision, "@sha1:")
	return revision[:max(at, 0)]
}

// followed names the history that a Source follows, by its URL and its ref: with another one, what was applied is no
// measure.
func followed(src *v1alpha1.Source) string {
	r := src.Spec.Ref
	text := strings.Join([]string{gitsync.SharedURL(src.Spec.URL), r.Branch, r.Tag, r.Semver, r.TagPrefix, r.Commit, r.Name}, "\n")
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:16])
}
