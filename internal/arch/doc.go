// Package arch holds the rules of the house as tests: who may import whom (rules.txt), and the measured limits on
// files, functions and types. An exception needs a line with a reason in exceptions.txt.
package arch
