// SPDX-License-Identifier: Apache-2.0

package btc

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/chainhash/v2"
	"pgregory.net/rapid"
)

// Parts of a smallest transaction: version 2, one input, one P2WPKH output of 1000 satoshi, lock time 0.
const (
	hexVersion  = "02000000"
	hexInput    = "0101010101010101010101010101010101010101010101010101010101010101" + "00000000" + "00" + "fdffffff"
	hexOutput   = "e803000000000000" + "160014" + "0202020202020202020202020202020202020202"
	hexLockTime = "00000000"
	hexWitness  = "02" + "0101" + "0102"
)

func TestDecodeUnsignedAccepts(t *testing.T) {
	t.Parallel()
	b := unhex(t, hexVersion+"01"+hexInput+"01"+hexOutput+hexLockTime)
	tx, err := DecodeUnsigned(b)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(tx.Encode(), b) {
		t.Fatalf("got %x, want %x", tx.Encode(), b)
	}
	if tx.Version != 2 || tx.LockTime != 0 || tx.Inputs[0].Sequence != 0xfffffffd || tx.Outputs[0].Value != 1000 {
		t.Fatalf("got %+v", tx)
	}
	// The result owns its memory.
	clear(b)
	if bytes.Equal(tx.Encode(), b) || tx.Outputs[0].Script[0] != op0 || tx.Outputs[0].Script[2] != 2 {
		t.Fatal("decoded transaction aliases the input")
	}
}

func TestDecodeUnsignedRefuses(t *testing.T) {
	t.Parallel()
	many := func(n int, s string) string { return strings.Repeat(s, n) }
	for _, v := range []struct {
		name string
		hex  string
		want error
	}{
		{"empty", "", ErrTruncated},
		{"witness marker", hexVersion + "0001" + "01" + hexInput + "01" + hexOutput + hexWitness + hexLockTime, ErrWitness},
		{"no inputs", hexVersion + "00" + "02" + hexOutput + hexOutput + hexLockTime, ErrNoInputs},
		{"no inputs and no outputs", hexVersion + "00" + "00" + hexLockTime, ErrNoInputs},
		{"no outputs", hexVersion + "01" + hexInput + "00" + hexLockTime, ErrNoOutputs},
		{"version 0", "00000000" + "01" + hexInput + "01" + hexOutput + hexLockTime, ErrVersion},
		{"version 3", "03000000" + "01" + hexInput + "01" + hexOutput + hexLockTime, ErrVersion},
		{"negative version", "ffffffff" + "01" + hexInput + "01" + hexOutput + hexLockTime, ErrVersion},
		{"script signature", hexVersion + "01" + strings.Replace(hexInput, "00000000"+"00", "00000000"+"0151", 1) + "01" + hexOutput + hexLockTime, ErrScriptSig},
		{"same output twice", hexVersion + "02" + hexInput + hexInput + "01" + hexOutput + hexLockTime, ErrDuplicateInput},
		{"coinbase", hexVersion + "01" + many(32, "00") + "ffffffff" + "00" + "ffffffff" + "01" + hexOutput + hexLockTime, ErrCoinbase},
		{"byte behind", hexVersion + "01" + hexInput + "01" + hexOutput + hexLockTime + "00", ErrTrailing},
		{"input count in 3 bytes", hexVersion + "fd0100" + hexInput + "01" + hexOutput + hexLockTime, ErrVarInt},
		{"output count in 5 bytes", hexVersion + "01" + hexInput + "fe01000000" + hexOutput + hexLockTime, ErrVarInt},
		{"script length in 9 bytes", hexVersion + "01" + hexInput + "01" + "e803000000000000" + "ff1600000000000000" + many(22, "00") + hexLockTime, ErrVarInt},
		{"script signature length in 3 bytes", hexVersion + "01" + strings.Replace(hexInput, "00000000"+"00", "00000000"+"fd0000", 1) + "01" + hexOutput + hexLockTime, ErrVarInt},
		{"value above 21 million", hexVersion + "01" + hexInput + "01" + "0140075af0750700" + "00" + hexLockTime, ErrAmount},
		{"negative value", hexVersion + "01" + hexInput + "01" + "ffffffffffffffff" + "00" + hexLockTime, ErrAmount},
		{"sum above 21 million", hexVersion + "01" + hexInput + "02" + "0040075af0750700" + "00" + "0100000000000000" + "00" + hexLockTime, ErrAmount},
		{"more inputs than there can be", hexVersion + "fdff03" + hexInput + "01" + hexOutput + hexLockTime, ErrTruncated},
		{"inputs over the limit", hexVersion + "fdcc06" + hexInput + "01" + hexOutput + hexLockTime, ErrTooLarge},
		{"outputs over the limit", hexVersion + "01" + hexInput + "ffffffffffffffffff" + hexOutput + hexLockTime, ErrTooLarge},
		{"script over the limit", hexVersion + "01" + hexInput + "01" + "e803000000000000" + "fd1127" + many(10_001, "51") + hexLockTime, ErrTooLarge},
		{"transaction over the limit", many(100_001, "00"), ErrTooLarge},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			if _, err := DecodeUnsigned(unhex(t, v.hex)); !errors.Is(err, v.want) {
				t.Fatalf("got %v, want %v", err, v.want)
			}
		})
	}
}

// The smallest outputs, as many as a count can announce with nothing to spare.
func TestDecodeUnsignedEmptyScripts(t *testing.T) {
	t.Parallel()
	b := unhex(t, hexVersion+"01"+hexInput+"14"+strings.Repeat("0100000000000000"+"00", 20)+hexLockTime)
	if tx, err := DecodeUnsigned(b); err != nil || !bytes.Equal(tx.Encode(), b) {
		t.Fatalf("got %x, %v, want %x", tx.Encode(), err, b)
	}
}

// Every proper prefix of a transaction is refused as cut off.
func TestDecodeRefusesEveryTruncation(t *testing.T) {
	t.Parallel()
	unsigned := unhex(t, hexVersion+"01"+hexInput+"01"+hexOutput+hexLockTime)
	for n := range unsigned {
		if _, err := DecodeUnsigned(unsigned[:n]); !errors.Is(err, ErrTruncated) {
			t.Errorf("unsigned, %d bytes: got %v, want %v", n, err, ErrTruncated)
		}
	}
	signed := unhex(t, hexVersion+"0001"+"01"+hexInput+"01"+hexOutput+hexWitness+hexLockTime)
	for n := range signed {
		if _, _, err := DecodeSigned(signed[:n]); !errors.Is(err, ErrTruncated) && !(n < 6 && errors.Is(err, ErrNoWitness)) {
			t.Errorf("signed, %d bytes: got %v, want %v", n, err, ErrTruncated)
		}
	}
}

func TestCheckRefusesWhatEncodingAloneWouldAllow(t *testing.T) {
	t.Parallel()
	base, _, _ := sampleTx(t)
	for _, v := range []struct {
		name   string
		change func(*UnsignedTx)
		want   error
	}{
		{"inputs over the limit", func(tx *UnsignedTx) { tx.Inputs = make([]TxIn, MaxInputs+1) }, ErrTooLarge},
		{"outputs over the limit", func(tx *UnsignedTx) { tx.Outputs = make([]TxOut, MaxOutputs+1) }, ErrTooLarge},
		{"script over the limit", func(tx *UnsignedTx) { tx.Outputs[0].Script = make(Script, MaxScriptBytes+1) }, ErrTooLarge},
		{"size over the limit", func(tx *UnsignedTx) {
			tx.Outputs = slices.Repeat([]TxOut{{Script: make(Script, MaxScriptBytes)}}, 10)
		}, ErrTooLarge},
		{"value over the limit", func(tx *UnsignedTx) { tx.Outputs[0].Value = MaxSat + 1 }, ErrAmount},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			tx := base
			tx.Inputs, tx.Outputs = slices.Clone(tx.Inputs), slices.Clone(tx.Outputs)
			v.change(&tx)
			if err := tx.Check(); !errors.Is(err, v.want) {
				t.Fatalf("got %v, want %v", err, v.want)
			}
		})
	}
	if err := base.Check(); err != nil {
		t.Fatal(err)
	}
}

// The limits themselves are within the limits.
func TestCheckAcceptsTheLimits(t *testing.T) {
	t.Parallel()
	tx, _, _ := sampleTx(t)
	tx.Outputs = []TxOut{{Value: MaxSat, Script: make(Script, MaxScriptBytes)}}
	if err := tx.Check(); err != nil {
		t.Errorf("largest script and value: %v", err)
	}
	tx.Outputs = make([]TxOut, MaxOutputs)
	if err := tx.Check(); err != nil {
		t.Errorf("most outputs: %v", err)
	}
	tx.Outputs = slices.Repeat([]TxOut{{Script: make(Script, MaxScriptBytes)}}, 10)
	tx.Outputs[9].Script = tx.Outputs[9].Script[:MaxUnsignedBytes+MaxScriptBytes-tx.size()]
	if tx.size() != MaxUnsignedBytes || tx.Check() != nil {
		t.Errorf("largest transaction, %d bytes: %v", tx.size(), tx.Check())
	}
	tx.Outputs = tx.Outputs[:1]
	tx.Inputs = make([]TxIn, MaxInputs)
	for i := range tx.Inputs {
		tx.Inputs[i].OutPoint.Index = uint32(i)
	}
	if err := tx.Check(); err != nil {
		t.Errorf("most inputs: %v", err)
	}
}

func TestCheckedAdd(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		a, b, sum Sat
		want      error
	}{
		{0, 0, 0, nil},
		{MaxSat - 1, 1, MaxSat, nil},
		{MaxSat, 0, MaxSat, nil},
		{0, MaxSat, MaxSat, nil},
		{MaxSat, 1, 0, ErrAmount},
		{MaxSat + 1, 0, 0, ErrAmount},
		{0, MaxSat + 1, 0, ErrAmount},
		{math.MaxUint64, 2, 0, ErrAmount},
		{1, math.MaxUint64, 0, ErrAmount},
	} {
		if got, err := v.a.CheckedAdd(v.b); got != v.sum || !errors.Is(err, v.want) {
			t.Errorf("%d + %d: got %d, %v, want %d, %v", v.a, v.b, got, err, v.sum, v.want)
		}
	}
}

func TestFee(t *testing.T) {
	t.Parallel()
	tx, prevouts, _ := sampleTx(t)
	if fee, err := tx.Fee(prevouts); fee != 1_000 || err != nil {
		t.Errorf("got %d, %v, want 1000", fee, err)
	}
	if _, err := tx.Fee(prevouts[:1]); !errors.Is(err, ErrPrevouts) {
		t.Errorf("one prevout for two inputs: got %v, want %v", err, ErrPrevouts)
	}
	poor := slices.Clone(prevouts)
	poor[0].Value -= 1_001
	if _, err := tx.Fee(poor); !errors.Is(err, ErrOverspent) {
		t.Errorf("outputs above inputs: got %v, want %v", err, ErrOverspent)
	}
	rich := slices.Clone(prevouts)
	rich[0].Value = MaxSat
	if _, err := tx.Fee(rich); !errors.Is(err, ErrAmount) {
		t.Errorf("inputs above 21 million: got %v, want %v", err, ErrAmount)
	}
	tx.Outputs = []TxOut{{Value: MaxSat}, {Value: 1}}
	if _, err := tx.Fee(prevouts); !errors.Is(err, ErrAmount) {
		t.Errorf("outputs above 21 million: got %v, want %v", err, ErrAmount)
	}
}

func TestOutPointText(t *testing.T) {
	t.Parallel()
	const id = "9f96ade4b41d5433f4eda31e1738ec2b36f6e7d1420d94a6af99801a88f7f7ff" // BIP-143 "Native P2WPKH", input 0
	for _, s := range []string{id + ":0", id + ":4294967295"} {
		o, err := ParseOutPoint(s)
		if err != nil || o.String() != s {
			t.Errorf("%s: got %s, %v", s, o, err)
		}
		if o.TxID[0] != 0xff {
			t.Errorf("%s: first byte in internal order is %02x, want ff", s, o.TxID[0])
		}
	}
	for _, s := range []string{
		"", id, id + ":", id + ":-1", id + ":+1", id + ":01", id + ":4294967296", id + ":0x1", id + ":0:0", id + " :0",
		strings.ToUpper(id) + ":0", id[1:] + ":0", "0" + id + ":0", "g" + id[1:] + ":0", ":0",
	} {
		if o, err := ParseOutPoint(s); !errors.Is(err, ErrOutPoint) {
			t.Errorf("%q: got %s, %v, want %v", s, o, err, ErrOutPoint)
		}
	}
}

// What is built decodes to itself, and btcsuite reads the same transaction from the bytes.
func TestUnsignedRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		tx, _ := drawTx(t)
		b := tx.Encode()
		if len(b) != tx.size() {
			t.Fatalf("size: got %d, want %d", tx.size(), len(b))
		}
		got, err := DecodeUnsigned(b)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Encode(), b) {
			t.Fatalf("got %x, want %x", got.Encode(), b)
		}
	})
}

func TestSignedRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		tx, _ := drawTx(t)
		ws := make([][][]byte, len(tx.Inputs))
		for i := range ws {
			ws[i] = rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 80), 1, 3).Draw(t, "witness")
		}
		b, err := EncodeSigned(tx, ws)
		if err != nil {
			t.Fatal(err)
		}
		gotTx, gotWs, err := DecodeSigned(b)
		if err != nil {
			t.Fatal(err)
		}
		if gotTx.TxID() != tx.TxID() {
			t.Fatalf("txid: got %s, want %s", gotTx.TxID(), tx.TxID())
		}
		if again, err := EncodeSigned(gotTx, gotWs); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("got %x, %v, want %x", again, err, b)
		}
	})
}

func TestSignedRefuses(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		name string
		hex  string
		want error
	}{
		{"unsigned", hexVersion + "01" + hexInput + "01" + hexOutput + hexLockTime, ErrNoWitness},
		{"flag 2", hexVersion + "0002" + "01" + hexInput + "01" + hexOutput + hexWitness + hexLockTime, ErrNoWitness},
		{"empty witness", hexVersion + "0001" + "01" + hexInput + "01" + hexOutput + "00" + hexLockTime, ErrNoWitness},
		{"script signature", hexVersion + "0001" + "01" + strings.Replace(hexInput, "00000000"+"00", "00000000"+"0151", 1) + "01" + hexOutput + hexWitness + hexLockTime, ErrScriptSig},
		{"no inputs", hexVersion + "0001" + "00" + "01" + hexOutput + hexLockTime, ErrNoInputs},
		{"byte behind", hexVersion + "0001" + "01" + hexInput + "01" + hexOutput + hexWitness + hexLockTime + "00", ErrTrailing},
		{"item count in 3 bytes", hexVersion + "0001" + "01" + hexInput + "01" + hexOutput + "fd0100" + "0101" + hexLockTime, ErrVarInt},
		{"items at the limit", hexVersion + "0001" + "01" + hexInput + "01" + hexOutput + "64" + strings.Repeat("00", 100) + hexLockTime, nil},
		{"items over the limit", hexVersion + "0001" + "01" + hexInput + "01" + hexOutput + "65" + strings.Repeat("00", 101) + hexLockTime, ErrTooLarge},
		{"item at the limit", hexVersion + "0001" + "01" + hexInput + "01" + hexOutput + "01" + "fd1027" + strings.Repeat("00", 10_000) + hexLockTime, nil},
		{"item over the limit", hexVersion + "0001" + "01" + hexInput + "01" + hexOutput + "01" + "fd1127" + strings.Repeat("00", 10_001) + hexLockTime, ErrTooLarge},
		{"weight over the limit", hexVersion + "0001" + "01" + hexInput + "01" + hexOutput + "28" + strings.Repeat("fd1027"+strings.Repeat("00", 10_000), 40) + hexLockTime, ErrTooLarge},
		{"weight at the limit", hexVersion + "0001" + "01" + hexInput + "01" + hexOutput + "28" + strings.Repeat("fd1027"+strings.Repeat("00", 10_000), 39) + "fd4d25" + strings.Repeat("00", 9_549) + hexLockTime, nil},
		{"weight just over the limit", hexVersion + "0001" + "01" + hexInput + "01" + hexOutput + "28" + strings.Repeat("fd1027"+strings.Repeat("00", 10_000), 39) + "fd4e25" + strings.Repeat("00", 9_550) + hexLockTime, ErrTooLarge},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			if _, _, err := DecodeSigned(unhex(t, v.hex)); !errors.Is(err, v.want) {
				t.Fatalf("got %v, want %v", err, v.want)
			}
		})
	}
	tx, prevouts, keys := sampleTx(t)
	ws := signAll(t, tx, prevouts, keys)
	bad := tx
	bad.Version = 9
	for _, v := range []struct {
		name string
		tx   UnsignedTx
		ws   [][][]byte
		want error
	}{
		{"invalid transaction", bad, ws, ErrVersion},
		{"one witness for two inputs", tx, ws[:1], ErrNoWitness},
		{"one witness empty", tx, [][][]byte{ws[0], {}}, ErrNoWitness},
		{"too many items", tx, [][][]byte{ws[0], make([][]byte, MaxWitnessItems+1)}, ErrTooLarge},
		{"item too long", tx, [][][]byte{ws[0], {make([]byte, MaxScriptBytes+1)}}, ErrTooLarge},
		{"weight over the limit", tx, [][][]byte{ws[0], slices.Repeat([][]byte{make([]byte, MaxScriptBytes)}, 40)}, ErrTooLarge},
	} {
		t.Run("encode "+v.name, func(t *testing.T) {
			t.Parallel()
			if _, err := EncodeSigned(v.tx, v.ws); !errors.Is(err, v.want) {
				t.Fatalf("got %v, want %v", err, v.want)
			}
			if _, err := SignedWeight(v.tx, v.ws); !errors.Is(err, v.want) {
				t.Fatalf("weight: got %v, want %v", err, v.want)
			}
		})
	}
}

// Law: what is accepted encodes back to the same bytes, and btcsuite reads the same transaction with the same txid.
func FuzzDecodeUnsigned(f *testing.F) {
	f.Add(unhex(f, hexVersion+"01"+hexInput+"01"+hexOutput+hexLockTime))
	f.Add(unhex(f, hexVersion+"0001"+"01"+hexInput+"01"+hexOutput+hexWitness+hexLockTime))
	f.Add(unhex(f, bip143Unsigned))
	f.Fuzz(func(t *testing.T, b []byte) {
		tx, err := DecodeUnsigned(b)
		if err != nil {
			return
		}
		if again := tx.Encode(); !bytes.Equal(again, b) {
			t.Fatalf("got %x, want %x", again, b)
		}
		m := msgTx(t, b)
		if got, want := tx.TxID(), TxID(m.TxHash()); got != want {
			t.Fatalf("txid: got %s, oracle %s", got, want)
		}
		if tx.TxID().String() != chainhash.Hash(tx.TxID()).String() {
			t.Fatalf("txid text: got %s", tx.TxID())
		}
		if len(m.TxIn) != len(tx.Inputs) || len(m.TxOut) != len(tx.Outputs) || m.Version != tx.Version || m.LockTime != tx.LockTime {
			t.Fatalf("oracle reads another transaction from %x", b)
		}
		for i, o := range m.TxOut {
			if !tx.Outputs[i].Equal(TxOut{Value: Sat(o.Value), Script: o.PkScript}) {
				t.Fatalf("output %d: oracle reads another from %x", i, b)
			}
		}
	})
}

// Law: what is accepted encodes back to the same bytes, and btcsuite agrees on txid and witnesses.
func FuzzDecodeSigned(f *testing.F) {
	f.Add(unhex(f, hexVersion+"0001"+"01"+hexInput+"01"+hexOutput+hexWitness+hexLockTime))
	tx, prevouts, keys := sampleTx(f)
	b, err := EncodeSigned(tx, signAll(f, tx, prevouts, keys))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		tx, ws, err := DecodeSigned(b)
		if err != nil {
			return
		}
		if again, err := EncodeSigned(tx, ws); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("got %x, %v, want %x", again, err, b)
		}
		m := msgTx(t, b)
		if got, want := tx.TxID(), TxID(m.TxHash()); got != want {
			t.Fatalf("txid: got %s, oracle %s", got, want)
		}
		for i, in := range m.TxIn {
			if !slices.EqualFunc(ws[i], in.Witness, bytes.Equal) {
				t.Fatalf("input %d: got witness %x, oracle %x", i, ws[i], in.Witness)
			}
		}
		if w, err := SignedWeight(tx, ws); err != nil || w != 3*m.SerializeSizeStripped()+m.SerializeSize() {
			t.Fatalf("weight: got %d, %v, oracle %d", w, err, 3*m.SerializeSizeStripped()+m.SerializeSize())
		}
	})
}

func TestScriptHex(t *testing.T) {
	t.Parallel()
	k := newTestKey(t, 4)
	if got, want := k.p2tr.String(), hex.EncodeToString(k.p2tr); got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
}
