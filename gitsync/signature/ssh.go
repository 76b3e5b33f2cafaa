package signature

import (
	"bytes"
	"encoding/pem"
	"time"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"github.com/sluice-dev/sluice/gitsync"
)

// namespace keeps signatures that were made for something else from counting for Git.
const namespace = "git"

// checkSSH judges a signature by ssh-keygen.
func (k Keys) checkSSH(what string, payload []byte, text string, now time.Time) (string, error) {
	block, rest := pem.Decode([]byte(text))
	if block == nil || len(bytes.TrimSpace(rest)) > 0 || block.Type != sshsig.PEMType || len(block.Headers) > 0 {
		return "", refuse(gitsync.Invalid, "the SSH signature of %s cannot be read", what)
	}
	sig, err := sshsig.ParseSignature(block.Bytes)
	if err != nil || sig.Signature == nil || sig.PublicKey == nil {
		return "", refuse(gitsync.Invalid, "the SSH signature of %s cannot be read", what)
	}
	fingerprint := ssh.FingerprintSHA256(sig.PublicKey)
	key, known := k.ssh[string(sig.PublicKey.Marshal())]
	switch {
	case !known:
		return "", refuse(gitsync.Untrusted, "%s is signed by %s, which is none of the trusted keys", what, fingerprint)
	case sig.Namespace != namespace:
		return "", refuse(gitsync.Invalid, "the signature of %s was made for something else than Git", what)
	case !soundFormat(key.public.Type(), sig.Signature.Format):
		return "", refuse(gitsync.Invalid, "the signature of %s is of an algorithm that does not count", what)
	case !key.until.IsZero() && !now.Before(key.until):
		return "", refuse(gitsync.Expired, "%s is signed by %s, whose expiry-time has passed", what, fingerprint)
	}
	if err := sshsig.Verify(bytes.NewReader(payload), sig, key.public, sig.HashAlgorithm, namespace); err != nil {
		return "", refuse(gitsync.Invalid, "the signature of %s by %s does not fit it", what, fingerprint)
	}
	return fingerprint, nil
}

// soundFormat leaves out RSA with SHA-1.
func soundFormat(key, format string) bool {
	if key == ssh.KeyAlgoRSA {
		return format == ssh.KeyAlgoRSASHA256 || format == ssh.KeyAlgoRSASHA512
	}
	return key == format
}
