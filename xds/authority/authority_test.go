package authority

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"math/big"
	"slices"
	"testing"
	"time"
)

const day = 24 * time.Hour

var term = Term{Authority: 3650 * day, Leaf: 90 * day}

// epoch is when the first authority was made.
var epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func after(days float64) time.Time { return epoch.Add(time.Duration(days * float64(day))) }

// signed signs a template; by nobody: by itself.
func signed(t *testing.T, template *x509.Certificate, by Pair) Pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if by.Cert == nil {
		by = Pair{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.Cert, key.Public(), by.Key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return Pair{cert, key}
}

// made is the authority of a number, made some days after the epoch. Those with 256, 512 and so on are renewed last.
func made(t *testing.T, serial int64, days float64) Pair {
	t.Helper()
	return signed(t, term.Own(big.NewInt(serial), after(days)), Pair{})
}

func server() Wanted {
	return Wanted{Name: "sluice", Hosts: []string{"sluice.ns.svc", "sluice.ns.svc.cluster.local"}, Usage: x509.ExtKeyUsageServerAuth}
}

func gateway() Wanted {
	return Wanted{Name: "sluice-gateway", URI: "spiffe://cluster.local/ns/ns/sa/sluice-gateway", Usage: x509.ExtKeyUsageClientAuth}
}

func (c Course) serials() []int64 {
	var out []int64
	for _, p := range c.Keep {
		out = append(out, p.Cert.SerialNumber.Int64())
	}
	return out
}

func TestAuthorities(t *testing.T) {
	first, second, early := made(t, 256, 0), made(t, 512, 2440), made(t, 255, 0)
	leaf := signed(t, must(t, server(), 1, 0), first)
	for _, c := range []struct {
		name  string
		held  []Pair
		days  float64
		keep  []int64
		renew bool
	}{
		{"there is none", nil, 0, nil, true},
		{"it is new", []Pair{first}, 0, []int64{256}, false},
		{"it is young", []Pair{first}, 2400, []int64{256}, false},
		{"two thirds are over", []Pair{first}, 2434, []int64{256}, true},
		{"one of another number is renewed earlier", []Pair{early}, 2260, []int64{255}, true},
		{"but not much", []Pair{early}, 2240, []int64{255}, false},
		{"both are trusted", []Pair{second, first}, 2441, []int64{512, 256}, false},
		{"and to the end of the first", []Pair{second, first}, 3649.9, []int64{512, 256}, false},
		{"which is dropped then", []Pair{second, first}, 3650, []int64{512}, false},
		{"all have ended", []Pair{second, first}, 9000, nil, true},
		{"no authority", []Pair{leaf}, 1, nil, true},
	} {
		got := term.Authorities(c.held, after(c.days))
		if !slices.Equal(got.serials(), c.keep) || got.Renew != c.renew {
			t.Errorf("%s: keeps %v and renews %t, want %v and %t", c.name, got.serials(), got.Renew, c.keep, c.renew)
		}
	}
}

func TestSigner(t *testing.T) {
	first, second := made(t, 256, 0), made(t, 512, 2440)
	for _, c := range []struct {
		name string
		held []Pair
		days float64
		want int64
	}{
		{"the only one, though nobody has it yet", []Pair{first}, 0, 256},
		{"the older, until everybody has the newer", []Pair{second, first}, 2476, 256},
		{"the newer from then on", []Pair{second, first}, 2477, 512},
		{"the newer at once, when the older ends before what it would sign", []Pair{made(t, 512, 3600), first}, 3600, 512},
	} {
		if got := term.Signer(c.held, after(c.days)).Cert.SerialNumber.Int64(); got != c.want {
			t.Errorf("%s: %d signs, want %d", c.name, got, c.want)
		}
	}
}

func must(t *testing.T, w Wanted, serial int64, days float64) *x509.Certificate {
	t.Helper()
	out, err := term.Template(w, big.NewInt(serial), after(days))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestJudge(t *testing.T) {
	first, second, stranger := made(t, 256, 0), made(t, 512, 1), made(t, 768, 0)
	of := func(w Wanted, serial int64, by Pair) Pair { return signed(t, must(t, w, serial, 10), by) }
	good, client := of(server(), 256, first), of(gateway(), 256, second)
	moved := server()
	moved.Hosts = []string{"sluice.other.svc"}
	other := gateway()
	other.URI = "spiffe://cluster.local/ns/other/sa/sluice-gateway"
	turned := server()
	turned.Hosts = []string{server().Hosts[1], server().Hosts[0]}
	addressed := server()
	addressed.Hosts = []string{"127.0.0.1", "::1", "sluice.ns.svc"}
	both := []Pair{second, first}
	for _, c := range []struct {
		name string
		held []Pair
		want Wanted
		by   []Pair
		days float64
		why  Reason
	}{
		{"new", []Pair{good}, server(), both, 10, Kept},
		{"of the authority before", []Pair{good}, server(), both, 69, Kept},
		{"names in another order", []Pair{good}, turned, both, 10, Kept},
		{"addresses", []Pair{of(addressed, 256, first)}, addressed, both, 10, Kept},
		{"another address", []Pair{of(addressed, 256, first)}, server(), both, 10, Renamed},
		{"a client", []Pair{client}, gateway(), both, 69, Kept},
		{"two thirds are over", []Pair{good}, server(), both, 70, Due},
		{"ended", []Pair{good}, server(), both, 200, Due},
		{"one of another number is renewed earlier", []Pair{of(server(), 255, first)}, server(), both, 66, Due},
		{"but not much", []Pair{of(server(), 255, first)}, server(), both, 65, Kept},
		{"the authority is gone", []Pair{good}, server(), []Pair{second}, 10, Untrusted},
		{"a stranger signed it", []Pair{of(server(), 256, stranger)}, server(), both, 10, Untrusted},
		{"other names", []Pair{good}, moved, both, 10, Renamed},
		{"another identity", []Pair{client}, other, both, 10, Renamed},
		{"the other side", []Pair{good}, Wanted{Hosts: server().Hosts, Usage: x509.ExtKeyUsageClientAuth}, both, 10, Renamed},
		{"none", nil, server(), both, 10, Missing},
		{"another's key", []Pair{{good.Cert, client.Key}}, server(), both, 10, Unreadable},
	} {
		cert, key, err := Encode(c.held)
		if err != nil {
			t.Fatal(err)
		}
		if got := term.Judge(cert, key, c.want, c.by, after(c.days)); got != c.why {
			t.Errorf("%s: %q, want %q", c.name, got, c.why)
		}
	}
}

// Over thirty years of looking every third day, what was signed is trusted by whoever knows the authorities, also by those who
// learn of new ones a month late, and no certificate ends before it is replaced.
func TestTerm_neverLeavesAGap(t *testing.T) {
	var held, late []Pair
	var leaf Pair
	serial, signings, authorities := int64(0), 0, 0
	next := func() *big.Int { serial += 77; return big.NewInt(serial) }
	var lately [][]Pair // what was trusted each time
	for n := range 30 * 365 / 3 {
		d := 3 * n
		now := after(float64(d))
		course := term.Authorities(held, now)
		held = course.Keep
		if course.Renew {
			held, authorities = append([]Pair{signed(t, term.Own(next(), now), Pair{})}, held...), authorities+1
		}
		var cert, key []byte
		var err error
		if leaf.Cert != nil {
			if cert, key, err = Encode([]Pair{leaf}); err != nil {
				t.Fatal(err)
			}
		}
		if term.Judge(cert, key, server(), held, now) != Kept {
			template, err := term.Template(server(), next(), now)
			if err != nil {
				t.Fatal(err)
			}
			leaf, signings = signed(t, template, term.Signer(held, now)), signings+1
		}
		lately = append(lately, held)
		late = lately[max(0, n-10)]
		for who, trusted := range map[string][]Pair{"who is up to date": held, "who learns late": late} {
			pool := x509.NewCertPool()
			for _, a := range trusted {
				pool.AddCert(a.Cert)
			}
			_, err := leaf.Cert.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: now, DNSName: "sluice.ns.svc", KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
			if err != nil {
				t.Fatalf("day %d: %s refuses: %v", d, who, err)
			}
		}
	}
	if authorities < 4 || authorities > 6 || signings < 150 || signings > 250 {
		t.Errorf("%d authorities were made and %d certificates", authorities, signings)
	}
}

func TestParse_refuses(t *testing.T) {
	a, b := made(t, 1, 0), made(t, 2, 0)
	certs, keys, err := Encode([]Pair{a, b})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Parse(certs, keys); err != nil || len(got) != 2 || !got[1].Cert.Equal(b.Cert) {
		t.Errorf("got %d, %v", len(got), err)
	}
	one, key, err := Encode([]Pair{a})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string][2][]byte{
		"nothing": {}, "text": {[]byte("no PEM"), []byte("no PEM")}, "fewer keys": {certs, key}, "more keys": {one, keys},
		"a key for a certificate": {key, key}, "a certificate for a key": {one, one},
	} {
		if _, err := Parse(c[0], c[1]); err == nil {
			t.Errorf("%s: is taken", name)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		term Term
		ok   bool
	}{{term, true}, {Term{Authority: 6, Leaf: 1}, true}, {Term{Authority: 5, Leaf: 1}, false}, {Term{Authority: 5}, false}} {
		if err := c.term.Check(); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c.term, err)
		}
	}
}
