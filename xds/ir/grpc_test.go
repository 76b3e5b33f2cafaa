package ir_test

import (
	"testing"

	"github.com/sluice-dev/sluice/xds/ir"
)

func TestParseGRPCStatus_isTheInverseOfTheName(t *testing.T) {
	for code := uint32(0); ; code++ {
		name := ir.GRPCStatusName(code)
		if name == "" {
			if code != 17 {
				t.Errorf("%d statuses have a name, want 17", code)
			}
			break
		}
		if got, ok := ir.ParseGRPCStatus(name); !ok || got != code {
			t.Errorf("%s is %d, %v, want %d", name, got, ok, code)
		}
	}
	if code, ok := ir.ParseGRPCStatus("UNAVAILABLE"); !ok || code != 14 {
		t.Errorf("UNAVAILABLE is %d, %v, want 14", code, ok)
	}
	if _, ok := ir.ParseGRPCStatus("unavailable"); ok {
		t.Error("a name in lower case is taken")
	}
}
