package gogit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"

	"github.com/sluice-dev/sluice/gitsync"
)

// listing is what a remote says of the refs that were asked for.
type listing struct {
	tips    map[string]tip    // by full ref name
	symrefs map[string]string // "HEAD" -> "refs/heads/main"
}

// tip is what a ref points at.
type tip struct {
	commit string // tags are peeled to it
	object string // the commit itself, or the annotated tag
}

// list asks for the refs with the given prefixes: by protocol version 2 where the server speaks it, else from the
// advertisement of version 0, which names every ref.
func (h *handle) list(ctx context.Context, prefixes []string) (listing, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	if h.knowsV2 <= 0 {
		l, v2, err := h.advertisement(ctx)
		if err != nil || !v2 {
			return l, err
		}
		h.knowsV2 = capabilityReuse
	}
	h.knowsV2--
	l, err := h.lsRefs(ctx, prefixes)
	if err != nil {
		h.knowsV2 = 0
	}
	return l, err
}

// greet learns how the server speaks where no listing has told.
func (h *handle) greet(ctx context.Context) error {
	if h.greeted {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	_, v2, err := h.advertisement(ctx)
	if v2 && err == nil {
		h.knowsV2 = capabilityReuse
	}
	return err
}

// advertisement reads the first answer of the server. It is the listing itself where the server speaks version 0.
func (h *handle) advertisement(ctx context.Context) (listing, bool, error) {
	body, err := h.remote.advertise(ctx)
	if err != nil {
		return listing{}, false, err
	}
	defer body.Close()
	h.canFilter, h.multiAck = false, false
	in := bufio.NewReader(&bounded{from: body, left: 4 * h.limits.ListBytes, what: "listing"})
	v2, err := opening(in)
	if err != nil {
		return listing{}, false, h.remote.explain(ctx, fmt.Errorf("reading the advertisement: %w", err))
	}
	if v2 {
		err := h.readCapabilities(ctx, in)
		h.greeted = err == nil
		return listing{}, true, err
	}
	adv := packp.NewAdvRefs()
	if err := adv.Decode(in); err != nil && !errors.Is(err, packp.ErrEmptyAdvRefs) && !errors.Is(err, packp.ErrEmptyInput) {
		return listing{}, false, h.remote.explain(ctx, fmt.Errorf("reading the advertisement: %w", err))
	}
	h.greeted, h.canFilter = true, adv.Capabilities.Supports(capability.Filter)
	h.multiAck = adv.Capabilities.Supports(capability.MultiACK) && !adv.Capabilities.Supports(capability.MultiACKDetailed)
	return fromAdvertisement(adv), false, nil
}

// opening drops the line with the service's name, which only HTTP has, and tells whether the server has chosen version 2.
// It never waits for more than the packet that says so: over SSH a server then waits for us.
func opening(in *bufio.Reader) (bool, error) {
	line, err := peekPacket(in)
	if strings.HasPrefix(line, "# service=") {
		if _, _, err := readPacket(in); err != nil {
			return false, err
		}
		if flushed, _ := in.Peek(4); string(flushed) == "0000" {
			_, _ = in.Discard(4) // just peeked at
		}
		line, err = peekPacket(in)
	}
	if errors.Is(err, io.EOF) {
		err = nil // an empty advertisement
	}
	if line != "version 2" || err != nil {
		return false, err
	}
	_, _, err = readPacket(in)
	return true, err
}

// peekPacket gives the data line that comes next, at most the beginning of a long one, without consuming it.
func peekPacket(in *bufio.Reader) (string, error) {
	head, err := in.Peek(4)
	if err != nil {
		return "", err
	}
	size, err := strconv.ParseUint(string(head), 16, 16)
	if err != nil {
		return "", errors.New("malformed packet length")
	}
	packet, err := in.Peek(max(4, min(int(size), 64)))
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(string(packet[4:]), "\n"), nil
}

func fromAdvertisement(adv *packp.AdvRefs) listing {
	l := listing{tips: map[string]tip{}, symrefs: map[string]string{}}
	for name, id := range adv.References {
		l.tips[name] = tip{id.String(), id.String()}
	}
	for name, id := range adv.Peeled {
		l.tips[name] = tip{id.String(), l.tips[name].object}
	}
	if adv.Head != nil {
		l.tips["HEAD"] = tip{adv.Head.String(), adv.Head.String()}
	}
	for _, pair := range adv.Capabilities.Get("symref") {
		if from, to, ok := strings.Cut(pair, ":"); ok {
			l.symrefs[from] = to
		}
	}
	return l
}

// readCapabilities learns what the server can, and refuses repositories whose object ids are not SHA-1.
func (h *handle) readCapabilities(ctx context.Context, in *bufio.Reader) error {
	for {
		line, kind, err := readPacket(in)
		if errors.Is(err, io.EOF) || kind == flush {
			return nil
		}
		if err != nil {
			return h.remote.explain(ctx, err)
		}
		if features, ok := strings.CutPrefix(line, "fetch="); kind == data && ok {
			h.canFilter = slices.Contains(strings.Fields(features), "filter")
		}
		if format, ok := strings.CutPrefix(line, "object-format="); kind == data && ok && format != "sha1" {
			return gitsync.Fail(gitsync.BuildFailed, fmt.Errorf("the repository uses object format %.20q; only sha1 is supported", format))
		}
	}
}

// lsRefs asks protocol version 2 for refs with the prefixes.
func (h *handle) lsRefs(ctx context.Context, prefixes []string) (listing, error) {
	var body []byte
	body = appendPacket(body, "command=ls-refs\n")
	body = appendPacket(body, "agent=sluice\n")
	body = appendPacket(body, "object-format=sha1\n")
	body = append(body, "0001"...)
	body = appendPacket(body, "peel\n")
	body = appendPacket(body, "symrefs\n")
	for _, p := range prefixes {
		body = appendPacket(body, "ref-prefix "+p+"\n")
	}
	body = append(body, "0000"...)
	answer, err := h.remote.ask(ctx, body, true)
	if err != nil {
		return listing{}, err
	}
	defer answer.Close()
	in := bufio.NewReader(&bounded{from: answer, left: h.limits.ListBytes, what: "listing"})
	l := listing{tips: map[string]tip{}, symrefs: map[string]string{}}
	for {
		line, kind, err := readPacket(in)
		if err != nil {
			return listing{}, h.remote.explain(ctx, fmt.Errorf("reading the listing: %w", err))
		}
		if kind == flush {
			return l, nil
		}
		if kind == data {
			l.add(line)
		}
	}
}

// add reads "<id> <ref>[ symref-target:<ref>][ peeled:<id>]".
func (l *listing) add(line string) {
	field := strings.Split(line, " ")
	if len(field) < 2 || !isID(field[0]) {
		return
	}
	name := field[1]
	l.tips[name] = tip{field[0], field[0]}
	for _, attribute := range field[2:] {
		if id, ok := strings.CutPrefix(attribute, "peeled:"); ok && isID(id) {
			l.tips[name] = tip{id, field[0]}
		}
		if target, ok := strings.CutPrefix(attribute, "symref-target:"); ok {
			l.symrefs[name] = target
		}
	}
}

func isID(s string) bool {
	if len(s) != 40 {
		return false
	}
	return strings.IndexFunc(s, func(r rune) bool { return !strings.ContainsRune("0123456789abcdef", r) }) < 0
}

// resolve finds the tip of a full ref name, and the ref's name for people.
func (l listing) resolve(full string) (target, error) {
	name := strings.TrimPrefix(strings.TrimPrefix(full, "refs/heads/"), tags)
	if full == "HEAD" {
		name = strings.TrimPrefix(l.symrefs["HEAD"], "refs/heads/")
		if name == "" {
			name = "HEAD"
		}
	}
	at, ok := l.tips[full]
	if !ok {
		return target{}, gitsync.Fail(gitsync.RefNotFound, fmt.Errorf("the remote has no %s", describe(full)))
	}
	return target{tip: at, ref: full, name: name}, nil
}

func describe(full string) string {
	switch {
	case strings.HasPrefix(full, "refs/heads/"):
		return "branch " + strconv.Quote(strings.TrimPrefix(full, "refs/heads/"))
	case strings.HasPrefix(full, "refs/tags/"):
		return "tag " + strconv.Quote(strings.TrimPrefix(full, "refs/tags/"))
	}
	return strconv.Quote(full)
}

func fullName(ref gitsync.Ref) string {
	switch {
	case ref.Branch != "":
		return "refs/heads/" + ref.Branch
	case ref.Tag != "":
		return "refs/tags/" + ref.Tag
	case ref.Name != "":
		return ref.Name
	}
	return "HEAD"
}

// The kinds of packets.
type packetKind int

const (
	data packetKind = iota
	flush
	delimiter
)

func appendPacket(b []byte, line string) []byte {
	return append(fmt.Appendf(b, "%04x", len(line)+4), line...)
}

// readPacket reads one packet; a data line comes without its line end. An ERR packet is an error.
func readPacket(in io.Reader) (string, packetKind, error) {
	var head [4]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return "", data, err
	}
	size, err := strconv.ParseUint(string(head[:]), 16, 16)
	if err != nil {
		return "", data, errors.New("malformed packet length")
	}
	switch size {
	case 0:
		return "", flush, nil
	case 1, 2:
		return "", delimiter, nil
	case 3:
		return "", data, errors.New("malformed packet length")
	}
	line := make([]byte, size-4)
	if _, err := io.ReadFull(in, line); err != nil {
		return "", data, err
	}
	text := strings.TrimSuffix(string(line), "\n")
	if message, ok := strings.CutPrefix(text, "ERR "); ok {
		return "", data, fmt.Errorf("the server says %.200q", message)
	}
	return text, data, nil
}
