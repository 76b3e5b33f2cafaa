package signature

import (
	"bufio"
	"bytes"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"golang.org/x/crypto/ssh"
)

// Keys are the trusted public keys. The zero value trusts nobody.
type Keys struct {
	ssh map[string]sshKey // by wire form
	pgp openpgp.EntityList
}

// sshKey is one line of an authorized_keys file.
type sshKey struct {
	public ssh.PublicKey
	until  time.Time // zero: for ever
}

const leastRSA = 2048 // bits

// ReadKeys reads the files *.asc (OpenPGP, armoured), *.pub and *.sshpub (lines of an authorized_keys file). Files with
// other names are refused, like keys that could never count: nothing is passed over. The error names files and lines,
// never their content.
func ReadKeys(files map[string][]byte) (Keys, error) {
	k := Keys{ssh: map[string]sshKey{}}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		var err error
		switch {
		case strings.HasSuffix(name, ".asc"):
			err = k.addPGP(files[name])
		case strings.HasSuffix(name, ".pub"), strings.HasSuffix(name, ".sshpub"):
			err = k.addSSH(files[name])
		default:
			err = errors.New("is none of *.asc, *.pub and *.sshpub")
		}
		if err != nil {
			return Keys{}, fmt.Errorf("key %s: %w", name, err)
		}
	}
	if len(k.ssh)+len(k.pgp) == 0 {
		return Keys{}, errors.New("none of the keys *.asc, *.pub and *.sshpub holds a public key")
	}
	return k, nil
}

// addSSH reads lines of an authorized_keys file; the only option that counts is expiry-time.
func (k *Keys) addSSH(file []byte) error {
	number := 0
	for line := range bytes.Lines(file) {
		number++
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		public, _, options, _, err := ssh.ParseAuthorizedKey(line)
		if err != nil {
			return fmt.Errorf("line %d is not a public key", number)
		}
		key := sshKey{public: public}
		for _, option := range options {
			value, ok := strings.CutPrefix(strings.ToLower(option), "expiry-time=")
			if !ok {
				return fmt.Errorf("line %d has an option other than expiry-time", number)
			}
			if key.until, err = expiry(strings.Trim(value, `"`)); err != nil {
				return fmt.Errorf("line %d: %w", number, err)
			}
		}
		if err := soundKey(public); err != nil {
			return fmt.Errorf("line %d %w", number, err)
		}
		k.ssh[string(public.Marshal())] = key
	}
	return nil
}

// expiry reads YYYYMMDD[HHMM[SS]][Z], in UTC.
func expiry(text string) (time.Time, error) {
	text = strings.TrimSuffix(text, "z")
	for _, layout := range []string{"20060102", "200601021504", "20060102150405"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, errors.New("expiry-time is not of the form YYYYMMDDHHMM")
}

func soundKey(public ssh.PublicKey) error {
	switch public.Type() {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256:
		return nil
	case ssh.KeyAlgoRSA:
		held, ok := public.(ssh.CryptoPublicKey)
		if !ok {
			return errors.New("cannot be read")
		}
		if key, ok := held.CryptoPublicKey().(*rsa.PublicKey); ok && key.N.BitLen() >= leastRSA {
			return nil
		}
		return errors.New("is an RSA key of less than 2048 bits")
	}
	return errors.New("is neither ed25519, ECDSA nor RSA, or a certificate")
}

// addPGP reads armoured blocks of public keys, one after the other.
func (k *Keys) addPGP(file []byte) error {
	in := bufio.NewReader(bytes.NewReader(file)) // one for all blocks: what is read ahead stays
	for blocks := 0; ; blocks++ {
		block, err := armor.Decode(in)
		if errors.Is(err, io.EOF) && blocks > 0 {
			return nil
		}
		switch {
		case err != nil:
			return errors.New("is not an armoured OpenPGP key")
		case block.Type != openpgp.PublicKeyType:
			return errors.New("holds something else than public keys: export them with gpg --armor --export")
		}
		packets := packet.NewReader(block.Body)
		for {
			e, err := openpgp.ReadEntity(packets)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return errors.New("holds an OpenPGP key that cannot be read")
			}
			k.pgp = append(k.pgp, e)
		}
	}
}
