// Package image builds the container image with the real ko, from a base and into a registry on loopback, and looks
// inside: one static program, a user without rights, no shell, no git, and a list of what it is made of.
package image
