// SPDX-License-Identifier: Apache-2.0

package btc

import (
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/lawtest"
)

// The values of Bitcoin Core's GetDustThreshold at 3 satoshi a virtual byte.
func TestDustLimit(t *testing.T) {
	t.Parallel()
	program := make([]byte, 32)
	for _, v := range []struct {
		name   string
		script Script
		want   Sat
	}{
		{"p2pkh", slices.Concat(Script{opDup, opHash160, 20}, program[:20], Script{opEqualVerify, opCheckSig}), 546},
		{"p2sh", slices.Concat(Script{opHash160, 20}, program[:20], Script{opEqual}), 540},
		{"p2wpkh", append(Script{op0, 20}, program[:20]...), 294},
		{"p2wsh", append(Script{op0, 32}, program...), 330},
		{"p2tr", append(Script{op1, 32}, program...), 330},
		{"pay to anchor", Script{op1, 2, 0x4e, 0x73}, 240},
		{"version 16 of 40 bytes", append(Script{op16, 40}, make([]byte, 40)...), 354},
		{"no witness program: 41 bytes", append(Script{op16, 41}, make([]byte, 41)...), 600},
		{"no witness program: 1 byte", Script{op1, 1, 0}, 480},
		{"no witness program: length differs", Script{op1, 2, 0, 0, 0}, 486},
		{"no witness program: opcode", Script{op16 + 1, 2, 0, 0}, 483},
		{"empty", nil, 471},
		{"data", Script{opReturn, 1, 7}, 0},
		{"never spendable", make(Script, MaxScriptBytes+1), 0},
		{"long", slices.Repeat(Script{op1}, MaxScriptBytes), 30_477},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			if got := v.script.DustLimit(); got != v.want {
				t.Fatalf("got %d, want %d", got, v.want)
			}
		})
	}
}

func TestInputWeight(t *testing.T) {
	t.Parallel()
	for k, want := range map[Kind]int{KindP2WPKH: 272, KindP2TR: 230} {
		if got, err := InputWeight(k); got != want || err != nil {
			t.Errorf("%s: got %d, %v, want %d", k, got, err, want)
		}
	}
	for _, k := range []Kind{KindUnknown, KindP2PKH, KindP2SH, KindP2WSH, KindNullData} {
		if _, err := InputWeight(k); !errors.Is(err, ErrKind) {
			t.Errorf("%s: got %v, want %v", k, err, ErrKind)
		}
	}
}

func TestMaxSignedWeightRefuses(t *testing.T) {
	t.Parallel()
	tx, prevouts, _ := sampleTx(t)
	if _, err := tx.MaxSignedWeight(prevouts[:1]); !errors.Is(err, ErrPrevouts) {
		t.Errorf("one prevout: got %v, want %v", err, ErrPrevouts)
	}
	if _, err := tx.MaxSignedVSize([]TxOut{prevouts[0], {Value: 1, Script: Script{op1}}}); !errors.Is(err, ErrKind) {
		t.Errorf("unknown kind: got %v, want %v", err, ErrKind)
	}
	// As many inputs as a relayed transaction can hold, and one more.
	for _, v := range []struct {
		kind  Script
		count int
		want  error
	}{
		{prevouts[0].Script, 1_469, nil},
		{prevouts[0].Script, 1_470, ErrTooLarge},
		{prevouts[1].Script, 1_737, nil},
		{prevouts[1].Script, 1_738, ErrTooLarge},
	} {
		tx.Inputs = make([]TxIn, v.count)
		if w, err := tx.MaxSignedWeight(slices.Repeat([]TxOut{{Script: v.kind}}, v.count)); !errors.Is(err, v.want) {
			t.Errorf("%d %s inputs: got %d, %v, want %v", v.count, v.kind.Kind(), w, err, v.want)
		}
	}
}

func TestVSizeRoundsUp(t *testing.T) {
	t.Parallel()
	for weight, want := range map[int]int{0: 0, 1: 1, 4: 1, 5: 2, 8: 2, 561: 141} {
		if got := VSize(weight); got != want {
			t.Errorf("%d: got %d, want %d", weight, got, want)
		}
	}
}

// The bound holds for real signatures and is exact up to the bytes that DER saves; btcsuite measures the same.
func TestMaxSignedWeightIsAnUpperBound(t *testing.T) {
	t.Parallel()
	keys := []testKey{newTestKey(t, 1), newTestKey(t, 2), newTestKey(t, 3), newTestKey(t, 4), newTestKey(t, 5)}
	seen := lawtest.Counts{}
	lawtest.Check(t, seen.Want(1, "the bound"), func(t *rapid.T) {
		tx, prevouts := drawTx(t)
		ecdsa := 0
		for i := range prevouts {
			if prevouts[i].Script.Kind() == KindP2TR {
				prevouts[i].Script = keys[i].p2tr
			} else {
				prevouts[i].Script = keys[i].p2wpkh
				ecdsa++
			}
		}
		ws := signAll(t, tx, prevouts, keys)
		b, err := EncodeSigned(tx, ws)
		if err != nil {
			t.Fatal(err)
		}
		m := msgTx(t, b)
		weight := 3*m.SerializeSizeStripped() + m.SerializeSize()
		bound, err := tx.MaxSignedWeight(prevouts)
		if err != nil {
			t.Fatal(err)
		}
		if weight > bound || bound-weight > 4*ecdsa {
			t.Fatalf("weight %d, bound %d, %d ECDSA signatures", weight, bound, ecdsa)
		}
		if ecdsa > 0 && weight == bound {
			seen["the bound"]++
		}
		if got, err := SignedWeight(tx, ws); got != weight || err != nil {
			t.Fatalf("got %d, %v, oracle %d", got, err, weight)
		}
		if v, err := tx.MaxSignedVSize(prevouts); v != (bound+3)/4 || err != nil {
			t.Fatalf("got %d, %v, want %d", v, err, (bound+3)/4)
		}
		if err := VerifyWitnesses(tx, prevouts, ws); err != nil {
			t.Fatal(err)
		}
	})
}
