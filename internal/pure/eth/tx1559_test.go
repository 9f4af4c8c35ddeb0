// SPDX-License-Identifier: Apache-2.0

package eth

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"pgregory.net/rapid"

	"strongroom/internal/pure/secp"
)

// Two transactions of the Ethereum main chain, which block explorers show under these hashes and senders.
func TestMainChainTransactions(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		raw, hash, sender, to, value, maxFee, tip string
		nonce                                     uint64
		refused                                   Reason
	}{
		{
			raw: "02f872018307910d808507204d2cb1827d0094388c818ca8b9251b393131c08a736a67ccb19297880320d04823e2701c80c001" +
				"a0cf024f4815304df2867a1a74e9d2707b6abda0337d2d54a4438d453f4160f190a07ac0e6b3bc9395b5b9c8b9e6d77204a236577a5b18467b9175c01de4faa208d9",
			hash:   "86718885c4b4218c6af87d3d0b0d83e3cc465df2a05c048aa4db9f1a6f9de91f",
			sender: "0x95222290DD7278Aa3Ddd389Cc1E1d165CC4BAfe5",
			to:     "0x388C818CA8B9251b393131C08a736A67ccB19297",
			value:  "225408989626789916",
			maxFee: "979414390304000",
			tip:    "0",
			nonce:  495_885,
		},
		{
			raw: "02f86f0102843b9aca0085029e7822d68298f094d9e1459a7a482635700cbc20bbaf52d495ab9c9680841b55ba3ac080" +
				"a0c199674fcb29f353693dd779c017823b954b3c69dffa3cd6b2a6ff7888798039a028ca912de909e7e6cdef9cdcaf24c54dd8c1032946dfa1d85c206b32a9064fe8",
			hash:    "ce4dc6d7a7549a98ee3b071b67e970879ff51b5b95d1c340bacd80fa1e1aab31",
			sender:  "0x001e2b7dE757bA469a57bF6b23d982458a07eFcE",
			to:      "0xD9e1459A7A482635700cBc20BBAF52D495Ab9C96",
			value:   "0",
			maxFee:  "440405498771616",
			tip:     "1000000000",
			nonce:   2,
			refused: ReasonMethod,
		},
	} {
		stx, err := DecodeSigned(unhex(t, tc.raw))
		if err != nil {
			t.Fatal(err)
		}
		hash, err := stx.Hash()
		if got := hex.EncodeToString(hash[:]); got != tc.hash || err != nil {
			t.Errorf("hash: got %s, %v; want %s", got, err, tc.hash)
		}
		sender, err := stx.Sender()
		if got := sender.String(); got != tc.sender || err != nil {
			t.Errorf("sender: got %s, %v; want %s", got, err, tc.sender)
		}
		fee, err := stx.Tx.MaxFee()
		if fee.String() != tc.maxFee || err != nil {
			t.Errorf("fee: got %s, %v; want %s", fee, err, tc.maxFee)
		}
		if tx := stx.Tx; tx.ChainID != 1 || tx.Nonce != tc.nonce || tx.To.String() != tc.to || tx.Value.String() != tc.value ||
			tx.MaxPriorityFeePerGas.String() != tc.tip {
			t.Errorf("got %+v", tx)
		}
		effect, err := Effects(stx.Tx, nil)
		var refusal *UnsupportedError
		if tc.refused != "" {
			if !errors.As(err, &refusal) || refusal.Reason != tc.refused {
				t.Errorf("effect: got %+v, %v; want the refusal %s", effect, err, tc.refused)
			}
		} else if err != nil || effect != (Effect{Kind: NativeTransfer, To: stx.Tx.To, Amount: stx.Tx.Value}) {
			t.Errorf("effect: got %+v, %v", effect, err)
		}
	}
}

func TestTransactionAgreesWithOracle(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		tx := drawTx(t)
		unsigned, err := tx.Encode()
		if err != nil {
			t.Fatal(err)
		}
		fields, err := oracleDecode(unsigned)
		if err != nil || !same(tx, fields.tx()) {
			t.Fatalf("the oracle reads %+v, %v", fields, err)
		}
		back, err := DecodeUnsigned(unsigned)
		if err != nil || !same(back, fields.tx()) {
			t.Fatalf("decodes to %+v, %v", back, err)
		}
		digest, err := tx.SigningHash()
		signer := types.LatestSignerForChainID(fields.ChainID)
		if want := signer.Hash(fields.tx()); err != nil || digest != want {
			t.Fatalf("signing hash: got %x, %v; want %s", digest, err, want)
		}

		key, address := drawSigner(t)
		r, s, parity := sign(t, key, digest)
		signed, err := tx.EncodeSigned(r, s, parity)
		if err != nil {
			t.Fatal(err)
		}
		var oracle types.Transaction
		if err := oracle.UnmarshalBinary(signed); err != nil {
			t.Fatalf("the oracle refuses: %v", err)
		}
		stx, err := DecodeSigned(signed)
		if err != nil || !same(stx.Tx, &oracle) || stx.R != r || stx.S != s || stx.YParity != parity {
			t.Fatalf("decodes to %+v, %v", stx, err)
		}
		if hash, err := stx.Hash(); err != nil || hash != oracle.Hash() {
			t.Fatalf("hash: got %x, %v; want %s", hash, err, oracle.Hash())
		}
		sender, err := types.Sender(signer, &oracle)
		if err != nil || Address(sender) != address {
			t.Fatalf("the oracle's sender: %s, %v", sender, err)
		}
		if got, err := stx.Sender(); err != nil || got != address {
			t.Fatalf("sender: got %s, %v; want %s", got, err, address)
		}

		// The other half of the curve order: valid for the curve, refused by EIP-2 and here.
		high := new(big.Int).Sub(crypto.S256().Params().N, new(big.Int).SetBytes(s[:]))
		high.FillBytes(s[:])
		if _, err := tx.EncodeSigned(r, s, parity^1); !errors.Is(err, secp.ErrHighS) {
			t.Fatalf("high s: got %v", err)
		}
		// The other parity recovers another account.
		stx.YParity ^= 1
		if got, err := stx.Sender(); err == nil && got == address {
			t.Fatal("both parities have one sender")
		}
	})
}

// sample is a plain transfer; the refusals below change one thing in it.
func sample() Tx1559 {
	return Tx1559{ChainID: 1, Nonce: 7, MaxPriorityFeePerGas: FromUint64(2e9), MaxFeePerGas: FromUint64(30e9), GasLimit: 21000,
		To: Address{0x11, 19: 0x22}, Value: FromUint64(1e18)}
}

// envelope encodes any fields with go-ethereum, behind the type byte.
func envelope(t *testing.T, fields ...any) []byte {
	t.Helper()
	b, err := rlp.EncodeToBytes(fields)
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte{2}, b...)
}

func TestDecodeUnsignedRefusals(t *testing.T) {
	t.Parallel()
	good, err := sample().Encode()
	if err != nil {
		t.Fatal(err)
	}
	to := make([]byte, 20)
	none := []any{}
	huge := new(big.Int).Lsh(big.NewInt(1), 256)
	tuple := types.AccessList{{Address: common.Address{1}, StorageKeys: []common.Hash{{2}}}}
	type list = []any
	fields := func(change func(f list) list) []byte {
		return envelope(t, change(list{uint64(1), uint64(7), uint64(2), uint64(30), uint64(21000), to, uint64(5), []byte{}, none})...)
	}
	set := func(i int, v any) []byte {
		return fields(func(f list) list { f[i] = v; return f })
	}
	if _, err := DecodeUnsigned(set(0, uint64(1))); err != nil {
		t.Fatalf("the unchanged transaction: %v", err)
	}
	for _, tc := range []struct {
		name  string
		in    []byte
		want  error
		field string
	}{
		{"nothing", nil, ErrTruncated, "transaction type"},
		{"type only", []byte{2}, ErrTruncated, "transaction"},
		{"legacy", good[1:], ErrTxType, ""},
		{"type 1", append([]byte{1}, good[1:]...), ErrTxType, ""},
		{"blob type", append([]byte{3}, good[1:]...), ErrTxType, ""},
		{"set-code type", append([]byte{4}, good[1:]...), ErrTxType, ""},
		{"type 0", append([]byte{0}, good[1:]...), ErrTxType, ""},
		{"wrapped in a string", appendString(nil, good), ErrTxType, ""},
		{"too large", append([]byte{2}, make([]byte, MaxTxSize)...), ErrTxSize, ""},
		{"string instead of the list", []byte{2, 0x80}, ErrItemKind, "transaction"},
		{"byte after the end", append(bytes.Clone(good), 0), ErrTrailing, "transaction"},
		{"second list after the end", append(bytes.Clone(good), good[1:]...), ErrTrailing, "transaction"},
		{"empty list", []byte{2, 0xc0}, ErrTruncated, "chain id"},
		{"without access list", fields(func(f list) list { return f[:8] }), ErrTruncated, "access list"},
		{"a tenth field", fields(func(f list) list { return append(f, uint64(1)) }), ErrTrailing, "transaction"},
		{"signed", fields(func(f list) list { return append(f, uint64(1), uint64(1), uint64(1)) }), ErrTrailing, "transaction"},
		{"chain id 0", set(0, uint64(0)), ErrChainID, ""},
		{"chain id of 65 bits", set(0, new(big.Int).Lsh(big.NewInt(1), 64)), ErrItemSize, "chain id"},
		{"chain id with leading zero", set(0, []byte{0, 1}), ErrNonCanonical, "chain id"},
		{"chain id is a list", set(0, none), ErrItemKind, "chain id"},
		{"nonce 2^64-1", set(1, uint64(math.MaxUint64)), ErrNonce, ""},
		{"nonce of 65 bits", set(1, new(big.Int).Lsh(big.NewInt(1), 64)), ErrItemSize, "nonce"},
		{"tip of 257 bits", set(2, huge), ErrItemSize, "max priority fee per gas"},
		{"tip above the cap", set(2, uint64(31)), ErrTip, ""},
		{"fee cap of 257 bits", set(3, huge), ErrItemSize, "max fee per gas"},
		{"fee cap with leading zero", set(3, []byte{0, 30}), ErrNonCanonical, "max fee per gas"},
		{"total fee above 256 bits", set(3, new(big.Int).Sub(huge, big.NewInt(1))), ErrOverflow, ""},
		{"gas of 65 bits", set(4, new(big.Int).Lsh(big.NewInt(1), 64)), ErrItemSize, "gas limit"},
		{"contract creation", set(5, []byte{}), ErrCreation, "to"},
		{"creation with an empty list", set(5, none), ErrItemKind, "to"},
		{"address of 19 bytes", set(5, to[:19]), ErrItemSize, "to"},
		{"address of 21 bytes", set(5, append(bytes.Clone(to), 0)), ErrItemSize, "to"},
		{"value of 257 bits", set(6, huge), ErrItemSize, "value"},
		{"value with leading zero", set(6, []byte{0, 5}), ErrNonCanonical, "value"},
		{"data is a list", set(7, none), ErrItemKind, "data"},
		{"data too large", set(7, make([]byte, MaxDataSize+1)), ErrItemSize, "data"},
		{"access list", set(8, tuple), ErrAccessList, "access list"},
		{"access list with an empty list", set(8, []any{none}), ErrAccessList, "access list"},
		{"access list is a string", set(8, []byte{}), ErrItemKind, "access list"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tx, err := DecodeUnsigned(tc.in)
			if !errors.Is(err, tc.want) {
				t.Fatalf("got %+v, %v; want %v", tx, err, tc.want)
			}
			var named *DecodeError
			if field := ""; errors.As(err, &named) {
				if field = named.Field; field != tc.field {
					t.Errorf("got field %q, want %q", field, tc.field)
				}
			} else if tc.field != "" {
				t.Errorf("%v names no field, want %q", err, tc.field)
			}
		})
	}
	for i := range good {
		if tx, err := DecodeUnsigned(good[:i]); err == nil {
			t.Errorf("cut after %d bytes: read %+v", i, tx)
		}
	}
}

func TestCheckRefusals(t *testing.T) {
	t.Parallel()
	most, err := FromDecimal(maxUint256)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name   string
		change func(*Tx1559)
		want   error
	}{
		{"unchanged", func(*Tx1559) {}, nil},
		{"chain id 0", func(tx *Tx1559) { tx.ChainID = 0 }, ErrChainID},
		{"nonce 2^64-1", func(tx *Tx1559) { tx.Nonce++; tx.Nonce = math.MaxUint64 }, ErrNonce},
		{"nonce 2^64-2", func(tx *Tx1559) { tx.Nonce = math.MaxUint64 - 1 }, nil},
		{"tip above cap", func(tx *Tx1559) { tx.MaxPriorityFeePerGas = FromUint64(30e9 + 1) }, ErrTip},
		{"tip equal to cap", func(tx *Tx1559) { tx.MaxPriorityFeePerGas = FromUint64(30e9) }, nil},
		{"fee overflows", func(tx *Tx1559) { tx.MaxFeePerGas = most }, ErrOverflow},
		{"fee just fits", func(tx *Tx1559) { tx.MaxFeePerGas, tx.GasLimit = most, 1 }, nil},
		{"data too large", func(tx *Tx1559) { tx.Data = make([]byte, MaxDataSize+1) }, ErrTxSize},
		{"data as large as allowed", func(tx *Tx1559) { tx.Data = make([]byte, MaxDataSize) }, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tx := sample()
			tc.change(&tx)
			b, err := tx.Encode()
			if !errors.Is(err, tc.want) {
				t.Fatalf("encode: got %v, want %v", err, tc.want)
			}
			if err == nil {
				if _, err := DecodeUnsigned(b); err != nil {
					t.Errorf("decode: %v", err)
				}
			}
			if _, err := tx.SigningHash(); !errors.Is(err, tc.want) {
				t.Errorf("signing hash: got %v, want %v", err, tc.want)
			}
			one := [32]byte{31: 1}
			if _, err := tx.EncodeSigned(one, one, 0); !errors.Is(err, tc.want) {
				t.Errorf("encode signed: got %v, want %v", err, tc.want)
			}
			if _, err := (Signed{Tx: tx, R: one, S: one}).Sender(); !errors.Is(err, tc.want) {
				t.Errorf("sender: got %v, want %v", err, tc.want)
			}
		})
	}
}

func TestMaxFee(t *testing.T) {
	t.Parallel()
	if got, err := sample().MaxFee(); err != nil || got != FromUint64(21000*30e9) {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestDecodeDoesNotShareMemory(t *testing.T) {
	t.Parallel()
	tx := sample()
	tx.Data = []byte("four or more")
	b, err := tx.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeUnsigned(b)
	if err != nil {
		t.Fatal(err)
	}
	clear(b)
	if !bytes.Equal(got.Data, tx.Data) || got.To != tx.To {
		t.Error("the result changed with the input")
	}
}

// Law: what is accepted encodes to the same bytes, go-ethereum reads the same fields and hashes the same; and what
// go-ethereum reads and is refused here falls under one of the rules this package adds.
func FuzzDecodeUnsigned(f *testing.F) {
	tx := sample()
	for _, data := range [][]byte{nil, {0x7f}, {0x80}, EncodeTransfer(Address{1}, FromUint64(5)), make([]byte, 300)} {
		tx.Data = data
		b, err := tx.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		tx, err := DecodeUnsigned(b)
		fields, oracleErr := oracleDecode(b)
		if err != nil {
			if oracleErr == nil && fields.supported(len(b)) {
				t.Fatalf("refused %x: %v", b, err)
			}
			return
		}
		if oracleErr != nil {
			t.Fatalf("the oracle refuses %x: %v", b, oracleErr)
		}
		if again, err := tx.Encode(); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x encodes to %x, %v", b, again, err)
		}
		if !same(tx, fields.tx()) {
			t.Fatalf("%x: got %+v, the oracle %+v", b, tx, fields)
		}
		digest, err := tx.SigningHash()
		if want := types.LatestSignerForChainID(fields.ChainID).Hash(fields.tx()); err != nil || digest != want {
			t.Fatalf("%x: signing hash %x, %v; want %s", b, digest, err, want)
		}
	})
}
