package server

import (
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// Responses are written without being marshalled: the bytes of a resource are the same for all streams, and large ones
// are not even copied. What is around them is put together by hand, field by field.

// Numbers of the fields of messages of the discovery service.
const (
	responseVersion   = 1 // of DiscoveryResponse
	responseResources = 2 // of both responses
	responseType      = 4
	responseNonce     = 5
	responseRemoved   = 6 // of DeltaDiscoveryResponse
	sotwControlPlane  = 6 // of DiscoveryResponse
	deltaControlPlane = 7 // of DeltaDiscoveryResponse
	planeIdentifier   = 1 // of ControlPlane
	resourceVersion   = 1 // of Resource
	resourceContent   = 2
	resourceName      = 3
	anyType           = 1 // of Any
	anyValue          = 2
)

// copied is the size below which the bytes of a resource are copied: many small pieces cost more.
const copied = 4 << 10

// encoded is a message in its bytes. They are shared and never changed.
type encoded struct{ pieces mem.BufferSlice }

// codec writes encoded messages as they are, and everything else as gRPC does.
type codec struct{ plain encoding.CodecV2 }

// Marshal implements encoding.CodecV2.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if e, ok := v.(encoded); ok {
		return e.pieces, nil
	}
	return c.plain.Marshal(v)
}

// Unmarshal implements encoding.CodecV2.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error { return c.plain.Unmarshal(data, v) }

// Name implements encoding.CodecV2.
func (c codec) Name() string { return c.plain.Name() }

// encodeDelta is r as a DeltaDiscoveryResponse.
func encodeDelta(r response, identifier string) encoded {
	var w writer
	for _, i := range r.items {
		content := sizeOfAny(i)
		around := sizeOfString(resourceVersion, i.version) + sizeOfString(resourceName, i.name) + protowire.SizeTag(resourceContent)
		w.open(responseResources, around+protowire.SizeBytes(content))
		w.string(resourceVersion, i.version)
		w.string(resourceName, i.name)
		w.open(resourceContent, content)
		w.any(i)
	}
	w.string(responseType, r.typeURL)
	w.string(responseNonce, r.nonce)
	for _, name := range r.removed {
		w.string(responseRemoved, name)
	}
	w.open(deltaControlPlane, sizeOfString(planeIdentifier, identifier))
	w.string(planeIdentifier, identifier)
	return w.encoded()
}

// encodeSotw is r as a DiscoveryResponse.
func encodeSotw(r response, identifier string) encoded {
	var w writer
	for _, i := range r.items {
		w.open(responseResources, sizeOfAny(i))
		w.any(i)
	}
	w.string(responseVersion, r.version)
	w.string(responseType, r.typeURL)
	w.string(responseNonce, r.nonce)
	w.open(sotwControlPlane, sizeOfString(planeIdentifier, identifier))
	w.string(planeIdentifier, identifier)
	return w.encoded()
}

func sizeOfString(field protowire.Number, s string) int {
	if s == "" {
		return 0
	}
	return protowire.SizeTag(field) + protowire.SizeBytes(len(s))
}

func sizeOfAny(i *item) int {
	size := sizeOfString(anyType, i.any.GetTypeUrl())
	if n := len(i.any.GetValue()); n > 0 {
		size += protowire.SizeTag(anyValue) + protowire.SizeBytes(n)
	}
	return size
}

// writer puts a message together.
type writer struct {
	pieces mem.BufferSlice
	now    []byte // the piece that is being written
}

// open begins a field of so many bytes.
func (w *writer) open(field protowire.Number, size int) {
	w.now = protowire.AppendVarint(protowire.AppendTag(w.now, field, protowire.BytesType), uint64(size))
}

// string writes a field; an empty one is left out.
func (w *writer) string(field protowire.Number, s string) {
	if s != "" {
		w.open(field, len(s))
		w.now = append(w.now, s...)
	}
}

// any writes the fields of an Any.
func (w *writer) any(i *item) {
	w.string(anyType, i.any.GetTypeUrl())
	value := i.any.GetValue()
	if len(value) == 0 {
		return
	}
	w.open(anyValue, len(value))
	if len(value) < copied {
		w.now = append(w.now, value...)
		return
	}
	w.pieces = append(w.pieces, mem.SliceBuffer(w.now), mem.SliceBuffer(value))
	w.now = nil
}

func (w *writer) encoded() encoded {
	return encoded{pieces: append(w.pieces, mem.SliceBuffer(w.now))}
}
