package istio

import (
	"cmp"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/sluice-dev/sluice/xds/ir"
)

// The bounds and the defaults of what is hashed into.
const (
	defaultRing = 1024
	maxRing     = 8 << 20
	maxTable    = 5000011
)

type consistentHash = block[*networking.LoadBalancerSettings_ConsistentHashLB]

// hashKey is what requests are told apart by; false: nothing valid is named, and requests are spread evenly.
func (t *translator) hashKey(b consistentHash) (ir.Hash, bool) {
	const until = "until then requests are spread evenly"
	field, name := "", ""
	var out ir.Hash
	switch key := b.value.GetHashKey().(type) {
	case *networking.LoadBalancerSettings_ConsistentHashLB_HttpHeaderName:
		field, name, out.Header = "httpHeaderName", strings.TrimPrefix(key.HttpHeaderName, ":"), key.HttpHeaderName
	case *networking.LoadBalancerSettings_ConsistentHashLB_HttpCookie:
		field, name = "httpCookie", key.HttpCookie.GetName()
		out.Cookie = t.cookie(b, key.HttpCookie)
	case *networking.LoadBalancerSettings_ConsistentHashLB_UseSourceIp:
		field, out.SourceIP = "useSourceIp", key.UseSourceIp
	case *networking.LoadBalancerSettings_ConsistentHashLB_HttpQueryParameterName:
		field, name, out.Query = "httpQueryParameterName", key.HttpQueryParameterName, key.HttpQueryParameterName
	}
	at := b.field + "." + field
	switch {
	case field == "" || (field == "useSourceIp" && !out.SourceIP):
		t.found.fail(b.at, "S002", b.field, "consistentHash says nothing to hash by", "give a header, a cookie, the source IP or a query parameter; "+until)
		return ir.Hash{}, false
	case out.Query != "" && len(name) <= maxMatchValue, out.SourceIP:
	case !token(name) || len(name) > maxMatchValue:
		t.found.fail(b.at, "S002", at, fmt.Sprintf("%q is no name to hash by", name), "correct it; "+until)
		return ir.Hash{}, false
	}
	if t.class.Kind == ir.KindGRPC && out.Header == "" {
		t.found.policy(b.at, at, field+" in a gRPC client")
		return ir.Hash{}, false
	}
	return out, true
}

func (t *translator) cookie(b consistentHash, in *networking.LoadBalancerSettings_ConsistentHashLB_HTTPCookie) *ir.Cookie {
	plain := func(text string) bool {
		return len(text) <= maxMatchValue && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r >= 0x7f || r == ';' })
	}
	out := &ir.Cookie{Name: in.GetName()}
	if plain(in.GetPath()) {
		out.Path = in.GetPath()
	} else {
		t.found.fail(b.at, "S002", b.field+".httpCookie.path", fmt.Sprintf("%q is no path of a cookie", in.GetPath()), "correct it; until then the cookie has none")
	}
	if in.GetTtl() != nil {
		ttl := in.GetTtl().AsDuration()
		if ttl < 0 {
			t.found.fail(b.at, "S002", b.field+".httpCookie.ttl", fmt.Sprintf("%v is below 0", ttl), "give a duration of 0s or more; until then no cookie is set")
		} else {
			out.TTL = &ttl
		}
	}
	for i, a := range in.GetAttributes() {
		if !token(a.GetName()) || !plain(a.GetValue()) {
			t.found.fail(b.at, "S002", fmt.Sprintf("%s.httpCookie.attributes[%d]", b.field, i), fmt.Sprintf("%q is no attribute of a cookie", a.GetName()),
				"correct it; until then it is left out")
			continue
		}
		out.Attributes = append(out.Attributes, ir.Header{Name: a.GetName(), Value: a.GetValue()})
	}
	return out
}

// hashing is the algorithm, and the size of what it hashes into.
func (t *translator) hashing(b consistentHash) (ir.Balance, uint64) {
	if b.value.GetMaglev() != nil && t.class.Kind == ir.KindGRPC {
		t.found.info(b.at, "S044", b.field+".maglev", "a gRPC client has no MAGLEV; RING_HASH is used", "write ringHash where gRPC clients matter most")
	}
	if m := b.value.GetMaglev(); m != nil && t.class.Kind != ir.KindGRPC {
		size := m.GetTableSize()
		if size > maxTable || (size != 0 && !new(big.Int).SetUint64(size).ProbablyPrime(0)) {
			t.found.fail(b.at, "S002", b.field+".maglev.tableSize", fmt.Sprintf("%d is no prime number, or above %d", size, maxTable),
				"give a prime number; until then Envoy's default holds")
			size = 0
		}
		return ir.Maglev, size
	}
	at, size := b.field+".ringHash.minimumRingSize", b.value.GetRingHash().GetMinimumRingSize()
	if old := b.value.GetMinimumRingSize(); size == 0 && old != 0 { //nolint:staticcheck // deprecated by Istio, still in use
		at, size = b.field+".minimumRingSize", old
	}
	if size > maxRing {
		t.found.fail(b.at, "S002", at, fmt.Sprintf("%d is above %d", size, maxRing), fmt.Sprintf("give less; until then it is %d", defaultRing))
		size = 0
	}
	return ir.RingHash, cmp.Or(size, defaultRing)
}

// hashBy gives a route what its clusters hash by, each once. Where only one destination is written, a retry may go to the
// endpoint that was tried: the hash would choose it again anyway.
func (t *translator) hashBy(f *ir.Forward, single bool) {
	for _, d := range f.Destinations {
		h := t.hash(d.Cluster)
		if h != nil && !slices.ContainsFunc(f.Hash, func(have ir.Hash) bool { return reflect.DeepEqual(have, *h) }) {
			f.Hash = append(f.Hash, *h)
		}
	}
	if single && len(f.Hash) > 0 && f.Retry != nil {
		f.Retry.OtherHosts = false
	}
}
