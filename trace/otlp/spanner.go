package otlp

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	api "go.opentelemetry.io/otel/trace"

	"github.com/sluice-dev/sluice/trace"
)

// spanner makes the SDK's spans of ours. One goroutine uses it.
type spanner struct {
	tracer api.Tracer
	shelf  *shelf
}

func newSpanner(c Config) *spanner {
	s := &shelf{}
	provider := sdk.NewTracerProvider(sdk.WithSpanProcessor(s), sdk.WithIDGenerator(ids{}), sdk.WithSampler(sdk.AlwaysSample()),
		sdk.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "sluice"), attribute.String("service.version", c.Version), attribute.String("service.instance.id", c.Replica))))
	return &spanner{tracer: provider.Tracer("github.com/sluice-dev/sluice/trace"), shelf: s}
}

// spans makes all of them.
func (m *spanner) spans(ctx context.Context, of []trace.Span) []sdk.ReadOnlySpan {
	for _, s := range of {
		m.span(ctx, s)
	}
	return m.shelf.take()
}

func (m *spanner) span(ctx context.Context, s trace.Span) {
	id := s.Attempt.Trace()
	if above := s.Above(); above != (trace.ID{}) {
		ctx = api.ContextWithRemoteSpanContext(ctx, api.NewSpanContext(api.SpanContextConfig{
			TraceID: id, SpanID: api.SpanID(above), TraceFlags: api.FlagsSampled, Remote: true}))
	}
	ctx = context.WithValue(ctx, idsKey{}, wanted{id, api.SpanID(s.ID())})
	_, span := m.tracer.Start(ctx, s.Name, api.WithTimestamp(s.From), api.WithAttributes(attributes(s.Attributes)...))
	for _, e := range s.Events {
		span.AddEvent(e.Name, api.WithTimestamp(e.At), api.WithAttributes(attributes(e.Attributes)...))
	}
	if s.Failure != "" {
		span.SetStatus(codes.Error, s.Failure)
	}
	span.End(api.WithTimestamp(s.To))
}

func attributes(of []trace.Attribute) []attribute.KeyValue {
	var out []attribute.KeyValue
	for _, a := range of {
		switch v := a.Value.(type) {
		case string:
			if v != "" {
				out = append(out, attribute.String(a.Key, v))
			}
		case int:
			out = append(out, attribute.Int(a.Key, v))
		default:
			out = append(out, attribute.String(a.Key, fmt.Sprint(v)))
		}
	}
	return out
}

// wanted are the ids that a span is to get.
type wanted struct {
	trace api.TraceID
	span  api.SpanID
}

type idsKey struct{}

// ids hands out those that the context says.
type ids struct{}

// NewIDs implements sdk.IDGenerator.
func (ids) NewIDs(ctx context.Context) (api.TraceID, api.SpanID) {
	w, _ := ctx.Value(idsKey{}).(wanted)
	return w.trace, w.span
}

// NewSpanID implements sdk.IDGenerator.
func (ids) NewSpanID(ctx context.Context, _ api.TraceID) api.SpanID {
	w, _ := ctx.Value(idsKey{}).(wanted)
	return w.span
}

// shelf keeps spans that have ended until they are taken.
type shelf struct{ ended []sdk.ReadOnlySpan }

// OnStart implements sdk.SpanProcessor.
func (*shelf) OnStart(context.Context, sdk.ReadWriteSpan) {}

// OnEnd implements sdk.SpanProcessor.
func (s *shelf) OnEnd(one sdk.ReadOnlySpan) { s.ended = append(s.ended, one) }

// Shutdown implements sdk.SpanProcessor.
func (*shelf) Shutdown(context.Context) error { return nil }

// ForceFlush implements sdk.SpanProcessor.
func (*shelf) ForceFlush(context.Context) error { return nil }

func (s *shelf) take() []sdk.ReadOnlySpan {
	out := s.ended
	s.ended = nil
	return out
}
