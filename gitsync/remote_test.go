package gitsync

import (
	"fmt"
	"strings"
	"testing"
)

func TestCheckRemote_vectors(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"https://u:p@h/r", "https://h/r?x", "https://h/r#x", "file:///r", "git://h/r", "ssh://h/a'b", "https://h/a'b",
		"https://h/a/../b", "http://10.0.0.1/r", "git@h:o/r", "h/r", "", "https:///r", "https://h/" + strings.Repeat("a", 2048)} {
		if p := CheckRemote(Remote{URL: bad}, nil); p == nil || p.Code != "S205" || p.Hint == "" {
			t.Errorf("CheckRemote(%.40q) = %v, want S205 with a hint", bad, p)
		}
	}
	for _, good := range []string{"https://git.example.com/shop/deploy.git", "http://127.0.0.1:80/r", "http://localhost/r", "http://[::1]:1/r", "http://inside/r"} {
		if p := CheckRemote(Remote{URL: good}, []string{"inside"}); p != nil {
			t.Errorf("CheckRemote(%q) = %v, want nothing", good, p)
		}
	}
	if p := CheckRemote(Remote{URL: "http://inside/r", Secret: Secret{BearerToken: "x"}}, []string{"inside"}); p == nil {
		t.Error("credentials over plain http to another host were accepted")
	}
}

func TestSharedURL_equatesSpellings(t *testing.T) {
	t.Parallel()
	for _, row := range [][2]string{{"https://H.example:443/a.git", "https://h.example/a"}, {"http://h:80/a/", "http://h/a"}, {"https://h/a", "https://h/a.git"}} {
		if SharedURL(row[0]) != SharedURL(row[1]) {
			t.Errorf("%s and %s: %s, %s", row[0], row[1], SharedURL(row[0]), SharedURL(row[1]))
		}
	}
	if SharedURL("https://h/a") == SharedURL("https://h:444/a") || SharedURL("https://h/a") == SharedURL("https://h/A") {
		t.Error("different remotes were equated")
	}
}

func TestReadSecret_namesKeysNotValues(t *testing.T) {
	t.Parallel()
	for _, bad := range []map[string][]byte{nil, {"username": []byte("topsecret")}, {"bearerToken": []byte("topsecret"), "password": []byte("topsecret")}} {
		_, err := ReadSecret(bad)
		if ReasonOf(err, "") != SecretInvalid || strings.Contains(err.Error(), "topsecret") {
			t.Errorf("ReadSecret = %v, want SecretInvalid without values", err)
		}
	}
	s, err := ReadSecret(map[string][]byte{"username": []byte("topsecret"), "password": []byte("topsecret")})
	if err != nil || strings.Contains(fmt.Sprintf("%v %+v %#v %s", s, s, s, s), "topsecret") {
		t.Errorf("Secret prints its values, or %v", err)
	}
}
