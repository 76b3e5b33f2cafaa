// Package up is `sluice up` and `sluice down`: it starts every part that Sluice needs on this machine, in order,
// keeps them running, and stops them in the other order. The parts themselves are elsewhere (standalone/server,
// standalone/prom, internal/app, Envoy); this package decides where they listen, what survives, and what is printed.
//
// All state of a name is in one directory, locked while an up of that name lives. What was found busy or was chosen
// freely is written to up.json there, so that the next up takes the same addresses and the proxy finds it again.
package up
