package signature

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/sluice-dev/sluice/gitsync"
)

// checkPGP judges a detached OpenPGP signature.
func (k Keys) checkPGP(what string, payload []byte, text string, now time.Time) (string, error) {
	block, err := armor.Decode(strings.NewReader(text))
	if err != nil {
		return "", refuse(gitsync.Invalid, "the OpenPGP signature of %s cannot be read", what)
	}
	raw, err := io.ReadAll(block.Body)
	if err != nil || block.Type != openpgp.SignatureType {
		return "", refuse(gitsync.Invalid, "the OpenPGP signature of %s cannot be read", what)
	}
	sig, err := onlySignature(raw)
	if err != nil {
		return "", refuse(gitsync.Invalid, "the OpenPGP signature of %s %s", what, err)
	}
	config := &packet.Config{Time: func() time.Time { return now }}
	signer, err := openpgp.CheckDetachedSignature(k.pgp, bytes.NewReader(payload), bytes.NewReader(raw), config)
	by := issuer(sig)
	if signer != nil {
		by = fingerprint(signer)
	}
	switch {
	case errors.Is(err, pgperrors.ErrUnknownIssuer):
		return "", refuse(gitsync.Untrusted, "%s is signed by %s, which is none of the trusted keys", what, by)
	case errors.Is(err, pgperrors.ErrKeyRevoked):
		return "", refuse(gitsync.Untrusted, "%s is signed by %s, which is revoked", what, by)
	case errors.Is(err, pgperrors.ErrKeyExpired):
		return "", refuse(gitsync.Expired, "%s is signed by %s, which has expired", what, by)
	case errors.Is(err, pgperrors.ErrSignatureExpired):
		return "", refuse(gitsync.Expired, "the signature of %s by %s has expired", what, by)
	case err != nil || signer == nil:
		return "", refuse(gitsync.Invalid, "the signature of %s by %s does not fit it", what, by)
	}
	return by, nil
}

// onlySignature reads the one packet that a detached signature has, and refuses algorithms that do not count.
func onlySignature(raw []byte) (*packet.Signature, error) {
	tags, opaque := []uint8(nil), packet.NewOpaqueReader(bytes.NewReader(raw))
	for {
		p, err := opaque.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, errors.New("cannot be read")
		}
		if tags = append(tags, p.Tag); len(tags) > 1 {
			return nil, errors.New("has more than one part")
		}
	}
	p, err := packet.NewReader(bytes.NewReader(raw)).Next()
	if err != nil {
		return nil, errors.New("is of an unknown version or algorithm")
	}
	sig, ok := p.(*packet.Signature)
	if !ok || sig.SigType != packet.SigTypeBinary {
		return nil, errors.New("is none over a document")
	}
	sound := []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512, crypto.SHA3_256, crypto.SHA3_512}
	if !slices.Contains(sound, sig.Hash) || !soundAlgorithm(sig.PubKeyAlgo) {
		return nil, errors.New("is of an algorithm that does not count")
	}
	return sig, nil
}

func soundAlgorithm(a packet.PublicKeyAlgorithm) bool {
	return slices.Contains([]packet.PublicKeyAlgorithm{packet.PubKeyAlgoRSA, packet.PubKeyAlgoECDSA, packet.PubKeyAlgoEdDSA, packet.PubKeyAlgoEd25519, packet.PubKeyAlgoEd448}, a)
}

// issuer names the key that a signature claims to be of.
func issuer(s *packet.Signature) string {
	if len(s.IssuerFingerprint) > 0 {
		return strings.ToUpper(hex.EncodeToString(s.IssuerFingerprint))
	}
	if s.IssuerKeyId != nil {
		return "key " + strings.ToUpper(hex.EncodeToString([]byte{byte(*s.IssuerKeyId >> 56), byte(*s.IssuerKeyId >> 48), byte(*s.IssuerKeyId >> 40),
			byte(*s.IssuerKeyId >> 32), byte(*s.IssuerKeyId >> 24), byte(*s.IssuerKeyId >> 16), byte(*s.IssuerKeyId >> 8), byte(*s.IssuerKeyId)}))
	}
	return "nobody"
}

// fingerprint names an owner by the primary key.
func fingerprint(e *openpgp.Entity) string {
	return strings.ToUpper(hex.EncodeToString(e.PrimaryKey.Fingerprint))
}
