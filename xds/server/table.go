package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/sluice-dev/sluice/xds/envoy"
)

// Numbers of fields: of the virtual hosts of a RouteConfiguration, and of the name of one and of a ClusterLoadAssignment.
const (
	fieldName  = 1
	fieldHosts = 2
)

// reassembled is the table base with other virtual hosts, whose bytes are in parts. Candidates are names that it may name.
func reassembled(base *item, parts []envoy.Part, candidates []string) *item {
	before, after := frame(base.any.GetValue())
	value := slices.Clone(before)
	for _, p := range parts {
		value = protowire.AppendTag(value, fieldHosts, protowire.BytesType)
		value = protowire.AppendBytes(value, p.Bytes)
	}
	value = append(value, after...)
	out := made(base, value)
	out.parts, out.carries = parts, base.carries
	for _, name := range candidates {
		if bytes.Contains(value, []byte(name)) {
			out.refs = append(out.refs, name)
		}
	}
	slices.Sort(out.refs)
	out.refs = slices.Compact(out.refs)
	return out
}

// frame is what a table holds before and after its virtual hosts.
func frame(table []byte) (before, after []byte) {
	for len(table) > 0 {
		number, _, n := protowire.ConsumeField(table)
		if n < 0 {
			return before, append(after, table...) // of our own making, so it does not happen
		}
		switch {
		case number == fieldHosts:
		case number < fieldHosts:
			before = append(before, table[:n]...)
		default:
			after = append(after, table[:n]...)
		}
		table = table[n:]
	}
	return before, after
}

// empty stands for a table or endpoints of which no good version is known: it has the name and nothing else.
func empty(base *item) *item {
	value := protowire.AppendTag(nil, fieldName, protowire.BytesType)
	return made(base, protowire.AppendString(value, base.name))
}

// made is an item of the name and type of base.
func made(base *item, value []byte) *item {
	sum := sha256.Sum256(value)
	return &item{
		name: base.name, version: hex.EncodeToString(sum[:16]),
		any: &anypb.Any{TypeUrl: base.any.GetTypeUrl(), Value: value},
	}
}
