package signature_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/gitsync/signature"
)

// The commit and the tag are signed by the key with ssh-keygen.
const (
	fuzzKey    = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKDB1qMr5gVkfAWiPs6yT0sXi/zNlP1jRh6XXCcpiCMB\n"
	fuzzCommit = "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n" +
		"author Demo <demo@sluice.example> 1795357416 +0000\n" +
		"committer Demo <demo@sluice.example> 1795357416 +0000\n" +
		"gpgsig -----BEGIN SSH SIGNATURE-----\n" +
		" U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAgoMHWoyvmBWR8BaI+zrJPSxeL/M\n" +
		" 2U/WNGHpdcJymIIwEAAAADZ2l0AAAAAAAAAAZzaGE1MTIAAABTAAAAC3NzaC1lZDI1NTE5\n" +
		" AAAAQPrEU975OPgIIwO2cCqxIh/PJT2rnkvk+NBbJnDMTqKg4mI8irMUbSrM4jiG+Iw2P1\n" +
		" qr0ZrJf0GRUzOFIVr8Aw0=\n" +
		" -----END SSH SIGNATURE-----\n" +
		"\n" +
		"signed\n"
	fuzzTag = "object fc9b3f6652acf78030dd7284a7372045363b2c56\n" +
		"type commit\n" +
		"tag v1.0.0\n" +
		"tagger Demo <demo@sluice.example> 1795357416 +0000\n" +
		"\n" +
		"release\n" +
		"-----BEGIN SSH SIGNATURE-----\n" +
		"U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAgoMHWoyvmBWR8BaI+zrJPSxeL/M\n" +
		"2U/WNGHpdcJymIIwEAAAADZ2l0AAAAAAAAAAZzaGE1MTIAAABTAAAAC3NzaC1lZDI1NTE5\n" +
		"AAAAQCm2uPZDPqZc2dJFv38sAx4zlHsdSuqLyzU27Qg2OR8xXLUQb/SE0JehRiRPsHjbm4\n" +
		"SlpKOVB++K+/aw1Kghuww=\n" +
		"-----END SSH SIGNATURE-----\n"
)

// payloadOf leaves the signatures' headers out by another way than the package: line by line over text.
func payloadOf(raw string) (payload string, keys []string) {
	head, message, _ := strings.Cut(raw, "\n\n")
	dropping := false
	for _, line := range strings.Split(head, "\n") {
		if !strings.HasPrefix(line, " ") {
			key, _, _ := strings.Cut(line, " ")
			keys = append(keys, key)
			dropping = key == "gpgsig" || key == "gpgsig-sha256"
		}
		if !dropping {
			payload += line + "\n"
		}
	}
	return payload + "\n" + message, keys
}

// FuzzCommit changes the bytes of a signed commit, with the id that fits them: whatever is accepted has the signed
// payload and each header once, and no other id than its own.
func FuzzCommit(f *testing.F) {
	keys, err := signature.ReadKeys(map[string][]byte{"a.pub": []byte(fuzzKey)})
	if err != nil {
		f.Fatal(err)
	}
	genuine, _ := payloadOf(fuzzCommit)
	f.Add([]byte(fuzzCommit))
	f.Add([]byte(strings.Replace(fuzzCommit, "author", "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor", 1)))
	f.Add([]byte(strings.Replace(fuzzCommit, "gpgsig ", "gpgsig-sha256 x\ngpgsig ", 1)))
	f.Add([]byte(fuzzTag))
	f.Fuzz(func(t *testing.T, raw []byte) {
		id := idOf("commit", raw)
		if _, err := keys.Commit(id, raw, time.Unix(1767225600, 0)); err == nil {
			payload, headers := payloadOf(string(raw))
			slices.Sort(headers)
			if payload != genuine || len(slices.Compact(slices.Clone(headers))) != len(headers) {
				t.Errorf("accepted %q", raw)
			}
		}
		other := idOf("commit", append(bytes.Clone(raw), 'x'))
		if _, err := keys.Commit(other, raw, time.Unix(1767225600, 0)); err == nil {
			t.Errorf("accepted %q under the id of something else", raw)
		}
	})
}

// FuzzTag does the same with a signed tag.
func FuzzTag(f *testing.F) {
	keys, err := signature.ReadKeys(map[string][]byte{"a.pub": []byte(fuzzKey)})
	if err != nil {
		f.Fatal(err)
	}
	commit := idOf("commit", []byte(fuzzCommit))
	genuine := fuzzTag[:strings.Index(fuzzTag, "-----BEGIN")]
	f.Add([]byte(fuzzTag))
	f.Add([]byte(fuzzTag + "x\n"))
	f.Add([]byte(strings.Replace(fuzzTag, "type commit", "type tree", 1)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, err := keys.Tag(idOf("tag", raw), "v1.0.0", commit, raw, time.Unix(1767225600, 0))
		if err == nil && !strings.HasPrefix(string(raw), genuine) {
			t.Errorf("accepted %q", raw)
		}
	})
}

// FuzzReadKeys must end without a panic, and never trust nobody.
func FuzzReadKeys(f *testing.F) {
	f.Add("a.pub", []byte(fuzzKey))
	f.Add("a.asc", []byte("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n-----END PGP PUBLIC KEY BLOCK-----\n"))
	f.Fuzz(func(t *testing.T, name string, content []byte) {
		if _, err := signature.ReadKeys(map[string][]byte{name: content}); err == nil && len(content) == 0 {
			t.Errorf("%q without content holds a key", name)
		}
	})
}
