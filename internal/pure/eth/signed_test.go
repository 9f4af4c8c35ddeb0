// SPDX-License-Identifier: Apache-2.0

package eth

import (
	"bytes"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"strongroom/internal/pure/secp"
)

// signedSample is the sample transaction signed with a fixed key; its r happens to begin with a zero byte, which RLP drops.
func signedSample(t testing.TB) ([]byte, Signed) {
	t.Helper()
	tx := sample()
	digest, err := tx.SigningHash()
	if err != nil {
		t.Fatal(err)
	}
	r, s, parity := sign(t, bytes.Repeat([]byte{1}, 32), digest)
	b, err := tx.EncodeSigned(r, s, parity)
	if err != nil {
		t.Fatal(err)
	}
	return b, Signed{Tx: tx, R: r, S: s, YParity: parity}
}

func TestDecodeSignedRefusals(t *testing.T) {
	t.Parallel()
	good, stx := signedSample(t)
	r, s := new(big.Int).SetBytes(stx.R[:]), new(big.Int).SetBytes(stx.S[:])
	order := crypto.S256().Params().N
	high := new(big.Int).Sub(order, s)
	type list = []any
	fields := func(tail ...any) []byte {
		return envelope(t, append(list{uint64(1), uint64(7), uint64(2e9), uint64(30e9), uint64(21000), stx.Tx.To[:], uint64(1e18), []byte{}, list{}}, tail...)...)
	}
	if same := fields(uint64(stx.YParity), r, s); !bytes.Equal(same, good) {
		t.Fatalf("the oracle encodes %x, we %x", same, good)
	}
	for _, tc := range []struct {
		name  string
		in    []byte
		want  error
		field string
	}{
		{"unsigned", fields(), ErrTruncated, "y parity"},
		{"without s", fields(uint64(0), r), ErrTruncated, "s"},
		{"a thirteenth field", fields(uint64(0), r, s, uint64(1)), ErrTrailing, "transaction"},
		{"byte after the end", append(bytes.Clone(good), 0), ErrTrailing, "transaction"},
		{"legacy", good[1:], ErrTxType, ""},
		{"y parity 2", fields(uint64(2), r, s), ErrParity, "y parity"},
		{"y parity 27", fields(uint64(27), r, s), ErrParity, "y parity"},
		{"y parity 256", fields(uint64(256), r, s), ErrParity, "y parity"},
		{"y parity of 9 bytes", fields(new(big.Int).Lsh(big.NewInt(1), 64), r, s), ErrItemSize, "y parity"},
		{"y parity with leading zero", fields([]byte{0, 1}, r, s), ErrNonCanonical, "y parity"},
		{"r is zero", fields(uint64(0), uint64(0), s), secp.ErrSignatureRange, ""},
		{"s is zero", fields(uint64(0), r, uint64(0)), secp.ErrSignatureRange, ""},
		{"r is the order", fields(uint64(0), order, s), secp.ErrSignatureRange, ""},
		{"s is the order", fields(uint64(0), r, order), secp.ErrSignatureRange, ""},
		{"s is high", fields(uint64(stx.YParity^1), r, high), secp.ErrHighS, ""},
		{"r of 33 bytes", fields(uint64(0), append([]byte{1}, stx.R[:]...), s), ErrItemSize, "r"},
		{"s with leading zero", fields(uint64(0), r, append([]byte{0}, stx.S[:]...)), ErrNonCanonical, "s"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := DecodeSigned(tc.in)
			if !errors.Is(err, tc.want) {
				t.Fatalf("got %+v, %v; want %v", got, err, tc.want)
			}
			var named *DecodeError
			if errors.As(err, &named) != (tc.field != "") || (named != nil && named.Field != tc.field) {
				t.Errorf("%v: want field %q", err, tc.field)
			}
			if tc.field != "" && !strings.Contains(err.Error(), tc.field) {
				t.Errorf("%v doesn't name %q", err, tc.field)
			}
		})
	}
	for i := range good {
		if got, err := DecodeSigned(good[:i]); err == nil {
			t.Errorf("cut after %d bytes: read %+v", i, got)
		}
	}
}

func TestSignedRefusals(t *testing.T) {
	t.Parallel()
	_, stx := signedSample(t)
	stx.YParity = 2
	if _, err := stx.Encode(); !errors.Is(err, ErrParity) {
		t.Errorf("encode: got %v", err)
	}
	if _, err := stx.Hash(); !errors.Is(err, ErrParity) {
		t.Errorf("hash: got %v", err)
	}
	if _, err := stx.Sender(); !errors.Is(err, ErrParity) {
		t.Errorf("sender: got %v", err)
	}
	stx.YParity, stx.S = 0, [32]byte{}
	if _, err := stx.Sender(); !errors.Is(err, secp.ErrSignatureRange) {
		t.Errorf("sender: got %v", err)
	}
}

// Law: what is accepted encodes to the same bytes and go-ethereum reads the same fields, hash and sender; what go-ethereum
// reads and recovers is refused here only under one of the rules this package adds.
func FuzzDecodeSigned(f *testing.F) {
	b, _ := signedSample(f)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var oracle types.Transaction
		oracleErr := oracle.UnmarshalBinary(b)
		stx, err := DecodeSigned(b)
		if err != nil {
			if oracleErr != nil || oracle.Type() != types.DynamicFeeTxType {
				return
			}
			fields := unsignedFields{ChainID: oracle.ChainId(), Nonce: oracle.Nonce(), GasTipCap: oracle.GasTipCap(), GasFeeCap: oracle.GasFeeCap(),
				Gas: oracle.Gas(), To: oracle.To(), Value: oracle.Value(), Data: oracle.Data(), AccessList: oracle.AccessList()}
			if _, senderErr := types.Sender(types.LatestSignerForChainID(oracle.ChainId()), &oracle); senderErr == nil && fields.supported(len(b)) {
				t.Fatalf("refused %x: %v", b, err)
			}
			return
		}
		if oracleErr != nil {
			t.Fatalf("the oracle refuses %x: %v", b, oracleErr)
		}
		if again, err := stx.Encode(); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x encodes to %x, %v", b, again, err)
		}
		if hash, err := stx.Hash(); err != nil || hash != oracle.Hash() || !same(stx.Tx, &oracle) {
			t.Fatalf("%x: got %+v, hash %x, %v", b, stx, hash, err)
		}
		want, oracleErr := types.Sender(types.LatestSignerForChainID(oracle.ChainId()), &oracle)
		got, err := stx.Sender()
		if (err == nil) != (oracleErr == nil) || got != Address(want) {
			t.Fatalf("%x: sender %s, %v; the oracle %s, %v", b, got, err, want, oracleErr)
		}
	})
}
