// Package pages holds the test that types every command of the documentation, where it says what it is typed: against a
// cluster, beside `sluice up`, in a Git work tree.
package pages
