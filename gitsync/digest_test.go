package gitsync

import (
	"encoding/json"
	"math"
	"testing"
)

func TestCanonical_followsRFC8785(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		in   any
		want string
	}{
		{nil, "null"},
		{[]any{true, false, nil, "a"}, `[true,false,null,"a"]`},
		{map[string]any{"b": int64(1), "a": []string{"x"}}, `{"a":["x"],"b":1}`},
		{map[string]any{"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\u0080": 6, "\u00f6": 7},
			"{\"\\r\":2,\"1\":4,\"\u0080\":6,\"\u00f6\":7,\"\u20ac\":1,\"\U0001f600\":5,\"\ufb33\":3}"},
		{"\u20ac$\x0f\nA'B\"\\\"/<&", "\"\u20ac$\\u000f\\nA'B\\\"\\\\\\\"/<&\""},
		{0.0, "0"}, {math.Copysign(0, -1), "0"}, {1e21, "1e+21"}, {1e20, "100000000000000000000"}, {1e-6, "0.000001"}, {1e-7, "1e-7"},
		{333333333.33333329, "333333333.3333333"}, {4.50, "4.5"}, {2e-3, "0.002"}, {5e-324, "5e-324"}, {1.7976931348623157e308, "1.7976931348623157e+308"},
		{int64(42), "42"}, {json.Number("1.0"), "1"},
	} {
		got, err := Canonical(row.in)
		if err != nil || string(got) != row.want {
			t.Errorf("Canonical(%v) = %s, %v; want %s", row.in, got, err, row.want)
		}
	}
	for _, bad := range []any{"\xff", struct{}{}, map[string]any{"a": make(chan int)}} {
		if got, err := Canonical(bad); err == nil {
			t.Errorf("Canonical(%v) = %s, want an error", bad, got)
		}
	}
}

const (
	vectorRollout = "7de1c2eb58b265ddaf15a3eb1a20bd0d1a03556d411f082dd7d18f99dbee0041"
	vectorThree   = "6588ef8c7993078ffa1f6f14ab901643005b8109e9034fa62b899b1561925a55"
)

func TestHashValues_matchesVectors(t *testing.T) {
	t.Parallel()
	rollout := ID{"sluice.dev", "Rollout", "bookinfo", "reviews"}
	values := map[ID]any{rollout: map[string]any{"subset": "v2", "host": "reviews"}}
	if got, err := hashValues(values); err != nil || got != vectorRollout {
		t.Errorf("one value: got %s, %v; want %s", got, err, vectorRollout)
	}
	values[ID{"", "ConfigMap", "bookinfo", "cfg"}] = map[string]any{"data": map[string]any{"a": "1"}}
	values[ID{"networking.istio.io", "DestinationRule", "bookinfo", "reviews"}] =
		map[string]any{"name": "v2", "labels": map[string]any{"version": "v2"}}
	if got, err := hashValues(values); err != nil || got != vectorThree {
		t.Errorf("three values: got %s, %v; want %s", got, err, vectorThree)
	}
}

func TestDigest_matchesVectorAndIgnoresSteps(t *testing.T) {
	t.Parallel()
	r := rolloutObject("reviews", "v2")
	r.Content["spec"].(map[string]any)["steps"] = []any{map[string]any{"weight": int64(15)}}
	got, err := Digest(r, []Object{r}, "cluster.local")
	if err != nil || got != vectorRollout {
		t.Errorf("Digest = %s, %v; want %s", got, err, vectorRollout)
	}
}

func TestDigest_seesOnlyWhatTheNewVersionUses(t *testing.T) {
	t.Parallel()
	world := shop()
	digest := func(objects []Object) string {
		t.Helper()
		got, err := Digest(find(objects, "Rollout"), objects, "cluster.local")
		if err != nil {
			t.Fatalf("Digest: %v", err)
		}
		return got
	}
	base := digest(world)
	for _, row := range []struct {
		name    string
		change  func(o Object)
		differs bool
	}{
		{"image of the canary", func(o Object) { set(o, "reviews-v2", "img:2b", "spec", "template", "spec", "image") }, true},
		{"image of stable", func(o Object) { set(o, "reviews-v1", "img:1b", "spec", "template", "spec", "image") }, false},
		{"replicas of the canary", func(o Object) { set(o, "reviews-v2", int64(9), "spec", "replicas") }, false},
		{"configuration of the canary", func(o Object) { set(o, "cfg-v2", "2", "data", "a") }, true},
		{"configuration of nobody", func(o Object) { set(o, "other", "2", "data", "a") }, false},
		{"content of the canary's Secret", func(o Object) { set(o, "key-v2", "eA==", "data", "a") }, false},
		{"route", func(o Object) {
			if o.ID.Kind == "VirtualService" {
				set(o, "reviews", "x", "spec", "note")
			}
		}, false},
	} {
		changed := shop()
		for _, o := range changed {
			row.change(o)
		}
		if got := digest(changed); (got != base) != row.differs {
			t.Errorf("%s: digest %s, base %s, want differs=%v", row.name, got[:8], base[:8], row.differs)
		}
	}
}
