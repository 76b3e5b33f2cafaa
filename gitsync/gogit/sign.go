package gogit

import (
	"crypto/rand"
	"crypto/sha512"
	"encoding/pem"
	"fmt"

	"golang.org/x/crypto/ssh"

	"github.com/sluice-dev/sluice/gitsync"
)

// The parts of OpenSSH's signatures, as its file PROTOCOL.sshsig says.
const (
	signatureMagic     = "SSHSIG"
	signatureVersion   = 1
	signatureNamespace = "git"
	signatureHash      = "sha512"
)

// Signer gives what signs commits with the SSH key of a Secret.
func (r *Repositories) Signer(s gitsync.Secret) (func(payload []byte) (string, error), error) {
	key, err := readIdentity(s)
	if err != nil {
		return nil, err
	}
	return func(payload []byte) (string, error) { return signSSH(key, payload) }, nil
}

func signSSH(key ssh.Signer, payload []byte) (string, error) {
	sum := sha512.Sum512(payload)
	signed := append([]byte(signatureMagic), ssh.Marshal(struct {
		Namespace, Reserved, Algorithm string
		Sum                            []byte
	}{signatureNamespace, "", signatureHash, sum[:]})...)
	var sig *ssh.Signature
	var err error
	if with, ok := key.(ssh.AlgorithmSigner); ok && key.PublicKey().Type() == ssh.KeyAlgoRSA {
		sig, err = with.SignWithAlgorithm(rand.Reader, signed, ssh.KeyAlgoRSASHA512)
	} else {
		sig, err = key.Sign(rand.Reader, signed)
	}
	if err != nil {
		return "", fmt.Errorf("signing with the SSH key: %w", err)
	}
	blob := append([]byte(signatureMagic), ssh.Marshal(struct {
		Version                        uint32
		Key                            []byte
		Namespace, Reserved, Algorithm string
		Signature                      []byte
	}{signatureVersion, key.PublicKey().Marshal(), signatureNamespace, "", signatureHash, ssh.Marshal(sig)})...)
	return string(pem.EncodeToMemory(&pem.Block{Type: "SSH SIGNATURE", Bytes: blob})), nil
}
