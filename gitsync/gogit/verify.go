package gogit

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/pjbgf/sha1cd"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/gitsync"
	"github.com/sluice-dev/sluice/gitsync/signature"
)

// verify refuses a commit that lacks a signature it must have, before anything of its tree is read. It gives the
// fingerprint of the key: the commit's where both are signed.
func (h *handle) verify(want gitsync.Verify, to target) (signer string, err error) {
	if !want.Demanded() {
		return "", nil
	}
	keys, err := signature.ReadKeys(want.Keys)
	if err != nil {
		return "", &gitsync.Failure{Reason: gitsync.SecretInvalid, Err: fmt.Errorf("reading the trusted keys: %w", err), Problem: &problem.Problem{
			Code: "S202", Severity: problem.Error, Field: "spec.verify.secretRef", Message: problem.Clean(err.Error(), problem.MaxMessage),
			Hint: "put public keys into the Secret: *.asc as gpg --armor --export writes them, *.pub as ssh-keygen does"}}
	}
	if want.Tag {
		if signer, err = h.verifyTag(keys, to, want.At); err != nil {
			return "", err
		}
	}
	if want.Head {
		raw, err := h.raw(plumbing.CommitObject, to.commit)
		if err != nil {
			return "", err
		}
		if signer, err = keys.Commit(to.commit, raw, want.At); err != nil {
			return "", unsigned(err)
		}
	}
	return signer, nil
}

func (h *handle) verifyTag(keys signature.Keys, to target, at time.Time) (string, error) {
	if to.object == to.commit {
		return "", unsigned(&signature.Refusal{Verdict: gitsync.Missing, Message: fmt.Sprintf("%.100q is no annotated tag, and only those can be signed", to.name)})
	}
	raw, err := h.raw(plumbing.TagObject, to.object)
	if err != nil {
		return "", err
	}
	signer, err := keys.Tag(to.object, to.name, to.commit, raw, at)
	if err != nil {
		return "", unsigned(err)
	}
	return signer, nil
}

// raw reads an object as it is; one that cannot be read makes the repository be fetched anew.
func (h *handle) raw(kind plumbing.ObjectType, id string) ([]byte, error) {
	h.now.lock.Lock()
	defer h.now.lock.Unlock()
	raw, err := rawObject(h.now.store, kind, plumbing.NewHash(id), h.limits.ObjectBytes)
	if _, ok := errors.AsType[*gitsync.Failure](err); ok {
		return nil, err
	}
	if err != nil {
		h.now.damaged = true
		return nil, gitsync.Fail(gitsync.StorageFailed, fmt.Errorf("reading %s %s: %w", kind, id, err))
	}
	return raw, nil
}

// unsigned makes a Failure of a refused signature.
func unsigned(err error) error {
	refusal, ok := errors.AsType[*signature.Refusal](err)
	if !ok {
		return gitsync.Fail(gitsync.SignatureRefused, err)
	}
	hint := "sign it with a key of the Secret that spec.verify.secretRef names"
	switch refusal.Verdict {
	case gitsync.Untrusted:
		hint = "if the key is to be trusted, put its public half into the Secret that spec.verify.secretRef names"
	case gitsync.Expired:
		hint = "sign with another key, or prolong this one and put its public half into the Secret again"
	case gitsync.Invalid:
		hint = "do not trust it before you know how it came about; then sign again"
	case gitsync.Missing, gitsync.Signed: // the first hint fits
	}
	return &gitsync.Failure{Reason: gitsync.SignatureRefused, Verdict: refusal.Verdict, Err: err, Problem: &problem.Problem{
		Code: "S206", Severity: problem.Error, Field: "spec.verify", Message: problem.Clean(refusal.Message, problem.MaxMessage), Hint: hint}}
}

// checkHash compares an object that was read with its id: what a disk or a faulty index made of it is not the object.
func checkHash(kind plumbing.ObjectType, id plumbing.Hash, content []byte) error {
	h := sha1cd.New()
	h.Write([]byte(kind.String() + " " + strconv.Itoa(len(content)) + "\x00"))
	h.Write(content)
	if sum := hex.EncodeToString(h.Sum(nil)); sum != id.String() {
		return fmt.Errorf("object %s has the content of %s", id, sum)
	}
	return nil
}
