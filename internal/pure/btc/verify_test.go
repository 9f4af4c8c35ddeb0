// SPDX-License-Identifier: Apache-2.0

package btc

import (
	"errors"
	"slices"
	"testing"
)

func TestVerifyWitnesses(t *testing.T) {
	t.Parallel()
	tx, prevouts, keys := sampleTx(t)
	good := signAll(t, tx, prevouts, keys)
	if err := VerifyWitnesses(tx, prevouts, good); err != nil {
		t.Fatal(err)
	}
	b, err := EncodeSigned(tx, good)
	if err != nil {
		t.Fatal(err)
	}
	if err := execute(msgTx(t, b), tx, prevouts); err != nil {
		t.Fatalf("oracle refuses: %v", err)
	}
	other := newTestKey(t, 7).pub.Compressed()
	highS := slices.Concat(unhex(t, "3026"+"020101"+"0221"+"00fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140"), []byte{SighashAll})
	for _, v := range []struct {
		name   string
		change func(ws [][][]byte) [][][]byte
		want   error
	}{
		{"one witness for two inputs", func(ws [][][]byte) [][][]byte { return ws[:1] }, ErrPrevouts},
		{"p2wpkh without key", func(ws [][][]byte) [][][]byte { ws[0] = ws[0][:1]; return ws }, ErrWitnessForm},
		{"p2wpkh with an item more", func(ws [][][]byte) [][][]byte { ws[0] = append(ws[0], []byte{}); return ws }, ErrWitnessForm},
		{"p2wpkh empty", func(ws [][][]byte) [][][]byte { ws[0] = nil; return ws }, ErrWitnessForm},
		{"p2wpkh key of somebody else", func(ws [][][]byte) [][][]byte { ws[0][1] = other[:]; return ws }, ErrForeignKey},
		{"p2wpkh key not on the curve", func(ws [][][]byte) [][][]byte { ws[0][1] = append([]byte{2}, offCurve()...); return ws }, ErrPoint},
		{"p2wpkh uncompressed key", func(ws [][][]byte) [][][]byte { u := keys[0].pub.Uncompressed(); ws[0][1] = u[:]; return ws }, ErrPoint},
		{"p2wpkh signature empty", func(ws [][][]byte) [][][]byte { ws[0][0] = nil; return ws }, ErrSighash},
		{"p2wpkh sighash NONE", func(ws [][][]byte) [][][]byte { ws[0][0][len(ws[0][0])-1] = 2; return ws }, ErrSighash},
		{"p2wpkh sighash ALL|ANYONECANPAY", func(ws [][][]byte) [][][]byte { ws[0][0][len(ws[0][0])-1] = 0x81; return ws }, ErrSighash},
		{"p2wpkh sighash byte only", func(ws [][][]byte) [][][]byte { ws[0][0] = []byte{SighashAll}; return ws }, ErrDER},
		{"p2wpkh high s", func(ws [][][]byte) [][][]byte { ws[0][0] = highS; return ws }, ErrDER},
		{"p2wpkh s changed", func(ws [][][]byte) [][][]byte { ws[0][0][len(ws[0][0])-2] ^= 1; return ws }, ErrSignature},
		{"p2tr signature changed", func(ws [][][]byte) [][][]byte { ws[1][0][63] ^= 1; return ws }, ErrSignature},
		{"p2tr with sighash byte ALL", func(ws [][][]byte) [][][]byte { ws[1][0] = append(ws[1][0], SighashAll); return ws }, ErrSighash},
		{"p2tr signature too short", func(ws [][][]byte) [][][]byte { ws[1][0] = ws[1][0][:63]; return ws }, ErrWitnessForm},
		{"p2tr with annex", func(ws [][][]byte) [][][]byte { ws[1] = append(ws[1], []byte{0x50}); return ws }, ErrWitnessForm},
		{"witnesses exchanged", func(ws [][][]byte) [][][]byte { slices.Reverse(ws); return ws }, ErrWitnessForm},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			ws := make([][][]byte, len(good))
			for i, w := range good {
				for _, item := range w {
					ws[i] = append(ws[i], slices.Clone(item))
				}
			}
			if err := VerifyWitnesses(tx, prevouts, v.change(ws)); !errors.Is(err, v.want) {
				t.Fatalf("got %v, want %v", err, v.want)
			}
		})
	}
	t.Run("signature of another transaction", func(t *testing.T) {
		t.Parallel()
		changed := tx
		changed.LockTime++
		if err := VerifyWitnesses(changed, prevouts, good); !errors.Is(err, ErrSignature) {
			t.Fatalf("got %v, want %v", err, ErrSignature)
		}
	})
	t.Run("output that is not spent here", func(t *testing.T) {
		t.Parallel()
		foreign := slices.Clone(prevouts)
		foreign[0].Script = append(Script{op0, 32}, make([]byte, 32)...)
		if err := VerifyWitnesses(tx, foreign, good); !errors.Is(err, ErrKind) {
			t.Fatalf("got %v, want %v", err, ErrKind)
		}
	})
	t.Run("prevouts missing", func(t *testing.T) {
		t.Parallel()
		if err := VerifyWitnesses(tx, nil, good); !errors.Is(err, ErrPrevouts) {
			t.Fatalf("got %v, want %v", err, ErrPrevouts)
		}
	})
}
