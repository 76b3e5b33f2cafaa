package main

import (
	"fmt"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// frame is a message as bytes.
type frame struct{ bytes []byte }

// codec passes frames through.
type codec struct{}

// Marshal implements encoding.CodecV2.
func (codec) Marshal(v any) (mem.BufferSlice, error) {
	f, ok := v.(*frame)
	if !ok {
		return nil, fmt.Errorf("marshalling a %T: want bytes", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(f.bytes)}, nil
}

// Unmarshal implements encoding.CodecV2.
func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	f, ok := v.(*frame)
	if !ok {
		return fmt.Errorf("unmarshalling into a %T: want bytes", v)
	}
	n := data.Len()
	if cap(f.bytes) < n {
		f.bytes = make([]byte, n)
	}
	f.bytes = f.bytes[:n]
	data.CopyTo(f.bytes)
	return nil
}

// Name implements encoding.CodecV2.
func (codec) Name() string { return "proto" }

// reply is what a client looks at of a DeltaDiscoveryResponse. Its strings are copies.
type reply struct {
	typeURL   string
	nonce     string
	resources []named
}

type named struct{ name, version string }

// Numbers of fields, of DeltaDiscoveryResponse, its Resource, and DeltaDiscoveryRequest.
const (
	responseResources, responseType, responseNonce = 2, 4, 5
	resourceVersion, resourceName                  = 1, 3
	requestType, requestNonce, requestError        = 2, 6, 7
)

// parse reads a response without its resources: what a client does with those is no part of the comparison.
func parse(text []byte) reply {
	var out reply
	walk(text, func(number int, value []byte) {
		switch number {
		case responseType:
			out.typeURL = string(value)
		case responseNonce:
			out.nonce = string(value)
		case responseResources:
			var one named
			walk(value, func(number int, value []byte) {
				switch number {
				case resourceVersion:
					one.version = string(value)
				case resourceName:
					one.name = string(value)
				}
			})
			out.resources = append(out.resources, one)
		}
	})
	return out
}

// walk gives every field that has a length.
func walk(text []byte, f func(int, []byte)) {
	for len(text) > 0 {
		number, kind, n := protowire.ConsumeTag(text)
		if n < 0 {
			return
		}
		text = text[n:]
		if n = protowire.ConsumeFieldValue(number, kind, text); n < 0 {
			return
		}
		if kind == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(text)
			f(int(number), value)
		}
		text = text[n:]
	}
}

func acknowledgement(r reply) *frame {
	out := appendString(nil, requestType, r.typeURL)
	return &frame{appendString(out, requestNonce, r.nonce)}
}

func refusal(r reply) *frame {
	out := acknowledgement(r)
	detail := appendString(nil, 2, "this is refused") // google.rpc.Status: message
	out.bytes = protowire.AppendTag(out.bytes, requestError, protowire.BytesType)
	out.bytes = protowire.AppendBytes(out.bytes, detail)
	return out
}

func appendString(to []byte, number protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(to, number, protowire.BytesType), s)
}
