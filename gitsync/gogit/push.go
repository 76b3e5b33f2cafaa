package gogit

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/storer"

	"github.com/sluice-dev/sluice/gitsync"
)

const (
	zeroID       = "0000000000000000000000000000000000000000"
	reportBytes  = 1 << 20
	identityPart = "<>\n\x00"
)

// Tips gives the ids that refs, by their full names, have at a remote. A ref that is not there is left out.
func (r *Repositories) Tips(ctx context.Context, remote gitsync.Remote, refs ...string) (map[string]string, error) {
	h, err := r.vetted(remote)
	if err != nil {
		return nil, err
	}
	if err := h.busy.Acquire(ctx, 1); err != nil {
		return nil, gitsync.Fail(gitsync.Timeout, fmt.Errorf("waiting for a fetch from the same remote: %w", err))
	}
	defer h.busy.Release(1)
	defer h.remote.rest()
	l, err := h.list(ctx, refs)
	if err != nil {
		return nil, gitsync.Conceal(err, append(remote.Secrets(), h.remote.spoken()...))
	}
	out := map[string]string{}
	for _, ref := range refs {
		if at, ok := l.tips[ref]; ok {
			out[ref] = at.commit
		}
		if ref == "HEAD" && l.symrefs[ref] != "" {
			out[l.symrefs[ref]] = l.tips[ref].commit
		}
	}
	return out, nil
}

// vetted opens a remote that may be spoken to.
func (r *Repositories) vetted(remote gitsync.Remote) (*handle, error) {
	if p := gitsync.CheckRemote(remote, r.cfg.Insecure); p != nil {
		return nil, &gitsync.Failure{Reason: gitsync.AddressRefused, Err: errors.New(p.Message), Problem: p}
	}
	return r.open(remote)
}

// Push moves one ref, on condition that it is still where it was, and gives the commit that it is at then. It never forces.
func (r *Repositories) Push(ctx context.Context, p gitsync.Push) (string, error) {
	if p := gitsync.CheckRemote(p.Remote, r.cfg.Insecure); p != nil {
		return "", &gitsync.Failure{Reason: gitsync.AddressRefused, Err: errors.New(p.Message), Problem: p}
	}
	timeout := p.Timeout
	if timeout == 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	id, pack, err := contentOf(p)
	if err != nil {
		return "", err
	}
	old := p.Old
	if old == "" {
		old = zeroID
	}
	body := appendPacket(nil, old+" "+id+" "+p.Ref+"\x00report-status agent=sluice\n")
	body = append(append(body, "0000"...), pack...)
	t, err := r.transport(p.Remote)
	if err != nil {
		return "", err
	}
	defer t.hangUp()
	veiled := func(err error) error { return gitsync.Conceal(err, append(p.Remote.Secrets(), t.spoken()...)) }
	answer, err := send(ctx, t, body)
	if err != nil {
		return "", veiled(err)
	}
	defer answer.Close()
	if err := readReport(&bounded{from: answer, left: reportBytes, what: "answer"}, p.Ref); err != nil {
		return "", veiled(t.explain(ctx, err))
	}
	return id, nil
}

// send starts git-receive-pack at the other end.
func send(ctx context.Context, t transport, body []byte) (io.ReadCloser, error) {
	switch t := t.(type) {
	case *shell:
		t.command = "git-receive-pack" + strings.TrimPrefix(t.command, "git-upload-pack")
		return t.ask(ctx, body, false)
	case *client:
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.base+"/git-receive-pack", bytes.NewReader(body))
		if err != nil {
			return nil, gitsync.Fail(gitsync.Unreachable, err)
		}
		req.Header.Set("Content-Type", "application/x-git-receive-pack-request")
		req.Header.Set("Accept", "application/x-git-receive-pack-result")
		return t.do(req, "application/x-git-receive-pack-result")
	}
	return nil, fmt.Errorf("pushing over %T is not possible", t)
}

// contentOf gives the commit that the ref is to have, and the pack with what the server may lack.
func contentOf(p gitsync.Push) (string, []byte, error) {
	if p.Content == nil {
		pack, err := encodePack(nil, nil)
		return p.New, pack, err
	}
	t, ok := p.Content.(*edited)
	if !ok {
		return "", nil, fmt.Errorf("pushing a tree of another kind: %T", p.Content)
	}
	raw, err := encodeCommit(p, t.root)
	if err != nil {
		return "", nil, err
	}
	id, err := t.store(plumbing.CommitObject, raw)
	if err != nil {
		return "", nil, err
	}
	t.g.lock.Lock()
	defer t.g.lock.Unlock()
	pack, err := encodePack(t.g.store, append(slices.Clone(t.made), id))
	return id.String(), pack, err
}

func encodePack(from storer.EncodedObjectStorer, ids []plumbing.Hash) ([]byte, error) {
	var pack bytes.Buffer
	if _, err := packfile.NewEncoder(&pack, from, false).Encode(ids, 0); err != nil {
		return nil, gitsync.Fail(gitsync.StorageFailed, fmt.Errorf("writing a pack: %w", err))
	}
	return pack.Bytes(), nil
}

// encodeCommit writes a commit, with its signature over all the rest.
func encodeCommit(p gitsync.Push, root plumbing.Hash) ([]byte, error) {
	if strings.ContainsAny(p.Author.Name+p.Author.Email, identityPart) {
		return nil, fmt.Errorf("the author %q <%q> has characters that a commit cannot hold", p.Author.Name, p.Author.Email)
	}
	parent := p.Parent
	if parent == "" {
		parent = p.Old
	}
	who := fmt.Sprintf("%s <%s> %d +0000", p.Author.Name, p.Author.Email, p.Author.Time.Unix())
	head := "tree " + root.String() + "\n"
	if parent != "" {
		head += "parent " + parent + "\n"
	}
	head += "author " + who + "\ncommitter " + who + "\n"
	message := "\n" + strings.TrimRight(strings.ReplaceAll(p.Message, "\x00", ""), "\n") + "\n"
	if p.Sign == nil {
		return []byte(head + message), nil
	}
	signature, err := p.Sign([]byte(head + message))
	if err != nil {
		return nil, fmt.Errorf("signing a commit: %w", err)
	}
	lines := strings.ReplaceAll(strings.TrimRight(signature, "\n"), "\n", "\n ")
	return []byte(head + "gpgsig " + lines + "\n" + message), nil
}

// readReport reads what became of the pack and of the ref.
func readReport(from io.Reader, ref string) error {
	in := bufio.NewReader(from)
	unpacked := false
	for {
		line, kind, err := readPacket(in)
		switch {
		case errors.Is(err, io.EOF) || err == nil && kind == flush:
			return errors.New("the server does not say what became of the push")
		case err != nil:
			return fmt.Errorf("reading the answer: %w", err)
		case line == "unpack ok":
			unpacked = true
		case strings.HasPrefix(line, "unpack "):
			return fmt.Errorf("%w: %s", gitsync.ErrPushRefused, clean(line))
		case unpacked && line == "ok "+ref:
			return nil
		case strings.HasPrefix(line, "ng "):
			return fmt.Errorf("%w: %s", gitsync.ErrPushRefused, clean(strings.TrimPrefix(line, "ng ")))
		}
	}
}
