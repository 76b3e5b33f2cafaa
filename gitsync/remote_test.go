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

func TestCheckRemote_ssh(t *testing.T) {
	t.Parallel()
	s := Secret{Identity: "x", KnownHosts: "x"}
	for _, good := range []string{"ssh://git.example.com/shop/deploy.git", "ssh://ana@git.example.com:2222/~ana/r"} {
		if p := CheckRemote(Remote{URL: good, Secret: s}, nil); p != nil {
			t.Errorf("CheckRemote(%q) = %v, want nothing", good, p)
		}
	}
	for _, bad := range []string{"ssh://h/a'b", "ssh://h/a%27b", "ssh://u:p@h/r", "ssh://-oProxyCommand=x@h/r", "ssh://h/a/../b", "ssh://h/", "ssh://h", "ssh://h/a b", "ssh://h/r?x"} {
		if p := CheckRemote(Remote{URL: bad, Secret: s}, nil); p == nil || p.Code != "S205" {
			t.Errorf("CheckRemote(%q) = %v, want S205", bad, p)
		}
	}
	if p := CheckRemote(Remote{URL: "ssh://h/r"}, nil); p == nil || p.Field != "spec.secretRef" {
		t.Errorf("without a key: %v, want a problem of spec.secretRef", p)
	}
	if p := CheckRemote(Remote{URL: "git@h:o/r"}, nil); p == nil || p.Hint != "use ssh://git@h/o/r" {
		t.Errorf("the short form: %v, want the long one in the hint", p)
	}
}

func TestReadSecret_kindsByKeys(t *testing.T) {
	t.Parallel()
	type keys = map[string][]byte
	v := []byte("1234567890topsecret")
	number := []byte("7")
	for _, row := range []struct {
		url  string
		data keys
		want string // in the error; empty: none
	}{
		{"https://h/r", nil, "none of the keys"},
		{"https://h/r", keys{"username": v}, "both be set"},
		{"https://h/r", keys{"bearerToken": v, "password": v}, "password, bearerToken"},
		{"https://h/r", keys{"username": v, "password": v, "githubAppID": number}, "two kinds"},
		{"https://h/r", keys{"githubAppID": number}, "githubAppPrivateKey"},
		{"https://h/r", keys{"githubAppID": v, "githubAppPrivateKey": v}, "numbers"},
		{"https://h/r", keys{"githubAppBaseURL": v}, "githubAppID"},
		{"https://h/r", keys{"tls.crt": v}, "tls.key"},
		{"https://h/r", keys{"identity": v, "known_hosts": v}, "ssh:// only"},
		{"https://h/r", keys{"username": v, "password": v, "ca.crt": v, "tls.crt": v, "tls.key": v}, ""},
		{"https://h/r", keys{"githubAppID": number, "githubAppPrivateKey": v, "githubAppInstallationID": number}, ""},
		{"ssh://h/r", nil, "identity"},
		{"ssh://h/r", keys{"identity": v}, "known_hosts"},
		{"ssh://h/r", keys{"identity": v, "ssh-privatekey": v, "known_hosts": v}, "keep one"},
		{"ssh://h/r", keys{"identity": v, "known_hosts": v, "bearerToken": v}, "bearerToken"},
		{"ssh://h/r", keys{"ssh-privatekey": v, "known_hosts": v, "password": v}, ""},
	} {
		s, err := ReadSecret(row.url, row.data)
		switch {
		case row.want == "" && (err != nil || strings.Contains(fmt.Sprintf("%v %+v %#v %s", s, s, s, s), "topsecret")):
			t.Errorf("%s %v: %v, or the Secret prints its values", row.url, row.data, err)
		case row.want != "" && (ReasonOf(err, "") != SecretInvalid || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), "topsecret")):
			t.Errorf("%s with %d keys: %v, want SecretInvalid that says %q without values", row.url, len(row.data), err, row.want)
		}
	}
}

func TestReadProxy_table(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{"": "not set", "proxy:3128": "not a URL", "ftp://p": "must begin", "http://u:topsecret@p": "has a user",
		"http://p/x": "more than", "http://p?topsecret": "more than", "http://": "not a URL", "http://p:3128": "", "https://p": "", "socks5://p:1080/": ""} {
		p, err := ReadProxy(map[string][]byte{"address": []byte(address), "username": []byte("u"), "password": []byte("topsecret")})
		switch {
		case want == "" && (err != nil || strings.Contains(fmt.Sprintf("%v %#v", p, p), "topsecret")):
			t.Errorf("%q: %v, or it prints its values", address, err)
		case want != "" && (ReasonOf(err, "") != SecretInvalid || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "topsecret")):
			t.Errorf("%q: %v, want SecretInvalid that says %q", address, err, want)
		}
	}
	if _, err := ReadProxy(map[string][]byte{"address": []byte("http://p"), "username": []byte("u")}); ReasonOf(err, "") != SecretInvalid {
		t.Errorf("half of the credentials: %v, want SecretInvalid", err)
	}
}
