package server

import (
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
)

// guarded is two() with the secrets s1 and s2 of the version.
func guarded(version string) envoy.Resources {
	r := two("t1")
	r.Secrets = []envoy.Resource{res(secrets, "s1", version), res(secrets, "s2", version)}
	return r
}

func TestSecrets_goAfterEndpointsAndBeforeListeners(t *testing.T) {
	b := newBench(t, false).publish(guarded("k1"))
	for k, names := range map[kind][]string{clusters: nil, endpoints: {"a", "b"}, secrets: {"s1", "s2"}, listeners: nil} {
		b.say(request{typeURL: k.typeURL(), subscribe: names})
	}
	b.expect("cds a=c1 b=c1", "eds a=e1 b=e1", "sds s1=k1 s2=k1", "lds 0.0.0.0_80=l1")
}

func TestSecrets_areSentByNameOnly(t *testing.T) {
	for name, sotw := range map[string]bool{"delta": false, "state of the world": true} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, sotw).publish(guarded("k1")).say(request{typeURL: secrets.typeURL()}).expect()
			b.say(request{typeURL: secrets.typeURL(), subscribe: []string{"s1"}, names: []string{"s1"}}).expect("sds s1=k1")
			b.ack(secrets, "s1").publish(guarded("k2")).expect("sds s1=k2").ack(secrets, "s1").expect()
		})
	}
}

func TestSecrets_countAndKeepTheProxysWordsOut(t *testing.T) {
	h := start(t, Timing{})
	h.publish(guarded("k1"))
	p := connect(t, h.addr, "n1", false)
	runScript(t, h, p, routes, []step{
		say(ask{kind: secrets, sub: []string{"s1"}}, "sds s1=k1"), say(ask{kind: secrets, nonce: "last"})})
	at := key{kind: secrets, name: "s1"}
	counts := func(version string) (acked, nacked *tally) {
		h.ledger.mu.Lock()
		defer h.ledger.mu.Unlock()
		r := h.ledger.books[gateway].rows[at]
		return r.acked[version], r.nacked[version]
	}
	if good, bad := counts("k1"); good.count() != 1 || bad.count() != 0 {
		t.Errorf("after the acknowledgement: %v acked, %v rejected", good, bad)
	}
	runScript(t, h, p, routes, []step{
		give(guarded("k2"), "sds s1=k2"), say(ask{kind: secrets, nonce: "last", nack: "bad key -----BEGIN PRIVATE KEY-----"}),
		say(ask{kind: secrets, sub: []string{"s1"}}, "sds s1=k1")})
	_, bad := counts("k2")
	if bad.count() != 1 || bad.first == nil || bad.first.Message != secretRefused || strings.Contains(bad.first.Message, "PRIVATE") {
		t.Errorf("after the rejection: %+v", bad)
	}
}

func TestSecrets_refusedAndGivenUpAreNotSentAgain(t *testing.T) {
	h := start(t, Timing{})
	h.publish(guarded("k1"))
	runScript(t, h, connect(t, h.addr, "n1", false), routes, []step{
		say(ask{kind: secrets, sub: []string{"s1"}}, "sds s1=k1"),
		say(ask{kind: secrets, nonce: "last", nack: "no", unsub: []string{"s1"}}),
		say(ask{kind: secrets, sub: []string{"s1"}}, "sds -s1"),
		give(guarded("k2"), "sds s1=k2")})
}

func TestPublish_secretOfAnotherNamespaceIsLeftOut(t *testing.T) {
	h := start(t, Timing{})
	r := guarded("k1")
	r.Secrets[0].Origins = []ir.Origin{{Kind: "Secret", Namespace: "elsewhere", Name: "s1"}}
	r.Secrets[1].Origins = []ir.Origin{{Kind: "Secret", Namespace: gateway.Namespace, Name: "s2"}}
	h.publish(r)
	runScript(t, h, connect(t, h.addr, "n1", false), routes, []step{
		say(ask{kind: secrets, sub: []string{"s1", "s2"}}, "sds s2=k1 -s1")})
}
