package signature_test

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/gitsync"
	"github.com/sluice-dev/sluice/gitsync/signature"
	"github.com/sluice-dev/sluice/test/gitserver"
	"github.com/sluice-dev/sluice/test/gitserver/signing"
)

// repo is a repository of the real git.
type repo struct {
	*testing.T
	tree *gitserver.WorkTree
}

func newRepo(t *testing.T) repo {
	t.Helper()
	r := repo{t, &gitserver.WorkTree{Dir: t.TempDir()}}
	r.git("init", "--quiet", "--initial-branch", "main", ".")
	return r
}

func (r repo) git(args ...string) string {
	r.Helper()
	out, err := r.tree.Git(r.Context(), args...)
	if err != nil {
		r.Fatal(err)
	}
	return out
}

// raw gives the bytes of an object exactly as they are.
func (r repo) raw(kind, id string) []byte {
	r.Helper()
	cmd := exec.CommandContext(r.Context(), "git", "cat-file", kind, id)
	cmd.Dir, cmd.Env = r.tree.Dir, append(gitserver.Environment(r.tree.Dir), "PATH="+os.Getenv("PATH"))
	out, err := cmd.Output()
	if err != nil {
		r.Fatal(err)
	}
	return out
}

// commit signs an empty commit with a key, or with none.
func (r repo) commit(key *signing.Key, args ...string) (id string, raw []byte) {
	r.Helper()
	all := []string{"commit", "--quiet", "--allow-empty", "-m", "subject\n\nbody"}
	if key != nil {
		all = slices.Concat(key.Args(), all, []string{"-S"})
	}
	r.git(slices.Concat(all, args)...)
	id = r.git("rev-parse", "HEAD")
	return id, r.raw("commit", id)
}

func (r repo) tag(key *signing.Key, name string) (id string, raw []byte) {
	r.Helper()
	all := []string{"tag", "-a", name, "-m", "release"}
	if key != nil {
		all = slices.Concat(key.Args(), []string{"tag", "-s", name, "-m", "release"})
	}
	r.git(all...)
	id = r.git("rev-parse", "refs/tags/"+name)
	return id, r.raw("tag", id)
}

// idOf gives the id that Git would give to bytes.
func idOf(kind string, raw []byte) string {
	sum := sha1.Sum(append([]byte(fmt.Sprintf("%s %d\x00", kind, len(raw))), raw...))
	return hex.EncodeToString(sum[:])
}

func trust(t *testing.T, keys ...signing.Key) signature.Keys {
	t.Helper()
	k, err := signature.ReadKeys(signing.Files(keys...))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func verdictOf(t *testing.T, err error) gitsync.Verdict {
	t.Helper()
	if err == nil {
		return gitsync.Signed
	}
	refusal, ok := errors.AsType[*signature.Refusal](err)
	if !ok {
		t.Fatalf("%v is no Refusal", err)
	}
	return refusal.Verdict
}

func TestCommit_signedByRealPrograms(t *testing.T) {
	t.Parallel()
	keys := map[string]signing.Key{
		"ed25519": signing.SSH(t, "ed25519"), "ecdsa": signing.SSH(t, "ecdsa"), "rsa": signing.SSH(t, "rsa", "-b", "2048"),
		"pgp ed25519": signing.PGP(t, "ed25519", "never", ""), "pgp rsa": signing.PGP(t, "rsa2048", "1y", ""), "pgp nistp256": signing.PGP(t, "nistp256", "never", ""),
	}
	everyone := trust(t, slices.Collect(maps.Values(keys))...)
	stranger := trust(t, signing.SSH(t, "ed25519"), signing.PGP(t, "ed25519", "never", ""))
	for name, key := range keys {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRepo(t)
			id, raw := r.commit(&key)
			if signer, err := everyone.Commit(id, raw, time.Now()); err != nil || signer != key.Fingerprint {
				t.Errorf("a commit: %q, %v; want %s", signer, err, key.Fingerprint)
			}
			if _, err := stranger.Commit(id, raw, time.Now()); verdictOf(t, err) != gitsync.Untrusted {
				t.Errorf("by a stranger: %v, want Untrusted", err)
			}
			tag, rawTag := r.tag(&key, "v1.0.0")
			if signer, err := everyone.Tag(tag, "v1.0.0", id, rawTag, time.Now()); err != nil || signer != key.Fingerprint {
				t.Errorf("a tag: %q, %v; want %s", signer, err, key.Fingerprint)
			}
			if _, err := stranger.Tag(tag, "v1.0.0", id, rawTag, time.Now()); verdictOf(t, err) != gitsync.Untrusted {
				t.Errorf("a tag by a stranger: %v, want Untrusted", err)
			}
		})
	}
}

// TestCommit_ofAMergedTag has the header mergetag, with a signature of its own inside.
func TestCommit_ofAMergedTag(t *testing.T) {
	t.Parallel()
	key, other := signing.SSH(t, "ed25519"), signing.SSH(t, "ed25519")
	r := newRepo(t)
	r.commit(nil)
	r.git("checkout", "--quiet", "-b", "side")
	r.commit(nil, "-m", "side")
	r.tag(&other, "side-1")
	r.git("checkout", "--quiet", "main")
	r.commit(nil, "-m", "main")
	r.git(append(key.Args(), "merge", "--quiet", "-S", "--no-ff", "-m", "merge", "side-1")...)
	id := r.git("rev-parse", "HEAD")
	raw := r.raw("commit", id)
	if !strings.Contains(string(raw), "\nmergetag object ") {
		t.Fatalf("the merge has no mergetag:\n%s", raw)
	}
	if signer, err := trust(t, key).Commit(id, raw, time.Now()); err != nil || signer != key.Fingerprint {
		t.Errorf("%q, %v; want the merger's key", signer, err)
	}
	if _, err := trust(t, other).Commit(id, raw, time.Now()); verdictOf(t, err) != gitsync.Untrusted {
		t.Errorf("the tag's key for the merge: %v, want Untrusted", err)
	}
}

func TestCommit_forged(t *testing.T) {
	t.Parallel()
	ssh, pgp := signing.SSH(t, "ed25519"), signing.PGP(t, "ed25519", "never", "")
	keys := trust(t, ssh, pgp)
	r := newRepo(t)
	unsigned, plain := r.commit(nil)
	if _, err := keys.Commit(unsigned, plain, time.Now()); verdictOf(t, err) != gitsync.Missing {
		t.Errorf("unsigned: %v, want Missing", err)
	}
	for name, key := range map[string]signing.Key{"ssh": ssh, "pgp": pgp} {
		_, raw := r.commit(&key)
		text := string(raw)
		tree := text[:strings.Index(text, "\n")+1]
		other := "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n"
		at, end := strings.Index(text, "gpgsig "), strings.Index(text, "\n\n")+1
		header := text[at:end]
		without := text[:at] + text[end:]
		for _, row := range []struct {
			name, raw string
			want      gitsync.Verdict
		}{
			{"as it is", text, gitsync.Signed},
			{"another subject", strings.Replace(text, "subject", "Subject", 1), gitsync.Invalid},
			{"a line more at the end", text + "\n", gitsync.Invalid},
			{"a second tree before", other + text, gitsync.Invalid},
			{"a second tree after", tree + other + text[len(tree):], gitsync.Invalid},
			{"a second tree at the end of the headers", text[:end] + other + text[end:], gitsync.Invalid},
			{"a second author", strings.Replace(text, "author ", "author Eve <eve@example.com> 1700000000 +0000\nauthor ", 1), gitsync.Invalid},
			{"a second committer", strings.Replace(text, "committer ", "committer Eve <eve@example.com> 1700000000 +0000\ncommitter ", 1), gitsync.Invalid},
			{"a parent after the committer", text[:at] + "parent " + unsigned + "\n" + text[at:], gitsync.Invalid},
			{"the signature twice", text[:end] + header + text[end:], gitsync.Invalid},
			{"two encodings", text[:at] + "encoding x\nencoding y\n" + text[at:], gitsync.Invalid},
			{"two other signatures", text[:at] + "gpgsig-sha256 x\ngpgsig-sha256 y\n" + text[at:], gitsync.Invalid},
			{"another signature beside", text[:at] + "gpgsig-sha256 x\n y\n" + text[at:], gitsync.Signed}, // not part of what is signed
			{"signature only under the other name", strings.Replace(text, "gpgsig ", "gpgsig-sha256 ", 1), gitsync.Missing},
			{"signature moved into the message", without + header, gitsync.Missing},
			{"text before the signature", strings.Replace(text, "gpgsig -----", "gpgsig hello\n -----", 1), gitsync.Invalid},
			{"text after the signature", text[:end-1] + "\n hello\n" + text[end:], gitsync.Invalid},
			{"an empty signature", text[:at] + "gpgsig \n" + text[end:], gitsync.Missing},
			{"X.509", text[:at] + "gpgsig -----BEGIN SIGNED MESSAGE-----\n AAAA\n -----END SIGNED MESSAGE-----\n" + text[end:], gitsync.Untrusted},
			{"of an unknown form", text[:at] + "gpgsig hello\n" + text[end:], gitsync.Invalid},
			{"a zero in a header", strings.Replace(text, "author ", "author \x00", 1), gitsync.Invalid},
			{"no tree", text[len(tree):], gitsync.Invalid},
			{"a continuation line first", " x\n" + text, gitsync.Invalid},
			{"nothing", "", gitsync.Invalid},
			{"another's signature", strings.Replace(string(plain), "\n\n", "\n"+strings.TrimSuffix(header, "\n")+"\n\n", 1), gitsync.Invalid},
		} {
			id := idOf("commit", []byte(row.raw))
			if _, err := keys.Commit(id, []byte(row.raw), time.Now()); verdictOf(t, err) != row.want {
				t.Errorf("%s, %s: %v, want %s", name, row.name, err, row.want)
			}
		}
		if _, err := keys.Commit(unsigned, raw, time.Now()); verdictOf(t, err) != gitsync.Invalid {
			t.Errorf("%s: under the id of another: %v, want Invalid", name, err)
		}
		if _, err := keys.Tag(idOf("tag", raw), "v1", unsigned, raw, time.Now()); verdictOf(t, err) != gitsync.Invalid {
			t.Errorf("%s: a commit as a tag: %v, want Invalid", name, err)
		}
	}
}

func TestTag_forged(t *testing.T) {
	t.Parallel()
	ssh, pgp := signing.SSH(t, "ed25519"), signing.PGP(t, "ed25519", "never", "")
	keys := trust(t, ssh, pgp)
	r := newRepo(t)
	old, _ := r.commit(nil)
	now, _ := r.commit(nil)
	if id, raw := r.tag(nil, "plain"); verdictOf(t, second(keys.Tag(id, "plain", now, raw, time.Now()))) != gitsync.Missing {
		t.Error("an unsigned tag is not Missing")
	}
	for name, key := range map[string]signing.Key{"ssh": ssh, "pgp": pgp} {
		_, raw := r.tag(&key, "v1.0.0-"+name)
		text, called := string(raw), "v1.0.0-"+name
		at := strings.Index(text, "-----BEGIN")
		for _, row := range []struct {
			name, raw, tag, commit string
			want                   gitsync.Verdict
		}{
			{"as it is", text, called, now, gitsync.Signed},
			{"of another name", text, "v2.0.0", now, gitsync.Invalid},
			{"renamed", strings.Replace(text, "tag "+called, "tag v2.0.0", 1), "v2.0.0", now, gitsync.Invalid},
			{"of another commit", text, called, old, gitsync.Invalid},
			{"led to another commit", strings.Replace(text, now, old, 1), called, old, gitsync.Invalid},
			{"two objects", strings.Replace(text, "object ", "object "+old+"\nobject ", 1), called, now, gitsync.Invalid},
			{"two names", strings.Replace(text, "tag v", "tag x\ntag v", 1), called, now, gitsync.Invalid},
			{"of a tree", strings.Replace(text, "type commit", "type tree", 1), called, now, gitsync.Invalid},
			{"without signature", text[:at], called, now, gitsync.Missing},
			{"signature of a commit in its headers", strings.Replace(text, "\n\n", "\ngpgsig x\n\n", 1), called, now, gitsync.Invalid},
			{"text after it", text + "hello\n", called, now, gitsync.Invalid},
			{"two signatures", text + text[at:], called, now, gitsync.Invalid},
			{"text between", text[:at] + "hello\n" + text[at:], called, now, gitsync.Invalid},
		} {
			if _, err := keys.Tag(idOf("tag", []byte(row.raw)), row.tag, row.commit, []byte(row.raw), time.Now()); verdictOf(t, err) != row.want {
				t.Errorf("%s, %s: %v, want %s", name, row.name, err, row.want)
			}
		}
	}
}

func second(_ string, err error) error { return err }

func TestCommit_expiredAndRevokedKeys(t *testing.T) {
	t.Parallel()
	past := signing.PGP(t, "ed25519", "1y", "20200101T000000")
	at := time.Date(2020, 6, 1, 0, 0, 0, 0, time.UTC)
	r := newRepo(t)
	id, raw := r.commit(&past)
	if signer, err := trust(t, past).Commit(id, raw, at); err != nil || signer != past.Fingerprint {
		t.Errorf("while the key is good: %v", err)
	}
	if _, err := trust(t, past).Commit(id, raw, time.Now()); verdictOf(t, err) != gitsync.Expired {
		t.Errorf("after its end: %v, want Expired", err)
	}
	key := signing.PGP(t, "ed25519", "never", "")
	id, raw = r.commit(&key)
	if _, err := trust(t, key.Revoked(t)).Commit(id, raw, time.Now()); verdictOf(t, err) != gitsync.Untrusted || !strings.Contains(err.Error(), "revoked") {
		t.Errorf("revoked: %v, want Untrusted", err)
	}
	ssh := signing.SSH(t, "ed25519")
	id, raw = r.commit(&ssh)
	ssh.Public = append([]byte(`expiry-time="20300101" `), ssh.Public...)
	for at, want := range map[string]gitsync.Verdict{"2029-12-31T23:59:59Z": gitsync.Signed, "2030-01-01T00:00:00Z": gitsync.Expired} {
		now, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := trust(t, ssh).Commit(id, raw, now); verdictOf(t, err) != want {
			t.Errorf("SSH key at %s: %v, want %s", at, err, want)
		}
	}
}

func TestCommit_algorithmsThatDoNotCount(t *testing.T) {
	t.Parallel()
	key, rsa := signing.PGP(t, "rsa2048", "never", ""), signing.SSH(t, "rsa", "-b", "2048")
	r := newRepo(t)
	_, plain := r.commit(nil)
	put := func(signature string) (string, []byte) {
		header := "\ngpgsig " + strings.ReplaceAll(strings.TrimSuffix(signature, "\n"), "\n", "\n ") + "\n\n"
		raw := []byte(strings.Replace(string(plain), "\n\n", header, 1))
		return idOf("commit", raw), raw
	}
	keys := trust(t, key, rsa)
	for name, row := range map[string]struct {
		options []string
		want    gitsync.Verdict
	}{
		"SHA-512":   {[]string{"--digest-algo", "SHA512"}, gitsync.Signed},
		"SHA-1":     {[]string{"--digest-algo", "SHA1", "--allow-weak-digest-algos"}, gitsync.Invalid},
		"over text": {[]string{"--textmode"}, gitsync.Invalid},
		"notation":  {[]string{"--sig-notation", "!what@example.com=x"}, gitsync.Invalid},
		"to come":   {[]string{"--faked-system-time", "20500101T000000"}, gitsync.Expired},
	} {
		id, raw := put(key.Sign(t, plain, row.options...))
		if _, err := keys.Commit(id, raw, time.Now()); verdictOf(t, err) != row.want {
			t.Errorf("%s: %v, want %s", name, err, row.want)
		}
	}
	id, raw := put(key.Sign(t, plain, "--default-sig-expire", "1d"))
	for days, want := range map[int]gitsync.Verdict{0: gitsync.Signed, 2: gitsync.Expired} {
		if _, err := keys.Commit(id, raw, time.Now().AddDate(0, 0, days)); verdictOf(t, err) != want {
			t.Errorf("a signature for a day, after %d: %v, want %s", days, err, want)
		}
	}
	dir := t.TempDir()
	for name, row := range map[string]struct {
		namespace string
		want      gitsync.Verdict
	}{"for Git": {"git", gitsync.Signed}, "for files": {"file", gitsync.Invalid}} {
		if err := os.WriteFile(dir+"/payload", plain, 0o600); err != nil {
			t.Fatal(err)
		}
		_ = os.Remove(dir + "/payload.sig")
		file := strings.TrimPrefix(rsa.Args()[3], "user.signingkey=")
		if out, err := exec.CommandContext(context.WithoutCancel(t.Context()), "ssh-keygen", "-q", "-Y", "sign", "-n", row.namespace, "-f", file, dir+"/payload").CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v: %s", err, out)
		}
		sig, err := os.ReadFile(dir + "/payload.sig")
		if err != nil {
			t.Fatal(err)
		}
		id, raw := put(string(sig))
		if _, err := keys.Commit(id, raw, time.Now()); verdictOf(t, err) != row.want {
			t.Errorf("%s: %v, want %s", name, err, row.want)
		}
	}
}

func TestReadKeys_refusals(t *testing.T) {
	t.Parallel()
	good := signing.SSH(t, "ed25519")
	weak := signing.SSH(t, "rsa", "-b", "1024")
	pgp := signing.PGP(t, "ed25519", "never", "")
	for name, row := range map[string]struct {
		files map[string][]byte
		want  string
	}{
		"nothing":        {nil, "none of the keys"},
		"comments":       {map[string][]byte{"a.pub": []byte("# nobody\n\n")}, "none of the keys"},
		"another name":   {map[string][]byte{"a.pub": good.Public, "token": []byte("x")}, "key token"},
		"no key":         {map[string][]byte{"a.sshpub": append(good.Public, "hello\n"...)}, "line 2 is not a public key"},
		"weak":           {map[string][]byte{"a.pub": weak.Public}, "less than 2048 bits"},
		"option":         {map[string][]byte{"a.pub": append([]byte("cert-authority "), good.Public...)}, "an option other than"},
		"expiry":         {map[string][]byte{"a.pub": append([]byte(`expiry-time="soon" `), good.Public...)}, "expiry-time is not"},
		"not armoured":   {map[string][]byte{"a.asc": []byte("hello")}, "not an armoured"},
		"a signature":    {map[string][]byte{"a.asc": []byte(pgp.Sign(t, []byte("x")))}, "something else than public keys"},
		"cut in the end": {map[string][]byte{"a.asc": pgp.Public[:len(pgp.Public)/2]}, "key a.asc"},
	} {
		if _, err := signature.ReadKeys(row.files); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %q", name, err, row.want)
		}
	}
	both := append(slices.Clone(pgp.Public), signing.PGP(t, "ed25519", "never", "").Public...)
	if _, err := signature.ReadKeys(map[string][]byte{"a.asc": both, "b.pub": append(good.Public, good.Public...)}); err != nil {
		t.Errorf("several keys in a file: %v", err)
	}
}
