package controller

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/forge"
	"github.com/sluice-dev/sluice/gitsync"
)

const (
	revertsADay  = 3
	revertTries  = 3 // at a branch that moves
	maxAnswer    = 1 << 20
	revertBranch = "sluice/revert/"
)

var (
	// errNotSeparable says that a version cannot be taken out of Git without taking something else along.
	errNotSeparable = errors.New("the change cannot be taken back alone")
	// errConflict says that somebody has changed the same files since.
	errConflict = errors.New("the change cannot be taken back")
)

// reverts reports whether the Source takes rejected versions out of Git.
func (p *pass) reverts() bool {
	w := p.src.Spec.WriteBack
	return w != nil && p.controller.back.Writer != nil && w.Revert != "" && w.Revert != v1alpha1.RevertNone
}

// revertAll takes back what was rolled back and is still what Git says, once for each Rollout and digest.
func (p *pass) revertAll(ctx context.Context, rollouts []v1alpha1.Rollout) error {
	if !p.reverts() || p.src.Status.LastGood == "" || p.memory.revision == nil {
		return nil
	}
	for i := range rollouts {
		ro := &rollouts[i]
		bad, ok := rejected(ro)
		if !ok || p.revertedToday() >= revertsADay {
			continue
		}
		done := func(e v1alpha1.WriteBackStatus) bool {
			return e.Kind != backLastGood && e.Rollout == ro.Name && e.Digest == bad.Digest
		}
		if slices.ContainsFunc(p.src.Status.WriteBack, done) {
			continue
		}
		if err := p.record(ctx, p.revert(ctx, ro, bad)); err != nil {
			return err
		}
	}
	return nil
}

// rejected gives the version that a Rollout was rolled back from while Git still asks for it.
func rejected(ro *v1alpha1.Rollout) (v1alpha1.RejectedVersion, bool) {
	s := ro.Status
	if s == nil || s.Phase != v1alpha1.PhaseRolledBack || s.Attempted == "" || s.Attempted != ro.Annotations[v1alpha1.AnnotationDigest] {
		return v1alpha1.RejectedVersion{}, false
	}
	at := slices.IndexFunc(s.Rejected, func(r v1alpha1.RejectedVersion) bool { return r.Digest == s.Attempted && r.Commit != "" })
	if at < 0 {
		return v1alpha1.RejectedVersion{}, false
	}
	return s.Rejected[at], true
}

func (p *pass) revertedToday() (n int) {
	for _, e := range p.src.Status.WriteBack {
		if e.Kind != backLastGood && p.controller.config.Now().Sub(e.Time.Time) < 24*time.Hour {
			n++
		}
	}
	return n
}

// undo is one revert under way.
type undo struct {
	*pass
	rollout *v1alpha1.Rollout
	bad     v1alpha1.RejectedVersion
	remote  gitsync.Remote // with the right to push
	branch  string         // that is followed
	spoken  []string       // secrets that a forge was told, besides those of the remote
	entry   v1alpha1.WriteBackStatus
}

// revert makes and pushes the commit, and says how that went.
func (p *pass) revert(ctx context.Context, ro *v1alpha1.Rollout, bad v1alpha1.RejectedVersion) v1alpha1.WriteBackStatus {
	ctx, cancel := context.WithTimeout(ctx, 2*backTimeout)
	defer cancel()
	u := &undo{pass: p, rollout: ro, bad: bad, entry: v1alpha1.WriteBackStatus{Kind: string(p.src.Spec.WriteBack.Revert), Rollout: ro.Name, Digest: bad.Digest}}
	err := gitsync.Conceal(u.run(ctx), u.secrets()) // a forge may repeat what it was told
	switch {
	case err == nil:
	case errors.Is(err, errConflict):
		u.entry.Result, u.entry.Message = backConflict, err.Error()
	case errors.Is(err, errNotSeparable):
		u.entry.Result, u.entry.Message = backNotSeparable, err.Error()
	case errors.Is(err, gitsync.ErrPushRefused):
		u.entry.Result, u.entry.Message = backRefused, err.Error()
	default:
		u.entry.Result, u.entry.Message = backFailed, err.Error()
	}
	return u.entry
}

// secrets are those that may not be shown of this revert.
func (u *undo) secrets() []string { return append(u.remote.Secrets(), u.spoken...) }

func (u *undo) run(ctx context.Context) (err error) {
	if u.remote, err = u.writable(ctx); err != nil {
		return err
	}
	if u.branch, err = u.followed(ctx); err != nil {
		return err
	}
	u.entry.Ref = "refs/heads/" + u.branch
	if u.entry.Kind != string(v1alpha1.RevertCommit) {
		u.entry.Ref = fmt.Sprintf("refs/heads/%s%s-%s-%.12s", revertBranch, u.src.Namespace, u.rollout.Name, u.bad.Digest)
	}
	for range revertTries {
		if err = u.push(ctx); !errors.Is(err, gitsync.ErrPushRefused) {
			break
		}
	}
	if err != nil {
		return err
	}
	u.entry.Result = backPushed
	if u.entry.Kind == string(v1alpha1.RevertPullRequest) {
		return u.propose(ctx)
	}
	return nil
}

// followed is the branch that the Source follows; nothing else can be given a revert.
func (u *undo) followed(ctx context.Context) (string, error) {
	ref := u.src.Spec.Ref
	if ref.Branch != "" {
		return ref.Branch, nil
	}
	if ref.Tag != "" || ref.Semver != "" || ref.Commit != "" || ref.Name != "" {
		return "", errors.New("the Source follows no branch: there is nothing that a revert could be pushed to")
	}
	tips, err := u.controller.back.Writer.Tips(ctx, u.remote, "HEAD")
	if err != nil {
		return "", err
	}
	for name := range tips {
		if branch, ok := strings.CutPrefix(name, "refs/heads/"); ok {
			return branch, nil
		}
	}
	return "", errors.New("the remote does not say which branch HEAD is")
}

// push makes the commit on the tip of now and pushes it, unless the branch for it is there already.
func (u *undo) push(ctx context.Context) error {
	w, own := u.controller.back.Writer, u.entry.Kind != string(v1alpha1.RevertCommit)
	if own {
		tips, err := w.Tips(ctx, u.remote, u.entry.Ref)
		if err != nil {
			return err
		}
		if u.entry.Commit = tips[u.entry.Ref]; u.entry.Commit != "" {
			return nil
		}
	}
	tip, err := u.tree(ctx, "")
	if err != nil {
		return err
	}
	defer tip.Close()
	content, subject, err := u.content(ctx, tip)
	if err != nil {
		return err
	}
	defer content.Close()
	push := gitsync.Push{Remote: u.remote, Ref: u.entry.Ref, Parent: tip.Commit().ID, Content: content, Message: u.message(subject), Author: u.author(), Timeout: backTimeout}
	if !own {
		push.Old = tip.Commit().ID
	}
	if push.Sign, err = u.signer(ctx); err != nil {
		return err
	}
	u.entry.Commit, err = w.Push(ctx, push)
	return err
}

// tree reads a commit; empty: the tip of what is followed.
func (u *undo) tree(ctx context.Context, commit string) (gitsync.Tree, error) {
	ref, err := u.pass.remote(ctx)
	if err != nil {
		return nil, err
	}
	if commit != "" {
		ref.Branch, ref.Commit = "", commit
	}
	return u.controller.config.Fetcher.Fetch(ctx, ref, "")
}

// content gives the tip with the files of the last good commit in place of those that the rejected one has changed: first
// those only that objects of the Rollout's unit come from, then all that a build reads.
func (u *undo) content(ctx context.Context, tip gitsync.Tree) (made gitsync.Tree, subject string, err error) {
	good, err := u.tree(ctx, u.src.Status.LastGood)
	if err != nil {
		return nil, "", fmt.Errorf("fetching the last good commit: %w", err)
	}
	defer good.Close()
	bad, err := u.tree(ctx, u.bad.Commit)
	if err != nil {
		return nil, "", fmt.Errorf("fetching the rejected commit: %w", err)
	}
	defer bad.Close()
	options, err := u.options(ctx)
	if err != nil {
		return nil, "", err
	}
	builds := map[gitsync.Tree]gitsync.Build{}
	for _, t := range []gitsync.Tree{good, bad, tip} {
		if builds[t], _, err = u.build(ctx, t, options); err != nil {
			return nil, "", err
		}
	}
	unit := u.unit(builds[good], builds[bad], builds[tip])
	changed := ""
	for _, paths := range [][]string{ofUnit(unit, builds[good], builds[bad]), ofReads(builds[good], builds[bad])} {
		edits, touched := restore(paths, good, bad, tip)
		if changed = cmp.Or(changed, touched); touched != "" || len(edits) == 0 {
			continue
		}
		if made, err = u.controller.back.Writer.Edit(tip, edits); err != nil {
			return nil, "", err
		}
		build, _, err := u.build(ctx, made, options)
		if err == nil && separate(unit, build, builds[good], builds[tip]) {
			return made, bad.Commit().Subject, nil
		}
		_ = made.Close()
		if err != nil {
			return nil, "", err
		}
	}
	if changed != "" {
		return nil, "", fmt.Errorf("%w: %s was changed after %.7s", errConflict, changed, u.bad.Commit)
	}
	return nil, "", fmt.Errorf("%w: the files that %.7s has changed hold more than this Rollout", errNotSeparable, u.bad.Commit)
}

// unit names the objects of the Rollout in any of the builds.
func (u *undo) unit(builds ...gitsync.Build) map[gitsync.ID]bool {
	out := map[gitsync.ID]bool{}
	for _, b := range builds {
		for _, unit := range gitsync.Units(b.Objects, nil, u.controller.config.Domain) {
			mine := slices.ContainsFunc(unit.Rollouts, func(id gitsync.ID) bool { return id.Namespace == u.rollout.Namespace && id.Name == u.rollout.Name })
			for _, id := range unit.Objects {
				if mine {
					out[id] = true
				}
			}
		}
	}
	return out
}

// ofUnit gives the files that objects of the unit come from.
func ofUnit(unit map[gitsync.ID]bool, builds ...gitsync.Build) []string {
	paths := map[string]bool{}
	for _, b := range builds {
		for _, o := range b.Objects {
			if unit[o.ID] {
				paths[o.Path] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(paths))
}

// ofReads gives all that the builds have looked at.
func ofReads(builds ...gitsync.Build) []string {
	paths := map[string]bool{}
	for _, b := range builds {
		for path := range b.Reads {
			paths[path] = true
		}
	}
	return slices.Sorted(maps.Keys(paths))
}

// restore gives the edits that take the change of the rejected commit back, or else a file that was changed since.
func restore(paths []string, good, bad, tip gitsync.Tree) (edits []gitsync.Edit, changed string) {
	for _, path := range paths {
		if good.Hash(path) == bad.Hash(path) || directory(good, path) || directory(bad, path) {
			continue
		}
		if tip.Hash(path) != bad.Hash(path) {
			return nil, path
		}
		edits = append(edits, gitsync.Edit{Path: path, As: good})
	}
	return edits, ""
}

func directory(t gitsync.Tree, path string) bool {
	info, err := fs.Stat(t, path)
	return err == nil && info.IsDir()
}

// separate reports whether the unit is as it was, and all else as it is at the tip.
func separate(unit map[gitsync.ID]bool, got, good, tip gitsync.Build) bool {
	if got.Reason != "" {
		return false
	}
	want := map[gitsync.ID]string{}
	for _, o := range good.Objects {
		if unit[o.ID] {
			want[o.ID] = canonical(o)
		}
	}
	for _, o := range tip.Objects {
		if !unit[o.ID] {
			want[o.ID] = canonical(o)
		}
	}
	have := map[gitsync.ID]string{}
	for _, o := range got.Objects {
		have[o.ID] = canonical(o)
	}
	return maps.Equal(want, have)
}

func canonical(o gitsync.Object) string {
	raw, err := gitsync.Canonical(o.Content)
	if err != nil {
		return "not JSON: " + err.Error() // equal to nothing that is
	}
	return o.Version + string(raw)
}

// message is that of the commit, with trailers for programs.
func (u *undo) message(subject string) string {
	why := "It was rolled back."
	if c := v1alpha1.Condition(u.rollout.Status.Conditions, v1alpha1.ConditionReady); c != nil && c.Message != "" {
		why = c.Message
	}
	return fmt.Sprintf("Revert %q\n\n%s\n\nSluice-Rollout: %s/%s\nSluice-Rejected: %s\nSluice-Reverts: %s\n",
		subject, why, u.rollout.Namespace, u.rollout.Name, u.bad.Digest, u.bad.Commit)
}

func (u *undo) author() gitsync.Author {
	a := gitsync.Author{Name: "Sluice", Email: "sluice@localhost", Time: u.controller.config.Now()}
	if set := u.src.Spec.WriteBack.Author; set != nil {
		if set.Name != "" {
			a.Name = set.Name
		}
		if set.Email != "" {
			a.Email = set.Email
		}
	}
	return a
}

// signer gives what signs the commit; nil: nothing does.
func (u *undo) signer(ctx context.Context) (func([]byte) (string, error), error) {
	ref := u.src.Spec.WriteBack.SigningSecretRef
	if ref == nil {
		return nil, nil
	}
	data, err := u.controller.secret(ctx, u.src.Namespace, ref.Name)
	if err != nil {
		return nil, err
	}
	sign, err := u.controller.back.Writer.Signer(gitsync.Secret{Identity: string(data["identity"]), Password: string(data["password"])})
	if err != nil {
		return nil, fmt.Errorf("reading Secret %s: %w", ref.Name, err)
	}
	return sign, nil
}

// propose asks the forge to merge the branch, unless somebody has.
func (u *undo) propose(ctx context.Context) error {
	w := u.src.Spec.WriteBack
	repo, err := forge.Of(u.src.Spec.URL, forge.Provider(w.Provider), w.APIURL)
	if err != nil {
		return err
	}
	if u.controller.back.Forges == nil {
		return errors.New("no way to reach forges is set up")
	}
	client, err := u.controller.back.Forges([]byte(u.remote.Secret.CA))
	if err != nil {
		return err
	}
	token, err := u.token(ctx)
	if err != nil {
		return err
	}
	u.spoken = append(u.spoken, token)
	text := u.message(u.bad.Name)
	m := forge.Merge{From: strings.TrimPrefix(u.entry.Ref, "refs/heads/"), Into: u.branch, Title: strings.SplitN(text, "\n", 2)[0], Text: text}
	code, body, err := exchange(ctx, client, repo.Ask(token, m))
	if err != nil {
		return err
	}
	address, exists, err := repo.Asked(code, body)
	if exists {
		if code, body, err = exchange(ctx, client, repo.Find(token, m)); err == nil {
			address, err = repo.Found(code, body, m)
		}
	}
	if err != nil {
		return fmt.Errorf("asking %s to merge %s: %w", repo.Provider, m.From, err)
	}
	u.entry.Result = backProposed
	if problem.Hide(address, u.secrets()...) == address {
		u.entry.URL = address
	}
	return nil
}

// token is what the forge's API knows the writer by.
func (u *undo) token(ctx context.Context) (string, error) {
	secret := u.remote.Secret
	if secret.App.ID != "" {
		return u.controller.back.Writer.Token(ctx, u.remote)
	}
	if token := cmp.Or(secret.Password, secret.BearerToken); token != "" {
		return token, nil
	}
	return "", errors.New("the branch is pushed, but asking to merge it needs a token: the credential of spec.writeBack is an SSH key")
}

// exchange sends one request to a forge.
func exchange(ctx context.Context, client *http.Client, r forge.Request) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, bytes.NewReader(r.Body))
	if err != nil {
		return 0, nil, errors.New("the URL of the forge cannot be read")
	}
	for name, value := range r.Header {
		req.Header.Set(name, value)
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, fmt.Errorf("asking the forge: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return resp.StatusCode, body, err
}
