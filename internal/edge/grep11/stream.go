// SPDX-License-Identifier: Apache-2.0

package grep11

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	wire "strongroom/api/gen/grep11"
	"strongroom/internal/pure/ep11"
)

// describe gives the service for a gRPC server. Its calls are unary, on the wire and for clients; here they are streams of one message each way,
// because a gRPC server reads the message of a unary call before it asks anybody, and callers are to be known before that.
func (s *Server) describe() *grpc.ServiceDesc {
	d := &grpc.ServiceDesc{ServiceName: wire.Crypto_ServiceDesc.ServiceName, HandlerType: (*any)(nil), Metadata: wire.Crypto_ServiceDesc.Metadata}
	for _, r := range rows() {
		d.Streams = append(d.Streams, grpc.StreamDesc{StreamName: r.fn.String(), ServerStreams: true, ClientStreams: true,
			Handler: func(_ any, stream grpc.ServerStream) error {
				out, err := s.handle(stream.Context(), r, stream)
				if err != nil {
					return err
				}
				return stream.SendMsg(out)
			}})
	}
	return d
}

// codec leaves messages that come as they are: gRPC itself would answer a bad one without the detail that clients read.
type codec struct{}

// Marshal writes a response.
func (codec) Marshal(v any) (mem.BufferSlice, error) {
	m, ok := v.(proto.Message)
	if !ok {
		return nil, errors.New("no message")
	}
	b, err := proto.Marshal(m)
	return mem.BufferSlice{mem.SliceBuffer(b)}, err
}

// Unmarshal keeps the bytes of a request.
func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	b, ok := v.(*[]byte)
	if !ok {
		return errors.New("no bytes")
	}
	*b = data.Materialize()
	return nil
}

// Name is the content subtype.
func (codec) Name() string { return "proto" }

// receive reads the one message of a call. Few are read at a time, and none for long, because a message takes memory from its first byte on.
func (s *Server) receive(ctx context.Context, stream grpc.ServerStream) ([]byte, error) {
	late := time.NewTimer(readTime)
	defer late.Stop()
	slow := again(ep11.CKR_IBM_REQ_TIMEOUT, "the message did not come in time")
	select {
	case s.reads <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-late.C:
		return nil, slow
	}
	defer func() { <-s.reads }()
	type result struct {
		b   []byte
		err error
	}
	got := make(chan result, 1)
	go func() { // ends with the message, or with the call
		b, err := one(stream)
		got <- result{b, err}
	}()
	select {
	case r := <-got:
		return r.b, r.err
	case <-late.C:
		return nil, slow
	}
}

// one reads a message, and that there is no second one.
func one(stream grpc.ServerStream) ([]byte, error) {
	var b, more []byte
	if err := stream.RecvMsg(&b); err != nil {
		return nil, unreadable(err)
	}
	switch err := stream.RecvMsg(&more); {
	case errors.Is(err, io.EOF):
	case err != nil:
		return nil, unreadable(err)
	default:
		return nil, ep11.Fail(ep11.CKR_IBM_GREP11_CANNOT_UNMARSHAL, "a second message came; a call has one")
	}
	if len(b) > MaxMessage {
		return nil, tooLarge()
	}
	return b, nil
}

func tooLarge() error {
	return ep11.Fail(ep11.CKR_IBM_TRANSPORT_LIMIT, "the message has more than %d bytes", MaxMessage)
}

// unreadable says why there is no message.
func unreadable(err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return ep11.Fail(ep11.CKR_IBM_GREP11_CANNOT_UNMARSHAL, "no message came; a call has one")
	case status.Code(err) == codes.ResourceExhausted:
		return tooLarge()
	}
	return context.Canceled
}
