package gogit

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sluice-dev/sluice/gitsync"
	"github.com/sluice-dev/sluice/test/gitserver"
	"github.com/sluice-dev/sluice/test/gitserver/gitssh"
	"github.com/sluice-dev/sluice/test/gitserver/gittest"
)

// sshKey is a key pair, for hosts and users alike.
type sshKey struct {
	pem    []byte
	signer ssh.Signer
}

func newSSHKey(t *testing.T, private crypto.PrivateKey, passphrase string) sshKey {
	t.Helper()
	block, err := ssh.MarshalPrivateKey(private, "")
	if passphrase != "" {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return sshKey{pem.EncodeToMemory(block), signer}
}

func edKey(t *testing.T) sshKey {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return newSSHKey(t, private, "")
}

func rsaKey(t *testing.T, bits int) sshKey {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return newSSHKey(t, private, "")
}

func ecKey(t *testing.T, passphrase string) sshKey {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return newSSHKey(t, private, passphrase)
}

// line is the host's line in known_hosts.
func (k sshKey) line(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return err.Error()
	}
	return "[" + host + "]:" + port + " " + string(ssh.MarshalAuthorizedKey(k.signer.PublicKey()))
}

// sshWorld is an SSH server over a bare repository, which is pushed to over HTTP.
type sshWorld struct {
	server *gitssh.Server
	git    *gitserver.Server
	tree   *gitserver.WorkTree
	dir    string
}

type starter func(context.Context, gitssh.Config) (*gitssh.Server, error)

// starters gives the servers to try: OpenSSH's, and ours.
func starters() map[string]starter {
	return map[string]starter{"sshd": gitssh.StartSSHD, "in process": gitssh.Start}
}

func newSSHWorld(t *testing.T, start starter, cfg gitssh.Config) *sshWorld {
	t.Helper()
	cfg.Dir = t.TempDir()
	root := t.TempDir()
	w := &sshWorld{git: gittest.Start(t, gitserver.Config{Root: root}), dir: filepath.Join(root, "app.git")}
	w.tree = gittest.Repository(t, w.git, "app")
	s, err := start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	w.server = s
	return w
}

func (w *sshWorld) ref(s gitsync.Secret) gitsync.Ref {
	return gitsync.Ref{Remote: gitsync.Remote{URL: w.server.URL(w.dir), Secret: s}, Branch: "main"}
}

func TestFetch_overSSH(t *testing.T) {
	t.Parallel()
	for name, start := range starters() {
		for _, refuseEnv := range []bool{false, true} {
			t.Run(name+map[bool]string{false: " version 2", true: " version 0"}[refuseEnv], func(t *testing.T) {
				t.Parallel()
				host, user := edKey(t), edKey(t)
				w := newSSHWorld(t, start, gitssh.Config{HostKeys: [][]byte{host.pem}, Authorized: []ssh.PublicKey{user.signer.PublicKey()}, RefuseEnv: refuseEnv})
				if _, err := w.git.Git(t.Context(), "app", "config", "uploadpack.allowFilter", "true"); err != nil {
					t.Fatal(err)
				}
				ref := w.ref(gitsync.Secret{Identity: string(user.pem), KnownHosts: host.line(w.server.Addr)})
				r := repositories(t, Limits{})
				if _, err := r.Fetch(t.Context(), ref, ""); reasonOf(t, err) != gitsync.RefNotFound {
					t.Errorf("an empty repository: %v, want RefNotFound", err)
				}
				first := gittest.Push(t, w.tree, "first", map[string]string{"a": "1", "big": strings.Repeat("0123456789abcdef", 1<<12)})
				if tree := fetch(t, r, ref, ""); tree.Commit().ID != first || tree.Commit().Ref != "main" {
					t.Errorf("first: %+v, want %s on main", tree.Commit(), first)
				}
				h := r.handles[onlyKey(t, r)]
				before := h.now.bytes
				second := gittest.Push(t, w.tree, "second", map[string]string{"a": "2"})
				tree := fetch(t, r, ref, first)
				if got, err := fs.ReadFile(tree, "a"); err != nil || string(got) != "2" || tree.Commit().ID != second {
					t.Errorf("second: %q, %v at %s, want 2 at %s", got, err, tree.Commit().ID, second)
				}
				if grew := h.now.bytes - before; grew > 1024 {
					t.Errorf("an incremental fetch took %d bytes, want at most 1024", grew)
				}
				if knows := h.knowsV2 > 0; knows == refuseEnv {
					t.Errorf("version 2 is known: %v, with GIT_PROTOCOL refused: %v", knows, refuseEnv)
				}
				git(t, w.tree, "commit", "--quiet", "--amend", "-m", "amended", "--date", "2001-01-01T00:00:00Z")
				forcePush(t, w.tree)
				if _, err := r.Fetch(t.Context(), ref, second); reasonOf(t, err) != gitsync.HistoryRewritten {
					t.Errorf("amended: %v, want HistoryRewritten", err)
				}
				ref.Branch = "none"
				if _, err := r.Fetch(t.Context(), ref, ""); reasonOf(t, err) != gitsync.RefNotFound {
					t.Errorf("no such branch: %v, want RefNotFound", err)
				}
				ref.Remote.URL += "x"
				if _, err := r.Fetch(t.Context(), ref, ""); reasonOf(t, err) != gitsync.Unreachable || !strings.Contains(err.Error(), "git-upload-pack ended with status") {
					t.Errorf("no such repository: %v, want Unreachable with the status", err)
				}
			})
		}
	}
}

func TestFetch_identitiesOverSSH(t *testing.T) {
	t.Parallel()
	for name, start := range starters() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host, rsa2048, locked := rsaKey(t, 2048), rsaKey(t, 2048), ecKey(t, "canary-phrase")
			w := newSSHWorld(t, start, gitssh.Config{HostKeys: [][]byte{host.pem}, Authorized: []ssh.PublicKey{rsa2048.signer.PublicKey(), locked.signer.PublicKey()}})
			tip := gittest.Push(t, w.tree, "first", map[string]string{"a": "1"})
			known := host.line(w.server.Addr)
			r := repositories(t, Limits{})
			for _, row := range []struct {
				name   string
				secret gitsync.Secret
				want   gitsync.Reason
			}{
				{"RSA with SHA-2", gitsync.Secret{Identity: string(rsa2048.pem), KnownHosts: known}, ""},
				{"ECDSA with its passphrase", gitsync.Secret{Identity: string(locked.pem), Password: "canary-phrase", KnownHosts: known}, ""},
				{"wrong passphrase", gitsync.Secret{Identity: string(locked.pem), Password: "canary-other", KnownHosts: known}, gitsync.SecretInvalid},
				{"no passphrase", gitsync.Secret{Identity: string(locked.pem), KnownHosts: known}, gitsync.SecretInvalid},
				{"not a key", gitsync.Secret{Identity: "canary-nonsense", KnownHosts: known}, gitsync.SecretInvalid},
				{"a short RSA key", gitsync.Secret{Identity: string(rsaKey(t, 1024).pem), KnownHosts: known}, gitsync.SecretInvalid},
				{"somebody else", gitsync.Secret{Identity: string(edKey(t).pem), KnownHosts: known}, gitsync.AuthFailed},
				{"no host keys", gitsync.Secret{Identity: string(rsa2048.pem)}, gitsync.AddressRefused},
				{"nonsense in known_hosts", gitsync.Secret{Identity: string(rsa2048.pem), KnownHosts: "\n# remark\ncanary nonsense\n"}, gitsync.SecretInvalid},
			} {
				tree, err := r.Fetch(t.Context(), w.ref(row.secret), "")
				switch {
				case row.want == "" && (err != nil || tree.Commit().ID != tip):
					t.Errorf("%s: %v, want %s", row.name, err, tip)
				case row.want != "" && (reasonOf(t, err) != row.want || strings.Contains(err.Error(), "canary")):
					t.Errorf("%s: %v (%s), want %s without the canary", row.name, err, reasonOf(t, err), row.want)
				}
				if tree != nil {
					tree.Close()
				}
			}
		})
	}
}

func TestFetch_hostKeysOverSSH(t *testing.T) {
	t.Parallel()
	for name, start := range starters() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host, other, authority, user := edKey(t), edKey(t), edKey(t), edKey(t)
			cert := &ssh.Certificate{Key: host.signer.PublicKey(), CertType: ssh.HostCert, ValidPrincipals: []string{"127.0.0.1"}, KeyId: "host",
				ValidAfter: uint64(time.Now().Add(-time.Hour).Unix()), ValidBefore: uint64(time.Now().Add(time.Hour).Unix())}
			if err := cert.SignCert(rand.Reader, authority.signer); err != nil {
				t.Fatal(err)
			}
			w := newSSHWorld(t, start, gitssh.Config{HostKeys: [][]byte{host.pem}, Certificate: cert, Authorized: []ssh.PublicKey{user.signer.PublicKey()}})
			gittest.Push(t, w.tree, "first", map[string]string{"a": "1"})
			at := w.server.Addr
			for _, row := range []struct {
				name, known, text string
				want              gitsync.Reason
			}{
				{"its key", host.line(at), "", ""},
				{"its authority", "@cert-authority " + authority.line(at), "", ""},
				{"another host only", host.line("127.0.0.1:1"), ssh.FingerprintSHA256(host.signer.PublicKey()), gitsync.HostKeyUnknown},
				{"another key", other.line(at), ssh.FingerprintSHA256(host.signer.PublicKey()), gitsync.HostKeyMismatch},
				{"another type of key", ecKey(t, "").line(at), "no host key of the types", gitsync.HostKeyMismatch},
				{"another authority", "@cert-authority " + other.line(at), "", gitsync.HostKeyMismatch},
				{"revoked", host.line(at) + "@revoked " + host.line(at), "revoked", gitsync.HostKeyMismatch},
				{"revoked authority", "@cert-authority " + authority.line(at) + "@revoked " + authority.line(at), "revoked", gitsync.HostKeyMismatch},
			} {
				r := repositories(t, Limits{})
				tree, err := r.Fetch(t.Context(), w.ref(gitsync.Secret{Identity: string(user.pem), KnownHosts: row.known}), "")
				if got := gitsync.ReasonOf(err, "no Failure"); got != row.want || (err != nil && !strings.Contains(err.Error(), row.text)) {
					t.Errorf("%s: %v (%s), want %s and %q", row.name, err, got, row.want, row.text)
				}
				if f, ok := errors.AsType[*gitsync.Failure](err); err != nil && (!ok || f.Problem == nil || f.Problem.Code != "S211") {
					t.Errorf("%s: %v, want S211", row.name, err)
				}
				if tree != nil {
					tree.Close()
				}
			}
		})
	}
}

// TestFetch_silentSSHServerEndsWithTheDeadline holds a connection open that never speaks.
func TestFetch_silentSSHServerEndsWithTheDeadline(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			_, err = io.Copy(io.Discard, conn)
		}
		closed <- err
	}()
	t.Cleanup(func() { l.Close() })
	host, user := edKey(t), edKey(t)
	ref := gitsync.Ref{Remote: gitsync.Remote{URL: "ssh://git@" + l.Addr().String() + "/app.git",
		Secret: gitsync.Secret{Identity: string(user.pem), KnownHosts: host.line(l.Addr().String())}}, Timeout: 200 * time.Millisecond}
	if _, err := repositories(t, Limits{}).Fetch(t.Context(), ref, ""); reasonOf(t, err) != gitsync.Timeout {
		t.Errorf("a silent server: %v, want Timeout", err)
	}
	select {
	case <-closed:
	case <-time.After(time.Minute):
		t.Error("the connection stays open after the deadline")
	}
}

func TestKnownHosts_vectors(t *testing.T) {
	t.Parallel()
	key := string(ssh.MarshalAuthorizedKey(edKey(t).signer.PublicKey()))
	for _, row := range []struct {
		patterns, address string
		want              bool
	}{
		{"|1|AAECAwQFBgcICQoLDA0ODxAREhM=|5DHGyoq+K/vX4lJK0U2p7IteoFw=", "git.example.com:22", true},
		{"|1|AAECAwQFBgcICQoLDA0ODxAREhM=|5DHGyoq+K/vX4lJK0U2p7IteoFw=", "git.example.com:2222", false},
		{"|1|AAECAwQFBgcICQoLDA0ODxAREhM=|iB8ji+G7JiWchxZqOjryGAnIiTo=", "git.example.com:2222", true},
		{"git.example.com", "Git.Example.com:22", true},
		{"git.example.com", "git.example.com:2222", false},
		{"[git.example.com]:2222", "git.example.com:2222", true},
		{"a.example.com,git.example.com", "git.example.com:22", true},
		{"*.example.com", "git.example.com:22", true},
		{"*.example.com,!git.example.com", "git.example.com:22", false},
		{"!git.example.com,*", "git.example.com:22", false},
		{"g?t.example.com", "git.example.com:22", true},
		{"g?t.example.com", "giit.example.com:22", false},
		{"*", "git.example.com:2222", true},
		{"[*.example.com]:*", "git.example.com:2222", true},
	} {
		k, err := readKnownHosts(row.patterns+" "+key, row.address)
		if err != nil || k.knows() != row.want {
			t.Errorf("%s at %s: %v, %v; want %v", row.patterns, row.address, k.knows(), err, row.want)
		}
	}
	for _, bad := range []string{"host", "host ssh-ed25519 AAAA", "@unknown host " + key, "|2|x|y " + key, "|1|x|y " + key, "|1|AAEC " + key, "host ssh-dss AAAAB3NzaC1kc3M="} {
		if _, err := readKnownHosts("# fine\n"+bad, "host:22"); reasonOf(t, err) != gitsync.SecretInvalid || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%q: %v, want SecretInvalid at line 2", bad, err)
		}
	}
}
