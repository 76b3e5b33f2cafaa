package controller

import (
	"errors"
	"testing"
)

func TestFreezes_sayWhyANamespaceCannotBeRead(t *testing.T) {
	t.Parallel()
	f := newFreezes()
	if got := f.of("shop"); got != unread {
		t.Errorf("a new namespace is frozen because %q", got)
	}
	refused := errors.New("namespaces is forbidden")
	if !f.unreadable("shop", refused) || f.unreadable("shop", refused) {
		t.Error("a reason is news once")
	}
	if got, want := f.of("shop"), "it cannot be read: namespaces is forbidden"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if !f.set("shop", "") || f.of("shop") != "" {
		t.Error("what the namespace says does not count")
	}
	if f.unreadable("shop", refused) || f.of("shop") != "" {
		t.Error("a namespace that was read freezes when it cannot be read again")
	}
	f = newFreezes()
	if f.of("late"); !f.set("late", "") {
		t.Error("the first reading is no news")
	}
}
