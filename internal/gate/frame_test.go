// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/problem"

	"pgregory.net/rapid"
)

// The structs of docs/spec/door-frame.md. canon encodes and decodes them by reflection: the second opinion on the codec.
type (
	requestStruct struct {
		Stream uint64 `cbor:"1,keyasint"`
		Method string `cbor:"2,keyasint"`
		Body   []byte `cbor:"3,keyasint"`
	}
	replyStruct struct {
		Stream uint64 `cbor:"1,keyasint"`
		Body   []byte `cbor:"3,keyasint"`
	}
	failureStruct struct {
		Stream uint64 `cbor:"1,keyasint"`
		Fault  fault  `cbor:"4,keyasint"`
	}
)

// encodeByCanon encodes f as package canon does.
func encodeByCanon(f frame) []byte {
	switch f.shape {
	case request:
		return canon.Encode(requestStruct{f.stream, f.method, f.body})
	case reply:
		return canon.Encode(replyStruct{f.stream, f.body})
	default:
		return canon.Encode(failureStruct{f.stream, *f.fault})
	}
}

// decodeByCanon decodes b as package canon does, and applies the rules of the specification that CBOR does not know.
func decodeByCanon(b []byte) (frame, bool) {
	var q requestStruct
	if canon.Decode(b, &q) == nil {
		return frame{shape: request, stream: q.Stream, method: q.Method, body: q.Body}, q.Stream > 0 && checkMethod(q.Method) == nil
	}
	var r replyStruct
	if canon.Decode(b, &r) == nil {
		return frame{shape: reply, stream: r.Stream, body: r.Body}, r.Stream > 0
	}
	var e failureStruct
	if canon.Decode(b, &e) == nil {
		return frame{shape: failure, stream: e.Stream, fault: &e.Fault}, len(canon.Encode(e.Fault)) <= MinFrame
	}
	return frame{}, false
}

func same(a, b frame) bool {
	return a.shape == b.shape && a.stream == b.stream && a.method == b.method && bytes.Equal(a.body, b.body) &&
		(a.fault == b.fault || a.fault != nil && b.fault != nil && bytes.Equal(canon.Encode(a.fault), canon.Encode(b.fault)))
}

var someFault = &fault{Kind: problem.RefusedByRule, Detail: "no", Rule: "r", Incident: "00ff",
	Unmet: []problem.Unmet{{Rule: "r", Criterion: "c"}, {Rule: "r", Criterion: "d", Observed: "7"}}}

func drawFrame(t *rapid.T) frame {
	f := frame{stream: rapid.OneOf(rapid.Uint64Range(1, 70000), rapid.Uint64Min(1)).Draw(t, "stream")}
	f.shape = shape(rapid.IntRange(1, 3).Draw(t, "shape"))
	if f.shape == failure {
		f.fault = &fault{Kind: rapid.SampledFrom(problem.Kinds()).Draw(t, "kind"), Detail: rapid.String().Draw(t, "detail"),
			Rule: rapid.String().Draw(t, "rule"), Incident: rapid.StringMatching(`([0-9a-f]{16})?`).Draw(t, "incident")}
		for range rapid.IntRange(0, 3).Draw(t, "unmet") {
			f.fault.Unmet = append(f.fault.Unmet, problem.Unmet{Rule: rapid.String().Draw(t, "r"), Criterion: "c", Observed: rapid.String().Draw(t, "o")})
		}
		return f
	}
	if f.shape == request {
		f.method = rapid.StringMatching(`[a-z0-9.-]{1,64}`).Draw(t, "method")
	}
	f.body = make([]byte, rapid.SampledFrom([]int{0, 1, 23, 24, 255, 256, 65535, 65536}).Draw(t, "size"))
	return f
}

func TestCodecIsCanon(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := drawFrame(t)
		b := f.append(nil)
		if want := encodeByCanon(f); !bytes.Equal(b, want) {
			t.Fatalf("got %x, want %x", b, want)
		}
		got, err := parse(b, nil)
		if err != nil || !same(got, f) {
			t.Fatalf("got %+v, %v; want %+v", got, err, f)
		}
		if f.shape != failure && len(b)-len(f.body) > overhead {
			t.Fatalf("%d bytes besides the body, more than %d", len(b)-len(f.body), overhead)
		}
	})
}

// TestFrameBytes fixes the bytes of the specification's examples.
func TestFrameBytes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		f    frame
		want string
	}{
		{"request", frame{shape: request, stream: 1, method: "head.read", body: []byte{0xa0}}, "a3010102" + "69686561642e72656164" + "0341a0"},
		{"reply", frame{shape: reply, stream: 24, body: []byte{0xa0}}, "a20118180341a0"},
		{"failure", frame{shape: failure, stream: 1, fault: &fault{Kind: "locked", Detail: "x"}}, "a2010104a201666c6f636b6564026178"},
	} {
		if got := hex.EncodeToString(c.f.append(nil)); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
	if got, want := hex.EncodeToString(ourHello(MaxFrame).bytes()), "0000001aa3016f7374726f6e67726f6f6d2f646f6f720201031a01400000"; got != want {
		t.Errorf("hello: got %s, want %s", got, want)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	unhex := func(s string) string {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	long := strings.Repeat("a", MaxMethod+1)
	for _, c := range []struct{ name, bytes, why string }{
		{"empty", "", "no map"},
		{"array", unhex("820102"), "no map"},
		{"one pair", unhex("a10101"), "no map of 2 or 3"},
		{"four pairs", unhex("a40101026161034104f6"), "no map of 2 or 3"},
		{"indefinite map", unhex("bf01010340ff"), "no map"},
		{"map head not shortest", unhex("b80201010340"), "no map"},
		{"stream missing", unhex("a2020103404040"), "first key"},
		{"stream zero", unhex("a201000340"), "stream 0"},
		{"request on stream zero", unhex("a301000261610340"), "stream 0"},
		{"stream negative", unhex("a201200340"), "no number"},
		{"stream not shortest", unhex("a20118170340"), "no number"},
		{"stream in 2 bytes not shortest", unhex("a2011900ff0340"), "no number"},
		{"stream in 4 bytes not shortest", unhex("a2011a0000ffff0340"), "no number"},
		{"stream in 8 bytes not shortest", unhex("a2011b00000000ffffffff0340"), "no number"},
		{"stream cut", unhex("a2011bff"), "no number"},
		{"ends after stream", unhex("a20101"), "ends after"},
		{"three pairs without method", unhex("a301010340046161"), "no request, reply or failure"},
		{"reply with a method", unhex("a2010102616103"), "no request, reply or failure"},
		{"key not shortest", unhex("a20101180340"), "no request, reply or failure"},
		{"method no text", unhex("a301010241610340"), "no text"},
		{"method longer than frame", unhex("a3010102786161"), "no text"},
		{"method empty", unhex("a30101026003" + "40"), "has 0 bytes"},
		{"method upper case", unhex("a301010261410340"), "byte 0x41"},
		{"method too long", unhex("a301010278") + string([]byte{MaxMethod + 1}) + long + unhex("0340"), "has 65 bytes"},
		{"body missing", unhex("a301010261610440"), "last key"},
		{"body absent", unhex("a30101026161"), "last key"},
		{"body text", unhex("a201010360"), "no byte string"},
		{"body longer than frame", unhex("a20101035bffffffffffffffff"), "no byte string"},
		{"body head not shortest", unhex("a2010103580161"), "no byte string"},
		{"trailing", unhex("a20101034000"), "1 bytes come after"},
		{"fault absent", unhex("a2010104"), "fault"},
		{"fault without detail, not canonical", unhex("a2010104a10161" + "78"), "fault"},
		{"fault with unknown key", unhex("a2010104a301617802617806617a"), "fault"},
		{"fault out of order", unhex("a2010104a202617801617a"), "fault"},
		{"fault too large", unhex("a2010104") + strings.Repeat("x", MinFrame+1), "more than"},
		{"fault and more", unhex("a2010104a2016178026178") + "x", "fault"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f, err := parse([]byte(c.bytes), nil)
			if p := wantKind(t, err, problem.Malformed); !strings.Contains(p.Detail, c.why) {
				t.Errorf("got %q (%+v), want %q in it", p.Detail, f, c.why)
			}
		})
	}
}

func TestFaultRoundTripAndClip(t *testing.T) {
	t.Parallel()
	in := &problem.Error{Kind: problem.QuorumNotMet, Detail: "two more", Rule: "r", Unmet: []problem.Unmet{{Rule: "a", Criterion: "b", Observed: "c"}}}
	got := faultOf(in, "").problem()
	if !reflect.DeepEqual(got, in) {
		t.Errorf("got %+v, want %+v", got, in)
	}
	huge := strings.Repeat("é", 1<<20)
	big := &problem.Error{Kind: problem.Forbidden, Detail: "x" + huge + "\xff", Rule: huge}
	for range 1000 {
		big.Unmet = append(big.Unmet, problem.Unmet{Rule: huge, Criterion: huge + "\xff", Observed: huge})
	}
	f := frame{shape: failure, stream: 1<<64 - 1, fault: faultOf(big, newIncident())}
	b := f.append(nil)
	if len(b) > MinFrame {
		t.Fatalf("the largest failure has %d bytes, more than %d", len(b), MinFrame)
	}
	back, err := parse(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	if p := back.fault.problem(); len(p.Unmet) != maxUnmet || !strings.Contains(p.Detail, "936 more criteria") || len(p.Detail) > maxDetail {
		t.Errorf("got %d unmet, detail of %d bytes ending in %q", len(p.Unmet), len(p.Detail), p.Detail[max(0, len(p.Detail)-80):])
	}
	newer := (&fault{Kind: "of-tomorrow", Detail: "d", Incident: "77"}).problem()
	if incident, ok := errors.AsType[Incident](newer); newer.Kind != problem.Internal || !strings.Contains(newer.Detail, "of-tomorrow") || !ok || incident != "77" {
		t.Errorf("unknown kind: got %+v", newer)
	}
}

// TestReaderSizes reads frames around the sizes where the reader changes its way, from a source that gives one byte at a time too.
func TestReaderSizes(t *testing.T) {
	t.Parallel()
	var frames []frame
	for i, n := range []int{0, 1, inlineBody - 1, inlineBody, readBuffer - 100, readBuffer - 20, readBuffer, readBuffer + 1, 3 * readBuffer} {
		frames = append(frames, frame{shape: request, stream: uint64(i + 1), method: "m", body: bytes.Repeat([]byte{byte(i)}, n)})
	}
	stream := wire(frames...)
	for name, src := range map[string]io.Reader{"whole": bytes.NewReader(stream), "dribble": dribble{bytes.NewReader(stream)}} {
		r := newReader(src, MaxFrame)
		for _, want := range frames {
			size, err := r.size()
			if err != nil {
				t.Fatal(name, err)
			}
			got, err := r.frame(size)
			if err != nil || !same(got, want) {
				t.Fatalf("%s: stream %d: got %+v, %v", name, want.stream, got.stream, err)
			}
		}
		if _, err := r.size(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: at the end: %v", name, err)
		}
		if r.busy.Load()%2 != 0 {
			t.Errorf("%s: busy after the last frame", name)
		}
	}
	for cut := 1; cut < len(stream); cut += 1 + cut/3 {
		r := newReader(bytes.NewReader(stream[:cut]), MaxFrame)
		for {
			size, err := r.size()
			if err == nil {
				_, err = r.frame(size)
			}
			if errors.Is(err, io.EOF) && bytes.HasSuffix(stream, stream[cut:]) && !boundary(frames, cut) {
				t.Fatalf("cut at %d: a clean end", cut)
			}
			if err != nil {
				break
			}
		}
	}
}

// dribble gives one byte a read.
type dribble struct{ r io.Reader }

func (d dribble) Read(b []byte) (int, error) { return d.r.Read(b[:1]) }

func boundary(frames []frame, at int) bool {
	n := 0
	for _, f := range frames {
		n += len(wire(f))
		if n == at {
			return true
		}
	}
	return false
}

// FuzzParse: what parse accepts is what canon accepts, means the same, and encodes to the same bytes again.
func FuzzParse(f *testing.F) {
	for _, s := range []frame{
		{shape: request, stream: 1, method: "head.read", body: []byte{0xa0}},
		{shape: reply, stream: 1 << 40, body: bytes.Repeat([]byte{7}, 300)},
		{shape: failure, stream: 0, fault: someFault},
	} {
		f.Add(s.append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := parse(b, names{})
		want, ok := decodeByCanon(b)
		if (err == nil) != ok {
			t.Fatalf("parse says %v, canon says %v", err, ok)
		}
		if err != nil {
			return
		}
		if !same(got, want) {
			t.Fatalf("parse says %+v, canon says %+v", got, want)
		}
		if again := got.append(nil); !bytes.Equal(again, b) {
			t.Fatalf("encodes to %x", again)
		}
	})
}

// FuzzStream: frames read off any bytes, written again, are the bytes up to the first error.
func FuzzStream(f *testing.F) {
	f.Add(wire(frame{shape: request, stream: 1, method: "a", body: []byte{1}}, frame{shape: failure, stream: 0, fault: someFault}))
	f.Add([]byte{0, 0, 0, 5, 0xa2, 1, 1, 3, 0x40})
	f.Fuzz(func(t *testing.T, b []byte) {
		const limit = MinFrame
		r := newReader(bytes.NewReader(b), limit)
		var again []byte
		for {
			size, err := r.size()
			if err != nil {
				break
			}
			if size > limit || size < minSize {
				t.Fatalf("size %d", size)
			}
			fr, err := r.frame(size)
			if err != nil {
				break
			}
			again = append(again, wire(fr)...)
		}
		if !bytes.HasPrefix(b, again) {
			t.Fatalf("encodes to %x", again)
		}
		if rest := b[len(again):]; len(rest) >= 4 {
			if n := binary.BigEndian.Uint32(rest); n >= minSize && n <= limit && len(rest)-4 >= int(n) {
				if _, ok := decodeByCanon(rest[4 : 4+n]); ok {
					t.Fatal("stopped at a good frame")
				}
			}
		}
	})
}
