package signature

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"github.com/pjbgf/sha1cd"

	"github.com/sluice-dev/sluice/gitsync"
)

// signed is an object taken apart into what was signed and the signature.
type signed struct {
	payload   []byte
	signature string
	headers   []header
}

// header is one header of an object without its continuation lines.
type header struct{ key, value string }

// get gives the value of a header that is there once.
func (s signed) get(key string) string {
	for _, h := range s.headers {
		if h.key == key {
			return h.value
		}
	}
	return ""
}

const (
	headerSignature = "gpgsig"
	headerOther     = "gpgsig-sha256" // the signature of the same object under its other name
)

// checkID compares the hash of the raw object with its id. Both halves of a collision attack are refused.
func checkID(kind, id string, raw []byte) error {
	h := sha1cd.New().(sha1cd.CollisionResistantHash) //nolint:forcetypeassert // what New returns
	h.Write([]byte(kind + " " + strconv.Itoa(len(raw)) + "\x00"))
	h.Write(raw)
	sum, attacked := h.CollisionResistantSum(nil)
	if attacked || hex.EncodeToString(sum) != id {
		return refuse(gitsync.Invalid, "the content of %s %.12s is not what its id says", kind, id)
	}
	return nil
}

// takeApart splits an object after its headers and leaves the signatures' headers out of the payload. The form is
// checked as strictly as an honest client writes it: first in this order, once each, then what may follow once.
func takeApart(kind string, raw []byte, first []string) (signed, error) {
	end := bytes.Index(raw, []byte("\n\n"))
	if end < 0 {
		end = len(raw) - 1 // an object without a message ends with its last header
	}
	if end < 0 || raw[end] != '\n' || bytes.IndexByte(raw[:end], 0) >= 0 {
		return signed{}, refuse(gitsync.Invalid, "the headers of the %s are malformed", kind)
	}
	s := signed{payload: make([]byte, 0, len(raw))}
	dropped, kept := false, ""
	for line := range bytes.SplitAfterSeq(raw[:end+1], []byte("\n")) {
		text := strings.TrimSuffix(string(line), "\n")
		more, continued := strings.CutPrefix(text, " ")
		switch {
		case len(line) == 0:
			continue
		case continued && len(s.headers) == 0:
			return signed{}, refuse(gitsync.Invalid, "the headers of the %s are malformed", kind)
		case continued && kept == headerSignature:
			s.signature += more + "\n"
		case !continued:
			key, value, _ := strings.Cut(text, " ")
			s.headers = append(s.headers, header{key, value})
			kept, dropped = key, key == headerSignature || key == headerOther
			if key == headerSignature {
				s.signature = value + "\n"
			}
		}
		if !dropped {
			s.payload = append(s.payload, line...)
		}
	}
	s.payload = append(s.payload, raw[end+1:]...)
	return s, s.checkOrder(kind, first)
}

// checkOrder refuses objects that two readers could take for two different ones.
func (s signed) checkOrder(kind string, first []string) error {
	rest := s.headers
	for _, key := range first {
		if key == "parent" {
			for len(rest) > 0 && rest[0].key == key {
				rest = rest[1:]
			}
			continue
		}
		if len(rest) == 0 || rest[0].key != key {
			return refuse(gitsync.Invalid, "the %s has no header %s where it belongs", kind, key)
		}
		rest = rest[1:]
	}
	seen := slices.Clone(first)
	for _, h := range rest {
		once := !slices.Contains([]string{"mergetag", "HG:extra"}, h.key) // several parents may have been tags
		if once && slices.Contains(seen, h.key) {
			return refuse(gitsync.Invalid, "the %s has the header %.40q twice", kind, h.key)
		}
		seen = append(seen, h.key)
	}
	return nil
}

// trailing takes the signature off the end of a tag: it begins at the last line that begins one.
func (s signed) trailing() signed {
	at := -1
	for from := 0; from < len(s.payload); {
		if opens(string(s.payload[from:min(len(s.payload), from+40)])) {
			at = from
		}
		next := bytes.IndexByte(s.payload[from:], '\n')
		if next < 0 {
			break
		}
		from += next + 1
	}
	if at < 0 {
		return s
	}
	s.signature = string(s.payload[at:])
	s.payload = s.payload[:at]
	return s
}

// opens reports whether a text begins a signature of any kind that Git knows.
func opens(text string) bool {
	return slices.ContainsFunc([]string{beginPGP, beginOldPGP, beginSSH, beginX509}, func(begin string) bool { return strings.HasPrefix(text, begin) })
}
