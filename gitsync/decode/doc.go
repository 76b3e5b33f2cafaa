// Package decode checks rendered objects before anything is sent: against the Go types of Kubernetes and of Sluice,
// field by field, and against what a Source may apply. It removes what only the server writes.
//
// It decides nothing about order or deletion and speaks to no server; kinds of other groups are left to the server's
// strict validation. gitsync/controller and the linter call it:
//
//	decoder, err := decode.New(decode.Policy{})
//	objects, problems := decoder.Check(build, "bookinfo")
package decode
