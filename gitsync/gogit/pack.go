package gogit

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"bufio"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"

	"github.com/sluice-dev/sluice/gitsync"
)

// errNotOurRef is a server's answer to a wish for a commit that is no longer, or not at all, a ref's tip.
var errNotOurRef = errors.New("not our ref")

// fetchPack asks for one commit at depth one, thin against the tips that g holds, checks the pack and stores it.
func (h *handle) fetchPack(ctx context.Context, g *generation, id string) (int64, error) {
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
			return 0, gitsync.Fail(gitsync.StorageFailed, err)
		}
	}
	if err := req.Capabilities.Set(capability.Agent, "sluice"); err != nil {
		return 0, gitsync.Fail(gitsync.StorageFailed, err)
	}
	body, err := encodeRequest(req)
	if err != nil {
		return 0, gitsync.Fail(gitsync.StorageFailed, err)
	}
	answer, err := h.remote.ask(ctx, body, false)
	if err != nil {
		return 0, err
	}
	defer answer.Close()
	in := bufio.NewReader(&bounded{from: answer, left: h.limits.PackBytes + h.limits.PackBytes/64 + 64<<10, what: "pack"})
	if err := readHead(in); err != nil {
		return 0, h.remote.explain(ctx, err)
	}
	spool, err := os.CreateTemp(g.dir, "incoming-*")
	if err != nil {
		return 0, gitsync.Fail(gitsync.StorageFailed, fmt.Errorf("spooling a pack: %w", errors.Unwrap(err)))
	}
	defer os.Remove(spool.Name())
	defer spool.Close()
	size, err := io.Copy(spool, &bounded{from: sideband.NewDemuxer(sideband.Sideband64k, in), left: h.limits.PackBytes + 1, what: "pack"})
	if err != nil {
		return 0, h.remote.explain(ctx, err)
	}
	return size, h.store(g, spool)
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

// store checks a spooled pack and then indexes it: as it is, or object by object when it is thin.
func (h *handle) store(g *generation, spool *os.File) error {
	g.lock.Lock()
	defer g.lock.Unlock()
	thin, err := checkPack(spool, h.limits, func(id plumbing.Hash) bool { return g.store.HasEncodedObject(id) == nil })
	if err != nil {
		return err
	}
	if _, err := spool.Seek(0, io.SeekStart); err != nil {
		return gitsync.Fail(gitsync.StorageFailed, fmt.Errorf("rereading a pack: %w", err))
	}
	if err := index(g, spool, thin); err != nil {
		return gitsync.Fail(gitsync.StorageFailed, fmt.Errorf("storing a pack: %w", err))
	}
	g.store.Reindex()
	return nil
}

func index(g *generation, spool *os.File, thin bool) error {
	if !thin {
		return packfile.WritePackfileToObjectStorage(g.store, spool)
	}
	parser, err := packfile.NewParserWithStorage(packfile.NewScanner(spool), g.store)
	if err != nil {
		return err
	}
	_, err = parser.Parse()
	return err
}

// checkPack scans a pack without building any object: number and sizes, declared and of deltas' targets, depth of
// chains, and that each base is known. thin says that a base is outside the pack.
func checkPack(r io.ReadSeeker, l Limits, known func(plumbing.Hash) bool) (thin bool, err error) {
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return false, gitsync.Fail(gitsync.StorageFailed, fmt.Errorf("reading a pack: %w", err))
	}
	s := packfile.NewScanner(r)
	_, count, err := s.Header()
	if err != nil {
		return false, gitsync.Fail(gitsync.StorageFailed, fmt.Errorf("pack header: %w", err))
	}
	if int64(count) > l.Objects {
		return false, exceeded("%d objects in a pack, %d are allowed", count, l.Objects)
	}
	depth := map[int64]int{}
	var total int64
	for range count {
		header, err := s.NextObjectHeader()
		if err != nil {
			return false, gitsync.Fail(gitsync.StorageFailed, fmt.Errorf("pack object: %w", err))
		}
		size := header.Length
		if size > l.ObjectBytes {
			return false, exceeded("an object of %d bytes, %d are allowed", size, l.ObjectBytes)
		}
		head := &prefix{}
		if _, _, err := s.NextObject(head); err != nil {
			return false, gitsync.Fail(gitsync.StorageFailed, fmt.Errorf("pack object: %w", err))
		}
		switch header.Type {
		case plumbing.REFDeltaObject:
			thin = thin || known(header.Reference)
			size += head.target()
			depth[header.Offset] = 1
		case plumbing.OFSDeltaObject:
			size += head.target()
			depth[header.Offset] = depth[header.OffsetReference] + 1
		default: // a whole object is as large as its header says, and no delta
		}
		total += size
		switch {
		case head.target() > l.ObjectBytes && header.Type.IsDelta():
			return false, exceeded("an object of %d bytes, %d are allowed", head.target(), l.ObjectBytes)
		case total > l.InflatedBytes:
			return false, exceeded("more than %d bytes of objects in a pack", l.InflatedBytes)
		case depth[header.Offset] > l.DeltaDepth:
			return false, exceeded("a delta chain deeper than %d", l.DeltaDepth)
		}
	}
	return thin, nil
}

func exceeded(format string, args ...any) error {
	return gitsync.Fail(gitsync.LimitExceeded, fmt.Errorf(format, args...))
}

// prefix keeps the first bytes of an object: where a delta says the sizes of its base and its target.
type prefix struct {
	b []byte
}

// Write implements io.Writer.
func (p *prefix) Write(b []byte) (int, error) {
	if room := 2*binary.MaxVarintLen64 - len(p.b); room > 0 {
		p.b = append(p.b, b[:min(room, len(b))]...)
	}
	return len(b), nil
}

// target gives the size of a delta's target; one that cannot be read is as large as can be.
func (p *prefix) target() int64 {
	_, n := binary.Uvarint(p.b)
	if n <= 0 {
		return 1 << 40
	}
	size, n := binary.Uvarint(p.b[n:])
	if n <= 0 || size > 1<<40 {
		return 1 << 40
	}
	return int64(size)
}
