// Package signing makes keys with the real ssh-keygen and gpg, and has git sign with them. A machine that lacks one of
// them fails the test with what to install.
//
//	key := signing.SSH(t, "ed25519")
//	w.Git(ctx, append(key.Args(), "commit", "-S", "-m", "signed")...)
package signing

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Key is a key pair that git can sign with.
type Key struct {
	File        string // name of the public key's file in a Secret: key.pub or key.asc
	Public      []byte // that file's content
	Fingerprint string

	args    []string
	home    string // of gpg
	program string // gpg with that home
}

// Args are the options of git, before the verb, that make it sign with the key.
func (k Key) Args() []string { return k.args }

// Files are the public halves of keys as a Secret holds them.
func Files(keys ...Key) map[string][]byte {
	out := map[string][]byte{}
	for i, k := range keys {
		out[strings.Repeat("k", i+1)+k.File] = k.Public
	}
	return out
}

// SSH makes a key with ssh-keygen; kind is ed25519, ecdsa or rsa, with -b options behind it where wanted.
func SSH(t testing.TB, kind string, options ...string) Key {
	t.Helper()
	need(t, "ssh-keygen", "openssh-client")
	file := filepath.Join(t.TempDir(), "key")
	run(t, nil, "ssh-keygen", append([]string{"-q", "-t", kind, "-N", "", "-C", "signing", "-f", file}, options...)...)
	public, err := os.ReadFile(file + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	fingerprint := strings.Fields(run(t, nil, "ssh-keygen", "-l", "-E", "sha256", "-f", file+".pub"))[1]
	return Key{File: ".pub", Public: public, Fingerprint: fingerprint, args: []string{"-c", "gpg.format=ssh", "-c", "user.signingkey=" + file, "-c", "tag.gpgSign=false"}}
}

// PGP makes a key with gpg, of an algorithm as it names them ("ed25519", "rsa3072"), that expires after a time such as
// "1y" or "never". A key made with a faked clock, as "20200101T000000", believes to be of that time; "" is the real one.
func PGP(t testing.TB, algorithm, expire, clock string) Key {
	t.Helper()
	need(t, "gpg", "gnupg")
	home, err := os.MkdirTemp("", "gpg") // of a short path: sockets of its agent lie in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run() // the agent that gpg has started for this home alone
		_ = os.RemoveAll(home)
	})
	program := filepath.Join(home, "sign")
	script := "#!/bin/sh\nexec gpg --homedir '" + home + "' --batch --no-tty --quiet --pinentry-mode loopback --passphrase '' --ignore-valid-from"
	if clock != "" {
		script += " --faked-system-time " + clock
	}
	if err := os.WriteFile(program, []byte(script+" \"$@\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	run(t, nil, program, "--quick-gen-key", "Signer <signer@sluice.example>", algorithm, "sign", expire)
	k := Key{File: ".asc", home: home, program: program}
	for line := range strings.SplitSeq(run(t, nil, program, "--with-colons", "--list-keys"), "\n") {
		if fields := strings.Split(line, ":"); fields[0] == "fpr" && k.Fingerprint == "" {
			k.Fingerprint = fields[9]
		}
	}
	k.args = []string{"-c", "gpg.format=openpgp", "-c", "gpg.program=" + program, "-c", "user.signingkey=" + k.Fingerprint, "-c", "tag.gpgSign=false"}
	k.Public = k.export(t)
	return k
}

// Revoked gives the same key with its revocation in the public half.
func (k Key) Revoked(t testing.TB) Key {
	t.Helper()
	certificate, err := os.ReadFile(filepath.Join(k.home, "openpgp-revocs.d", k.Fingerprint+".rev"))
	if err != nil {
		t.Fatal(err)
	}
	certificate = bytes.Replace(certificate, []byte("\n:-----BEGIN"), []byte("\n-----BEGIN"), 1) // gpg guards against haste
	run(t, certificate, k.program, "--import")
	k.Public = k.export(t)
	return k
}

// Sign makes a detached signature with gpg and further options of it.
func (k Key) Sign(t testing.TB, payload []byte, options ...string) string {
	t.Helper()
	return run(t, payload, k.program, append(options, "--armor", "--detach-sign", "--local-user", k.Fingerprint)...)
}

func (k Key) export(t testing.TB) []byte {
	t.Helper()
	return []byte(run(t, nil, k.program, "--armor", "--export", k.Fingerprint))
}

func need(t testing.TB, program, from string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Fatalf("signatures need %s: install the package %s", program, from)
	}
}

func run(t testing.TB, stdin []byte, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v: %s", filepath.Base(name), strings.Join(args, " "), err, stderr.String())
	}
	return out.String()
}
