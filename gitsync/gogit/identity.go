package gogit

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"errors"

	"golang.org/x/crypto/ssh"

	"github.com/sluice-dev/sluice/gitsync"
)

const leastRSA = 2048 // bits

// readIdentity makes a signer of a private key. No error repeats anything of it.
func readIdentity(s gitsync.Secret) (ssh.Signer, error) {
	refuse := func(text string) (ssh.Signer, error) {
		return nil, gitsync.Fail(gitsync.SecretInvalid, errors.New(text))
	}
	raw, err := ssh.ParseRawPrivateKey([]byte(s.Identity))
	if _, locked := errors.AsType[*ssh.PassphraseMissingError](err); locked {
		if s.Password == "" {
			return refuse("key identity is encrypted: put its passphrase into key password")
		}
		raw, err = ssh.ParseRawPrivateKeyWithPassphrase([]byte(s.Identity), []byte(s.Password))
	}
	if errors.Is(err, x509.IncorrectPasswordError) {
		return refuse("key password is not the passphrase of key identity")
	}
	if err != nil {
		return refuse("key identity is not a private key that can be read")
	}
	algorithms := []string(nil)
	switch key := raw.(type) {
	case *rsa.PrivateKey:
		if key.N.BitLen() < leastRSA {
			return refuse("key identity is an RSA key of less than 2048 bits")
		}
		algorithms = []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	case *ed25519.PrivateKey, *ecdsa.PrivateKey:
	default:
		return refuse("key identity is neither ed25519, ECDSA nor RSA")
	}
	signer, err := ssh.NewSignerFromKey(raw)
	if err != nil {
		return refuse("key identity cannot sign")
	}
	able, ok := signer.(ssh.AlgorithmSigner)
	if algorithms == nil || !ok {
		return signer, nil
	}
	return ssh.NewSignerWithAlgorithms(able, algorithms)
}
