// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"time"

	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/strictjson"
)

const (
	smallBody = 16 << 10 // bytes that are set aside at once; what is longer gets room as it comes
	emptyBody = 1 << 10  // bytes of a body that says nothing
)

// hold takes room for bytes of the body, until the call ends.
func (c *call) hold(n int) error {
	if !c.s.bodies.take(c.by, int64(n)) {
		return problem.New(problem.Busy, "too much is being sent at a time; a caller's open bodies may have %d bytes together", c.s.bodies.each)
	}
	c.held += int64(n)
	return nil
}

// release gives the room back.
func (c *call) release() {
	if c.held > 0 {
		c.s.bodies.give(c.by, c.held)
	}
}

// bytes reads the body, and compares it with the digest that was signed if the call is signed.
func (c *call) bytes(most int64) ([]byte, error) {
	b, err := c.arriving(most)
	if err == nil {
		err = c.digested(b)
	}
	return b, err
}

// arriving reads the body. It sets aside what has come, not what is announced, and waits for it so long and no longer.
func (c *call) arriving(most int64) ([]byte, error) {
	if c.r.ContentLength > most {
		return nil, problem.New(problem.TooLarge, "the body has %d bytes, more than %d", c.r.ContentLength, most)
	}
	if c.r.ContentLength == 0 {
		return nil, nil
	}
	size := 512
	if c.r.ContentLength >= 0 {
		size = int(min(c.r.ContentLength+1, smallBody)) // one more to find the end
	}
	if err := c.hold(size); err != nil {
		return nil, err
	}
	late := time.AfterFunc(c.s.cfg.BodyTime, func() { _ = http.NewResponseController(c.w).SetReadDeadline(time.Unix(1, 0)) }) // past: ends reads
	defer late.Stop()
	b := make([]byte, 0, size)
	body := http.MaxBytesReader(c.w, c.r.Body, most)
	for {
		if len(b) == cap(b) {
			more := int(min(int64(len(b)), most+1-int64(len(b))))
			if err := c.hold(more); err != nil {
				return nil, err
			}
			grown := make([]byte, len(b), len(b)+more)
			copy(grown, b)
			b = grown
		}
		n, err := body.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		var large *http.MaxBytesError
		switch {
		case errors.Is(err, io.EOF):
			return b, nil
		case errors.As(err, &large):
			return nil, problem.New(problem.TooLarge, "the body has more than %d bytes", most)
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, &refusal{problem: problem.New(problem.Malformed, "the body did not come within %s", c.s.cfg.BodyTime), status: http.StatusRequestTimeout}
		case err != nil:
			return nil, problem.Wrap(problem.Malformed, err, "the body could not be read to its end")
		}
	}
}

// media says which media type the body has.
func (c *call) media() (string, error) {
	t, params, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	ok := err == nil && (t == apiv1.JSON || c.op.cbor && t == apiv1.CBOR)
	if cs := params["charset"]; ok && cs != "" && !strings.EqualFold(cs, "utf-8") {
		ok = false
	}
	if !ok {
		want := apiv1.JSON
		if c.op.cbor {
			want += " or " + apiv1.CBOR
		}
		return "", &refusal{problem: problem.New(problem.Unsupported, "Content-Type must be %s", want), status: http.StatusUnsupportedMediaType}
	}
	return t, nil
}

// read reads a JSON body strictly.
func (c *call) read(v any) error {
	if _, err := c.media(); err != nil {
		return err
	}
	b, err := c.bytes(MaxBody)
	if err != nil {
		return err
	}
	return decode(nil, b, v, "")
}

// nothing reads the body of an operation that has none: empty, or an object without members. It is JSON all the same, because a page of
// another site can make a browser post any of the types that forms have.
func (c *call) nothing() error {
	if _, err := c.media(); err != nil {
		return err
	}
	b, err := c.bytes(emptyBody)
	if err != nil || len(b) == 0 {
		return err
	}
	return decode(nil, b, &struct{}{}, "")
}

// decode reads JSON strictly; prefix is where the value stands in the body.
func decode(s strictjson.Shapes, b []byte, v any, prefix string) error {
	err := s.Decode(b, v)
	var e *strictjson.Error
	if !errors.As(err, &e) {
		return err
	}
	return unread(e, prefix)
}

// unread says what is wrong with JSON that stands at prefix in the body.
func unread(e *strictjson.Error, prefix string) error {
	ref := &refusal{problem: problem.New(problem.Malformed, "%s: %v", orBody(prefix+e.Pointer), e.Err), pointer: prefix + e.Pointer}
	if !e.Syntax {
		ref.status = http.StatusUnprocessableEntity
	}
	return ref
}

func orBody(pointer string) string {
	if pointer == "" {
		return "the body"
	}
	return pointer
}
