// Package tutorial does what the tutorial says, line by line, in terminals as its reader has them: real files, real git,
// the full program, Envoy and kubectl.
package tutorial
