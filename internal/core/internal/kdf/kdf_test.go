// SPDX-License-Identifier: Apache-2.0

package kdf

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"testing"

	"pgregory.net/rapid"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestRFC5869 has test cases 1 and 3 of appendix A.
func TestRFC5869(t *testing.T) {
	t.Parallel()
	for _, v := range []struct{ key, salt, info, want string }{
		{"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "000102030405060708090a0b0c", "f0f1f2f3f4f5f6f7f8f9",
			"3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"},
		{"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "",
			"8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"},
	} {
		out := make([]byte, 42)
		if err := HKDF(SHA256, out, unhex(t, v.key), unhex(t, v.salt), unhex(t, v.info)); err != nil || hex.EncodeToString(out) != v.want {
			t.Errorf("got %x, %v; want %s", out, err, v.want)
		}
	}
}

// TestX963Vectors has vectors of NIST's component testing of SP 800-135 ("ANSI X9.63"), without and with shared information.
func TestX963Vectors(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		hash          Hash
		z, info, want string
	}{
		{SHA1, "1c7d7b5f0597b03d06a018466ed1a93e30ed4b04dc64ccdd", "", "bf71dffd8f4d99223936beb46fee8ccc"},
		{SHA1, "5ed096510e3fcf782ceea98e9737993e2b21370f6cda2ab1", "", "ec3e224446bfd7b3be1df404104af953"},
		{SHA1, "fd17198b89ab39c4ab5d7cca363b82f9fd7e23c3984dc8a2", "856a53f3e36a26bbc5792879f307cce2",
			"6e5fad865cb4a51c95209b16df0cc490bc2c9064405c5bccd4ee4832a531fbe7f10cb79e2eab6ab1149fbd5a23cfdabc41242269c9df22f628c4424333855b64" +
				"e95e2d4fb8469c669f17176c07d103376b10b384ec5763d8b8c610409f19aca8eb31f9d85cc61a8d6d4a03d03e5a506b78d6847e93d295ee548c65afedd2efec"},
		{SHA224, "9ba3226ba0fca6bd5ddaef5b8d763a4d3303bc258d90468c", "", "15ccbd7d6b8f918335799b3920e69c1f"},
		{SHA256, "96c05619d56c328ab95fe84b18264b08725b85e33fd34f08", "", "443024c3dae66b95e6f5670601558f71"},
		{SHA256, "22518b10e70f2a3f243810ae3254139efbee04aa57c7af7d", "75eef81aa3041e33b80971203d2c0c52",
			"c498af77161cc59f2962b9a713e2b215152d139766ce34a776df11866a69bf2e52a13d9c7c6fc878c50c5ea0bc7b00e0da2447cfd874f6cf92f30d0097111485" +
				"500c90c3af8b487872d04685d14c8d1dc8d7fa08beb0ce0ababc11f0bd496269142d43525a78e5bc79a17f59676a5706dc54d54d4d1f0bd7e386128ec26afc21"},
		{SHA384, "d8554db1b392cd55c3fe957bed76af09c13ac2a9392f88f6", "", "671a46aada145162f8ddf1ca586a1cda"},
	} {
		out := make([]byte, len(v.want)/2)
		if err := X963(v.hash, out, unhex(t, v.z), unhex(t, v.info)); err != nil || hex.EncodeToString(out) != v.want {
			t.Errorf("hash %d: got %x, %v; want %s", v.hash, out, err, v.want)
		}
	}
}

var hashes = map[Hash]func() hash.Hash{SHA256: sha256.New, SHA384: sha512.New384, SHA512: sha512.New, SHA1: sha1.New, SHA224: sha256.New224}

// TestAgreesWithTheStandardLibrary: for all lengths of key, salt, context and output.
func TestAgreesWithTheStandardLibrary(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string, most int) []byte { return rapid.SliceOfN(rapid.Byte(), 0, most).Draw(t, name) }
		key, salt, info := draw("key", 300), draw("salt", 300), draw("info", 300)
		if rapid.Bool().Draw(t, "no salt") {
			salt = nil
		}
		n := rapid.IntRange(1, 500).Draw(t, "n")
		for h, f := range hashes {
			got := make([]byte, n)
			if err := HKDF(h, got, key, salt, info); err != nil {
				t.Fatal(err)
			}
			want, err := hkdf.Key(f, key, salt, string(info), n)
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("hash %d: got %x, want %x, %v", h, got, want, err)
			}
		}
		for h, f := range hashes {
			m := hmac.New(f, key)
			m.Write(salt)
			m.Write(info)
			got := make([]byte, m.Size())
			if err := HMAC(h, got, key, salt, info); err != nil || !hmac.Equal(got, m.Sum(nil)) {
				t.Fatalf("hash %d: HMAC %x, %v", h, got, err)
			}
			if HMAC(h, got[1:], key) == nil || HMAC(0, got, key) == nil {
				t.Fatalf("hash %d: another size or hash was taken", h)
			}
		}
		for h, f := range hashes {
			var want []byte
			for i := uint32(1); len(want) < n; i++ {
				block := f()
				block.Write(binary.BigEndian.AppendUint32(bytes.Clone(key), i))
				block.Write(info)
				want = block.Sum(want)
			}
			got := make([]byte, n)
			if err := X963(h, got, key, info); err != nil || !bytes.Equal(got, want[:n]) {
				t.Fatalf("hash %d: X9.63 gave %x with %v, want %x", h, got, err, want[:n])
			}
			whole := f()
			whole.Write(key)
			whole.Write(salt)
			short := make([]byte, min(n, whole.Size()))
			if err := Digest(h, short, key, salt); err != nil || !bytes.Equal(short, whole.Sum(nil)[:len(short)]) {
				t.Fatalf("hash %d: digest %x, %v", h, short, err)
			}
		}
		var sum [Size]byte
		Sum(&sum, key, salt, info)
		if want := sha512.Sum512(bytes.Join([][]byte{key, salt, info}, nil)); sum != want {
			t.Fatalf("sum: got %x, want %x", sum, want)
		}
	})
}

// TestRFC7914 has the PBKDF2 vectors of RFC 7914 section 11.
func TestRFC7914(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		password, salt string
		iterations     int
		want           string
	}{
		{"passwd", "salt", 1, "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783"},
		{"Password", "NaCl", 80000, "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56a1d425a1225833549adb841b51c9b3176a272bdebba1d078478f62b397f33c8d"},
	} {
		out := make([]byte, 64)
		if err := PBKDF2(SHA256, out, []byte(v.password), []byte(v.salt), v.iterations); err != nil || hex.EncodeToString(out) != v.want {
			t.Errorf("got %x, %v; want %s", out, err, v.want)
		}
	}
}

func TestPBKDF2AgreesWithTheStandardLibrary(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		password, salt := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "password"), rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "salt")
		n, iterations := rapid.IntRange(1, 200).Draw(t, "n"), rapid.IntRange(1, 20).Draw(t, "iterations")
		for h, f := range hashes {
			got := make([]byte, n)
			if err := PBKDF2(h, got, password, salt, iterations); err != nil {
				t.Fatal(err)
			}
			if want, err := pbkdf2.Key(f, string(password), salt, iterations, n); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("hash %d: got %x, want %x, %v", h, got, want, err)
			}
		}
	})
	for _, bad := range []struct {
		h    Hash
		n, i int
	}{{SHA256, 0, 1}, {SHA256, 1, 0}, {0, 1, 1}, {SHA224 + 1, 1, 1}} {
		if PBKDF2(bad.h, make([]byte, bad.n), nil, nil, bad.i) == nil {
			t.Errorf("%+v was derived", bad)
		}
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	for h, f := range hashes {
		longest := make([]byte, 255*f().Size())
		if err := HKDF(h, longest, []byte("key"), nil, nil); err != nil {
			t.Errorf("hash %d: the longest output: %v", h, err)
		}
		want, err := hkdf.Key(f, []byte("key"), nil, "", len(longest))
		if err != nil || !bytes.Equal(longest, want) {
			t.Errorf("hash %d: the longest output differs (err %v)", h, err)
		}
		if err := HKDF(h, make([]byte, len(longest)+1), []byte("key"), nil, nil); err == nil {
			t.Errorf("hash %d: a byte more was given", h)
		}
		if err := HKDF(h, nil, []byte("key"), nil, nil); err == nil {
			t.Errorf("hash %d: nothing was derived without an error", h)
		}
	}
	for h, f := range hashes {
		if Digest(h, make([]byte, f().Size()+1)) == nil || Digest(h, nil) == nil {
			t.Errorf("hash %d: a digest of another size was given", h)
		}
		if X963(h, make([]byte, maxX963), nil, nil) != nil || X963(h, make([]byte, maxX963+1), nil, nil) == nil || X963(h, nil, nil, nil) == nil {
			t.Errorf("hash %d: the bounds of X9.63 are others", h)
		}
	}
	for _, h := range []Hash{0, 6} {
		if Digest(h, make([]byte, 1)) == nil || X963(h, make([]byte, 1), nil, nil) == nil {
			t.Errorf("hash %d was accepted", h)
		}
		if err := HKDF(h, make([]byte, 1), nil, nil, nil); err == nil {
			t.Errorf("hash %d was accepted", h)
		}
	}
}

// TestForgets: a hash that was forgotten keeps no byte of what it was given, whatever its length.
func TestForgets(t *testing.T) {
	t.Parallel()
	for id := range hashes {
		for n := range 2 * maxBlock {
			h := id.new()
			h.Write(bytes.Repeat([]byte{0xa5}, n))
			forget(h)
			state, err := h.(interface{ MarshalBinary() ([]byte, error) }).MarshalBinary()
			if err != nil {
				t.Fatal(err)
			}
			fresh, err := id.new().(interface{ MarshalBinary() ([]byte, error) }).MarshalBinary()
			if err != nil || !bytes.Equal(state, fresh) {
				t.Fatalf("hash %d after %d bytes: %x", id, n, state)
			}
		}
	}
}
