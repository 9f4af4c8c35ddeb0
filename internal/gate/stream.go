// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync/atomic"

	"strongroom/internal/pure/problem"
)

const (
	readBuffer = 64 << 10 // bytes read ahead; frames that fit are parsed in place
	inlineBody = 16 << 10 // bodies below this are copied into the batch, larger ones are written from where they lie
	keepBuffer = 1 << 20  // a batch's buffer that grew larger is given back
)

// reader takes frames off a stream. One goroutine uses it.
type reader struct {
	in    *bufio.Reader
	max   int           // bytes of a frame
	names names         // nil where no requests are read
	busy  atomic.Uint64 // odd while a frame has begun and not ended; for whoever watches for stalls
}

func newReader(r io.Reader, max int) *reader {
	return &reader{in: bufio.NewReaderSize(r, readBuffer), max: max}
}

// size waits for the next frame and gives its size, without taking it. io.EOF means that the stream ended between frames.
func (r *reader) size() (int, error) {
	b, err := r.in.Peek(4)
	if err != nil {
		if len(b) > 0 && errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, err
	}
	n := binary.BigEndian.Uint32(b)
	if uint64(n) > uint64(r.max) {
		return 0, problem.New(problem.TooLarge, "frame: %d bytes, more than %d", n, r.max)
	}
	if n < minSize {
		return 0, malformed("%d bytes, less than %d", n, minSize)
	}
	return int(n), nil
}

// frame takes the frame of the size that was just told. Its body belongs to the caller.
func (r *reader) frame(size int) (frame, error) {
	whole := 4 + size
	if r.in.Buffered() < whole {
		r.busy.Add(1)
		defer r.busy.Add(1)
	}
	if whole > r.in.Size() {
		b := make([]byte, size)
		if _, err := r.in.Discard(4); err != nil {
			return frame{}, err
		}
		if _, err := io.ReadFull(r.in, b); err != nil {
			return frame{}, midFrame(err)
		}
		return parse(b, r.names)
	}
	b, err := r.in.Peek(whole)
	if err != nil {
		return frame{}, midFrame(err)
	}
	f, err := parse(b[4:], r.names)
	if err != nil {
		return frame{}, err
	}
	f.body = bytes.Clone(f.body)
	_, err = r.in.Discard(whole)
	return f, err
}

func midFrame(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// batch collects frames for one write.
type batch struct {
	buf []byte      // headers and small bodies
	cut int         // bytes of buf that vec has already
	vec net.Buffers // what to write before the rest of buf
}

func (b *batch) empty() bool { return len(b.buf) == 0 }

// put adds a frame. A large body is kept, not copied, until the batch is written.
func (b *batch) put(f *frame) {
	at := len(b.buf)
	b.buf = f.appendHeader(append(b.buf, 0, 0, 0, 0))
	binary.BigEndian.PutUint32(b.buf[at:], uint32(len(b.buf)-at-4+len(f.body)))
	if len(f.body) < inlineBody {
		b.buf = append(b.buf, f.body...)
		return
	}
	// What was cut from buf stays as it is when a later append moves buf elsewhere.
	b.vec = append(b.vec, b.buf[b.cut:len(b.buf):len(b.buf)], f.body)
	b.cut = len(b.buf)
}

// write writes the frames and empties the batch.
func (b *batch) write(w net.Conn) error {
	defer b.reset()
	if len(b.vec) == 0 {
		_, err := w.Write(b.buf)
		return err
	}
	if b.cut < len(b.buf) {
		b.vec = append(b.vec, b.buf[b.cut:])
	}
	vec := b.vec // WriteTo eats it
	_, err := vec.WriteTo(w)
	return err
}

func (b *batch) reset() {
	clear(b.vec)
	b.vec, b.cut, b.buf = b.vec[:0], 0, b.buf[:0]
	if cap(b.buf) > keepBuffer {
		b.buf = nil
	}
}
