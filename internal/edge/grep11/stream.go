// SPDX-License-Identifier: Apache-2.0

package grep11

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
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
				out, err := s.handle(stream.Context(), r)
				if err != nil {
					return err
				}
				return stream.SendMsg(out)
			}})
	}
	return d
}

// codec writes responses. Requests are not read by gRPC: it would answer a bad one without the detail that clients read.
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

// Unmarshal refuses.
func (codec) Unmarshal(mem.BufferSlice, any) error {
	return errors.New("requests are not read by gRPC")
}

// Name is the content subtype.
func (codec) Name() string { return "proto" }

// frames reads the frames of a call's message, as gRPC's own stream does under the one that handlers see. Handlers could only ask for a whole message,
// and so neither tell a stream that sends nothing from one that sends, nor say no before a message takes memory.
type frames interface {
	// ReadMessageHeader fills the 5 bytes before a message: whether it is compressed, and its length, big-endian.
	ReadMessageHeader(header []byte) error
	// Read reads exactly n bytes.
	Read(n int) (mem.BufferSlice, error)
}

// receive reads the one message of a call, of at most so many bytes. Until its first bytes come it has nothing; one that fits the stream's window has
// taken its memory already; larger ones are read a few at a time, of a connection, of an address and together, and none for long.
func (s *Server) receive(ctx context.Context, from net.Addr, most int) ([]byte, error) {
	in, ok := grpc.ServerTransportStreamFromContext(ctx).(frames)
	if !ok {
		return nil, errors.New("this version of gRPC has no frames to read")
	}
	got := make(chan arrival, 2) // has room for all that comes
	go func() {                  // ends with the call at the latest
		n, err := header(in)
		got <- arrival{size: n, err: err}
		if err == nil && n <= min(most, streamWindow) {
			got <- whole(in, n)
		}
	}()
	late := time.NewTimer(s.cfg.firstTime)
	defer late.Stop()
	first := next(ctx, got, late)
	switch {
	case first.err != nil:
		return nil, first.err
	case first.size > most:
		return nil, tooLarge(most)
	}
	if first.size > streamWindow {
		wait, cancel := context.WithTimeout(ctx, s.cfg.readTime)
		defer cancel()
		give, ok := s.reads.take(wait, from.String(), place(from.String()).String())
		if !ok {
			return nil, errSlow
		}
		defer give()
		go func() { got <- whole(in, first.size) }() // ends with the call at the latest
	}
	late.Reset(s.cfg.readTime)
	all := next(ctx, got, late)
	return all.message, all.err
}

// errSlow is for messages that don't come.
var errSlow = again(ep11.CKR_IBM_REQ_TIMEOUT, "the message did not come in time")

// arrival is what came of a message: how long it is, or all of it.
type arrival struct {
	size    int
	message []byte
	err     error
}

// next waits for what comes next, until the call ends or it is late.
func next(ctx context.Context, got <-chan arrival, late *time.Timer) arrival {
	select {
	case a := <-got:
		return a
	case <-ctx.Done():
		return arrival{err: ctx.Err()}
	case <-late.C:
		return arrival{err: errSlow}
	}
}

// whole is [rest] as an arrival.
func whole(in frames, n int) arrival {
	b, err := rest(in, n)
	return arrival{message: b, err: err}
}

// header reads how long the message is.
func header(in frames) (int, error) {
	var h [5]byte
	if err := in.ReadMessageHeader(h[:]); err != nil {
		return 0, unreadable(err)
	}
	if h[0] != 0 {
		return 0, ep11.Fail(ep11.CKR_IBM_GREP11_CANNOT_UNMARSHAL, "the message is compressed; send it as it is")
	}
	return int(binary.BigEndian.Uint32(h[1:])), nil
}

// rest reads the message, and that there is no second one.
func rest(in frames, n int) ([]byte, error) {
	data, err := in.Read(n)
	if err != nil {
		return nil, unreadable(err)
	}
	b := data.Materialize()
	data.Free()
	switch _, err := header(in); {
	case errors.Is(err, errNoMessage):
		return b, nil
	case errors.Is(err, context.Canceled):
		return nil, err
	}
	return nil, ep11.Fail(ep11.CKR_IBM_GREP11_CANNOT_UNMARSHAL, "a second message came; a call has one")
}

func tooLarge(most int) error {
	return ep11.Fail(ep11.CKR_IBM_TRANSPORT_LIMIT, "the message has more than %d bytes", most)
}

// errNoMessage is for calls that end without one.
var errNoMessage = ep11.Fail(ep11.CKR_IBM_GREP11_CANNOT_UNMARSHAL, "no message came; a call has one")

// unreadable says why there is no message.
func unreadable(err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return errNoMessage
	case errors.Is(err, io.ErrUnexpectedEOF):
		return ep11.Fail(ep11.CKR_IBM_GREP11_CANNOT_UNMARSHAL, "the message ends early")
	}
	return context.Canceled
}
