package gogit

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"

	"github.com/sluice-dev/sluice/gitsync"
)

// errNotOurRef is a server's answer to a wish for a commit that is no longer, or not at all, a ref's tip.
var errNotOurRef = errors.New("not our ref")

// fetchPack asks for one commit at depth one, thin against the tips that g holds, checks the pack and stores it.
func (h *handle) fetchPack(ctx context.Context, g *generation, id string) (size int64, whole bool, err error) {
	req := packp.NewUploadPackRequest()
	req.Wants = []plumbing.Hash{plumbing.NewHash(id)}
	req.Depth = packp.DepthCommits(1)
	if h.multiAck {
		_ = req.Capabilities.Set(capability.MultiACK) // it takes no argument: it cannot fail
	} else {
		req.Haves = g.held()
		req.Shallows = g.held()
	}
	for _, c := range []capability.Capability{capability.Shallow, capability.ThinPack, capability.OFSDelta, capability.Sideband64k, capability.NoProgress} {
		if err := req.Capabilities.Set(c); err != nil {
			return 0, false, gitsync.Fail(gitsync.StorageFailed, err)
		}
	}
	if err := req.Capabilities.Set(capability.Agent, "sluice"); err != nil {
		return 0, false, gitsync.Fail(gitsync.StorageFailed, err)
	}
	body, err := encodeRequest(req)
	if err != nil {
		return 0, false, gitsync.Fail(gitsync.StorageFailed, err)
	}
	answer, err := h.remote.ask(ctx, body, false)
	if err != nil {
		return 0, false, err
	}
	defer answer.Close()
	in := bufio.NewReader(&bounded{from: answer, left: h.limits.PackBytes + h.limits.PackBytes/64 + 64<<10, what: "pack"})
	if err := readHead(in); err != nil {
		return 0, false, h.remote.explain(ctx, err)
	}
	pack := &bounded{from: sideband.NewDemuxer(sideband.Sideband64k, in), left: h.limits.PackBytes + 1, what: "pack"}
	return h.keep(ctx, g, &source{from: pack})
}

func encodeRequest(req *packp.UploadPackRequest) ([]byte, error) {
	var b bytes.Buffer
	if err := req.UploadRequest.Encode(&b); err != nil {
		return nil, fmt.Errorf("encoding the request: %w", err)
	}
	if err := req.UploadHaves.Encode(&b, false); err != nil {
		return nil, fmt.Errorf("encoding the request: %w", err)
	}
	return appendPacket(b.Bytes(), "done\n"), nil
}

// readHead reads the shallow commits, which are exactly the one wanted, and the acknowledgement. What follows is the pack.
func readHead(in *bufio.Reader) error {
	for {
		line, kind, err := readPacket(in)
		switch {
		case err != nil && strings.Contains(err.Error(), "not our ref"):
			return errNotOurRef
		case err != nil:
			return fmt.Errorf("reading the answer: %w", err)
		case kind == flush, strings.HasPrefix(line, "shallow "), strings.HasPrefix(line, "unshallow "):
			continue
		case line == "NAK", strings.HasPrefix(line, "ACK "):
			return skipAcks(in)
		}
		return fmt.Errorf("unexpected answer %.60q", line)
	}
}

// skipAcks drops further acknowledgements, which some servers repeat.
func skipAcks(in *bufio.Reader) error {
	for {
		ahead, err := in.Peek(7)
		if err != nil {
			return fmt.Errorf("reading the answer: %w", err)
		}
		if word := string(ahead[4:]); word != "ACK" && word != "NAK" {
			return nil
		}
		if _, _, err := readPacket(in); err != nil {
			return fmt.Errorf("reading the answer: %w", err)
		}
	}
}

// source reads a pack and remembers what broke it off, which readers above it do not tell from a pack that is bad.
type source struct {
	from  io.Reader
	bytes int64
	err   error // of the network, or a limit
}

// Read implements io.Reader.
func (s *source) Read(b []byte) (int, error) {
	n, err := s.from.Read(b)
	s.bytes += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

const (
	spoolBuffer = 256 << 10
	fewObjects  = 500 // of a pack that is stored object by object, so that each can go when nobody needs it
)

// keep spools a pack and looks at it on the way: what is over a limit is broken off there. Only a pack that has passed is
// stored, as it is, or object by object when it is thin or small.
func (h *handle) keep(ctx context.Context, g *generation, from *source) (size int64, whole bool, err error) {
	spool, err := os.CreateTemp(g.dir, "incoming-*")
	if err != nil {
		return 0, false, gitsync.Fail(gitsync.StorageFailed, fmt.Errorf("spooling a pack: %w", errors.Unwrap(err)))
	}
	defer os.Remove(spool.Name()) // unless it has become the stored pack
	defer spool.Close()
	disk := &disk{to: spool}
	in := bufio.NewReaderSize(io.TeeReader(from, disk), spoolBuffer)
	seen, err := checkPack(in, h.limits, g.has)
	if err == nil {
		err = seen.end(in)
	}
	switch {
	case from.err != nil:
		return 0, false, h.remote.explain(ctx, from.err)
	case disk.err != nil:
		return 0, false, gitsync.Fail(gitsync.StorageFailed, fmt.Errorf("spooling a pack: %w", disk.err))
	case err != nil:
		return 0, false, err
	}
	g.lock.Lock()
	defer g.lock.Unlock()
	whole, err = g.take(spool, seen, deltaMemory, g.birth > 0 && len(seen.objects) <= fewObjects)
	if _, known := errors.AsType[*gitsync.Failure](err); known {
		return 0, false, err
	}
	if err != nil {
		return 0, false, gitsync.Fail(gitsync.StorageFailed, fmt.Errorf("storing a pack: %w", err))
	}
	g.store.Reindex()
	return from.bytes, whole, nil
}

// disk remembers that the spool could not be written.
type disk struct {
	to  io.Writer
	err error
}

// Write implements io.Writer.
func (d *disk) Write(b []byte) (int, error) {
	n, err := d.to.Write(b)
	if err != nil {
		d.err = err
	}
	return n, err
}
