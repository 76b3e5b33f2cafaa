package problem

import "testing"

func TestString_namesThePlaceFirst(t *testing.T) {
	p := Problem{Code: "S010", Severity: Error, Object: "VirtualService/shop/reviews", Field: "spec.http[0].route[1]",
		Message: `subset "v9" is not defined`, Hint: "add it to a DestinationRule", Path: "prod/vs.yaml", Line: 12, Column: 7}
	want := `prod/vs.yaml:12:7: error S010: VirtualService/shop/reviews spec.http[0].route[1]: subset "v9" is not defined (add it to a DestinationRule)`
	if got := p.String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestClean_removesControlCharactersAndCutsAtARune(t *testing.T) {
	for _, c := range []struct {
		in    string
		limit int
		want  string
	}{
		{"a\x1b[31mb\nc", 99, "a [31mb c"},
		{"caf\u00e9", 4, "caf"},
		{"caf\u00e9", 5, "caf\u00e9"},
		{"x\u202ey", 9, "x y"},
		{"a\u200eb\u200fc\u061cd\u2028e", 99, "a b c d e"},
	} {
		if got := Clean(c.in, c.limit); got != c.want {
			t.Errorf("Clean(%q, %d) = %q, want %q", c.in, c.limit, got, c.want)
		}
	}
}

func TestSort_ordersByObjectThenFieldThenCode(t *testing.T) {
	ps := []Problem{{Code: "S011", Object: "b"}, {Code: "S010", Object: "a", Field: "z"}, {Code: "S012", Object: "a", Field: "c"}, {Code: "S010", Object: "b"}}
	Sort(ps)
	var got string
	for _, p := range ps {
		got += p.Object + p.Code + " "
	}
	if want := "aS012 aS010 bS010 bS011 "; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
