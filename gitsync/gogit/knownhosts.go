package gogit

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the form of hashed names
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/gitsync"
)

// knownHosts are the lines of a known_hosts file that speak of one host. Nothing is trusted on first use.
type knownHosts struct {
	name        string // as the file writes it: host, or [host]:port
	keys        []ssh.PublicKey
	authorities []ssh.PublicKey // sign host certificates
	revoked     []ssh.PublicKey
}

// readKnownHosts reads the whole text, so that a mistake in any line is told, and keeps what speaks of the address.
func readKnownHosts(text, address string) (knownHosts, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return knownHosts{}, gitsync.Fail(gitsync.AddressRefused, fmt.Errorf("address of the remote: %w", err))
	}
	k := knownHosts{name: strings.ToLower(host)}
	if port != "22" {
		k.name = "[" + k.name + "]:" + port
	}
	number := 0
	for line := range strings.Lines(text) {
		number++
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		if err := k.read(line); err != nil {
			return knownHosts{}, gitsync.Fail(gitsync.SecretInvalid, fmt.Errorf("key known_hosts, line %d: %w", number, err))
		}
	}
	return k, nil
}

func (k *knownHosts) read(line string) error {
	marker, patterns, key, _, _, err := ssh.ParseKnownHosts([]byte(line))
	if err != nil {
		return errors.New("not a host name with a key")
	}
	if hostAlgorithms(key) == nil {
		return fmt.Errorf("keys of type %.40q are not supported", key.Type())
	}
	matches, err := matchesAny(patterns, k.name)
	if err != nil {
		return err
	}
	list := &k.keys
	switch marker {
	case "":
	case "cert-authority":
		list = &k.authorities
	case "revoked":
		list = &k.revoked
	default:
		return errors.New("its marker is none of @cert-authority and @revoked")
	}
	if matches {
		*list = append(*list, key)
	}
	return nil
}

// matchesAny reports whether a name is meant by patterns: hashed, or with * and ?; one that begins with ! excludes.
func matchesAny(patterns []string, name string) (bool, error) {
	found := false
	for _, p := range patterns {
		if strings.HasPrefix(p, "|") {
			same, err := hashes(p, name)
			if err != nil {
				return false, err
			}
			found = found || same
			continue
		}
		bare, excludes := strings.CutPrefix(strings.ToLower(p), "!")
		switch hit := glob(bare, name); {
		case hit && excludes:
			return false, nil
		case hit:
			found = true
		}
	}
	return found, nil
}

// hashes reports whether |1|salt|hash stands for a name.
func hashes(entry, name string) (bool, error) {
	part := strings.Split(entry, "|")
	if len(part) != 4 || part[1] != "1" {
		return false, errors.New("a hashed name is not of the form |1|salt|hash")
	}
	salt, err := base64.StdEncoding.DecodeString(part[2])
	if err != nil {
		return false, errors.New("the salt of a hashed name is not base64")
	}
	want, err := base64.StdEncoding.DecodeString(part[3])
	if err != nil || len(want) != sha1.Size {
		return false, errors.New("a hashed name is not 20 bytes in base64")
	}
	mac := hmac.New(sha1.New, salt)
	mac.Write([]byte(name))
	return hmac.Equal(mac.Sum(nil), want), nil
}

// glob matches with * for any run of characters and ? for one.
func glob(pattern, name string) bool {
	at, star, mark := 0, -1, 0
	i := 0
	for i < len(name) {
		switch {
		case at < len(pattern) && pattern[at] == '*':
			star, mark = at, i
			at++
		case at < len(pattern) && (pattern[at] == '?' || pattern[at] == name[i]):
			at, i = at+1, i+1
		case star >= 0:
			mark++
			at, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[at:], "*") == ""
}

// hostAlgorithms gives the signature algorithms by which a server may prove that it has a key; nil for a type that we
// do not take. RSA signs with SHA-2 only.
func hostAlgorithms(key ssh.PublicKey) []string {
	switch t := key.Type(); t {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521:
		return []string{t}
	case ssh.KeyAlgoRSA:
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return nil
}

// algorithms are those that the host may be asked for. For a host that no line knows they are all: what it offers
// is told to people.
func (k knownHosts) algorithms() []string {
	var out []string
	if len(k.authorities) > 0 || !k.knows() {
		out = append(out, ssh.CertAlgoED25519v01, ssh.CertAlgoECDSA256v01, ssh.CertAlgoECDSA384v01, ssh.CertAlgoECDSA521v01,
			ssh.CertAlgoRSASHA512v01, ssh.CertAlgoRSASHA256v01)
	}
	if !k.knows() {
		out = append(out, ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
	}
	for _, key := range k.keys {
		out = append(out, hostAlgorithms(key)...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (k knownHosts) knows() bool { return len(k.keys)+len(k.authorities) > 0 }

func contains(keys []ssh.PublicKey, key ssh.PublicKey) bool {
	return slices.ContainsFunc(keys, func(k ssh.PublicKey) bool { return string(k.Marshal()) == string(key.Marshal()) })
}

// check decides about the key that a host has proven to have.
func (k knownHosts) check(address string, key ssh.PublicKey, now func() time.Time) error {
	offered := key.Type() + " " + ssh.FingerprintSHA256(key)
	cert, certified := key.(*ssh.Certificate)
	if certified {
		offered = "a certificate for " + ssh.FingerprintSHA256(cert.Key)
	}
	switch {
	case contains(k.revoked, key) || (certified && (contains(k.revoked, cert.Key) || contains(k.revoked, cert.SignatureKey))):
		return k.refuse(gitsync.HostKeyMismatch, "offers "+offered+", which known_hosts has revoked", "find out why it was revoked and who answers with it")
	case !k.knows():
		return k.refuse(gitsync.HostKeyUnknown, "offers "+offered+"; known_hosts has no line for it",
			"compare the fingerprint with what the host's owner publishes, then add the line to key known_hosts")
	case !certified && contains(k.keys, key):
		return nil
	case !certified:
		return k.refuse(gitsync.HostKeyMismatch, "offers "+offered+", another key than known_hosts has", "ask the host's owner whether the key was changed; if not, somebody stands between")
	}
	checker := ssh.CertChecker{IsHostAuthority: func(a ssh.PublicKey, _ string) bool { return contains(k.authorities, a) }, Clock: now}
	if err := checker.CheckHostKey(address, nil, key); err != nil {
		return k.refuse(gitsync.HostKeyMismatch, "offers "+offered+", which does not hold: "+clean(err.Error()), "ask the host's owner for a new certificate")
	}
	return nil
}

func (k knownHosts) refuse(r gitsync.Reason, what, hint string) error {
	message := k.name + " " + what
	return &gitsync.Failure{Reason: r, Err: errors.New(message),
		Problem: &problem.Problem{Code: "S211", Severity: problem.Error, Field: "spec.secretRef", Message: message, Hint: hint}}
}
