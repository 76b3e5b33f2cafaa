// Package up is `sluice up` and `sluice down`: the parts of standalone/stack as verbs, fed from one Git repository.
//
// It understands flags, finds the repository and the proxy, makes the one Source, and prints where everything is. The
// parts and their state are the stack's.
package up
