// SPDX-License-Identifier: Apache-2.0

package btc

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io/fs"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2/ecdsa"
	"github.com/c2sp/wycheproof"
	"pgregory.net/rapid"

	"strongroom/internal/pure/secp"
)

// Wycheproof's vectors for Bitcoin's ECDSA: strict DER, low s, and the signature equation.
func TestWycheproofBitcoin(t *testing.T) {
	t.Parallel()
	raw, err := fs.ReadFile(wycheproof.TestVectors, "ecdsa_secp256k1_sha256_bitcoin_test.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		NumberOfTests int
		TestGroups    []struct {
			PublicKey struct{ Uncompressed string }
			Tests     []struct {
				TcID                      int
				Comment, Msg, Sig, Result string
			}
		}
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, g := range file.TestGroups {
		pub, err := secp.ParseUncompressed(unhex(t, g.PublicKey.Uncompressed))
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range g.Tests {
			n++
			der := unhex(t, v.Sig)
			sig, err := DecodeDER(der)
			ok := err == nil && secp.VerifyECDSA(pub, sha256.Sum256(unhex(t, v.Msg)), sig)
			if ok != (v.Result == "valid") {
				t.Errorf("test %d (%s): got %t, %v, want %s", v.TcID, v.Comment, ok, err, v.Result)
			}
			if err != nil {
				continue
			}
			if again, err := EncodeDER(sig); err != nil || !bytes.Equal(again, der) {
				t.Errorf("test %d: got back %x, %v", v.TcID, again, err)
			}
		}
	}
	if n != file.NumberOfTests || n < 463 {
		t.Fatalf("ran %d vectors, file has %d, want at least 463", n, file.NumberOfTests)
	}
}

func TestDecodeDERRefuses(t *testing.T) {
	t.Parallel()
	for _, v := range []struct{ name, hex string }{
		{"empty", ""},
		{"one byte", "30"},
		{"not a sequence", "310602010102010" + "1"},
		{"sequence too long", "3007020101020101"},
		{"sequence too short", "3005020101020101"},
		{"length in two bytes", "308106020101020101"},
		{"byte behind s", "300702010102010100"},
		{"byte behind the sequence", "300602010102010100"},
		{"r not an integer", "3006030101020101"},
		{"s not an integer", "3006020101030101"},
		{"r empty", "30050200020101"},
		{"s empty", "30050201010200"},
		{"r goes past the end", "3006020901020101"},
		{"s goes past the end", "3006020101020201"},
		{"r negative", "3006020181020101"},
		{"s negative", "30060201010201ff"},
		{"r zero", "3006020100020101"},
		{"s zero", "3006020101020100"},
		{"r with a leading zero", "300702020001020101"},
		{"s with a leading zero", "300702010102020001"},
		{"s missing", "3003020101"},
		{"s header cut", "300402010102"},
		{"r of 34 bytes", "3026" + "0221" + "01" + "0000000000000000000000000000000000000000000000000000000000000000" + "020101"},
		{"r is the order", "3026" + "0221" + "00fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141" + "020101"},
		{"s above half the order", "3025" + "020101" + "0220" + "7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a1"},
		{"s is the order less one", "3026" + "020101" + "0221" + "00fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140"},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			if got, err := DecodeDER(unhex(t, v.hex)); !errors.Is(err, ErrDER) {
				t.Fatalf("got %x, %v, want %v", got, err, ErrDER)
			}
		})
	}
}

func TestDecodeDERAccepts(t *testing.T) {
	t.Parallel()
	for _, v := range []struct{ name, hex string }{
		{"shortest", "3006020101020101"},
		{"largest s", "3025" + "020101" + "0220" + "7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0"},
		{"padded r", "3007" + "02020080" + "020101"},
		{"largest r", "3026" + "0221" + "00fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140" + "020101"},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			sig, err := DecodeDER(unhex(t, v.hex))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := EncodeDER(sig); err != nil || !bytes.Equal(got, unhex(t, v.hex)) {
				t.Fatalf("got %x, %v, want %s", got, err, v.hex)
			}
		})
	}
}

func TestEncodeDERRefuses(t *testing.T) {
	t.Parallel()
	one := append(make([]byte, 31), 1)
	top := slices.Repeat([]byte{0xff}, 32)
	for _, v := range []struct {
		name string
		r, s []byte
		want error
	}{
		{"r zero", make([]byte, 32), one, secp.ErrSignatureRange},
		{"s zero", one, make([]byte, 32), secp.ErrSignatureRange},
		{"r above the order", top, one, secp.ErrSignatureRange},
		{"s above half the order", one, append([]byte{0x80}, top[:31]...), secp.ErrHighS},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			if _, err := EncodeDER([64]byte(append(slices.Clone(v.r), v.s...))); !errors.Is(err, ErrDER) || !errors.Is(err, v.want) {
				t.Fatalf("got %v, want %v and %v", err, ErrDER, v.want)
			}
		})
	}
}

// btcsuite writes and reads the same DER.
func TestDERAgreesWithOracle(t *testing.T) {
	t.Parallel()
	k := newTestKey(t, 6)
	rapid.Check(t, func(t *rapid.T) {
		digest := [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "digest"))
		want := ecdsa.Sign(k.priv, digest[:]).Serialize()
		got, err := EncodeDER(k.signECDSA(digest))
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("got %x, %v, oracle %x", got, err, want)
		}
		back, err := DecodeDER(want)
		if err != nil || back != k.signECDSA(digest) {
			t.Fatalf("got back %x, %v", back, err)
		}
	})
}

// Law: what is accepted encodes back to the same bytes, and btcsuite's strict parser accepts it as well.
func FuzzDecodeDER(f *testing.F) {
	f.Add(unhex(f, bip143Signature[:len(bip143Signature)-2]))
	f.Add(unhex(f, "3006020101020101"))
	f.Fuzz(func(t *testing.T, b []byte) {
		sig, err := DecodeDER(b)
		if err != nil {
			return
		}
		if again, err := EncodeDER(sig); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("got %x, %v, want %x", again, err, b)
		}
		if _, err := ecdsa.ParseDERSignature(b); err != nil {
			t.Fatalf("oracle refuses %x: %v", b, err)
		}
	})
}
