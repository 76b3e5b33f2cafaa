package gitsync_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/gitsync"
)

func TestConceal_table(t *testing.T) {
	t.Parallel()
	key := "-----BEGIN KEY-----\nAAAABBBBCCCCDDDD\nEEEEFFFFGGGGHHHH\n-----END KEY-----\n"
	for _, row := range []struct{ secret, text, want string }{
		{"s3cr3t-token-x", "the server says \"s3cr3t-token-x\" twice: s3cr3t-token-x", "the server says \"(secret)\" twice: (secret)"},
		{"s3cr3t-token-x", "cut: s3cr3t-tok", "cut: (secret)"},
		{"s3cr3t-token-x", "3t-token-x cut at its begin", "(secret) cut at its begin"},
		{"s3cr3t-token-x", "s3cr3t stays: it is too short a part", "s3cr3t stays: it is too short a part"},
		{"pass", "pass and passport", "(secret) and (secret)port"},
		{"abc", "abc guards nothing", "abc guards nothing"},
		{"", "nothing to hide", "nothing to hide"},
		{key, "-----BEGIN KEY----- BBBBCCCC, FFFFGGGG", "-----BEGIN KEY----- (secret), (secret)"},
	} {
		cause := gitsync.Failure{Reason: gitsync.Unreachable, Err: errors.Join(errors.New(row.text), io.ErrUnexpectedEOF), RetryAfter: 3,
			Problem: &problem.Problem{Code: "S209", Message: row.text, Hint: row.text}}
		err := gitsync.Conceal(&cause, []string{row.secret})
		got, ok := errors.AsType[*gitsync.Failure](err)
		text, _, _ := strings.Cut(err.Error(), "\n")
		if !ok || text != row.want || got.Problem.Message != row.want || got.Problem.Hint != row.want || got.Reason != cause.Reason || got.RetryAfter != 3 || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q of %q: %q, problem %v; want %q and the rest as it was", row.secret, row.text, text, got.Problem, row.want)
		}
		if plain := gitsync.Conceal(errors.New(row.text), []string{row.secret}); plain.Error() != row.want {
			t.Errorf("%q of %q: %q, want %q", row.secret, row.text, plain, row.want)
		}
	}
	if gitsync.Conceal(nil, []string{"secret"}) != nil {
		t.Error("nothing became an error")
	}
}
