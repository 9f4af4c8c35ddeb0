// SPDX-License-Identifier: Apache-2.0

package btc

import (
	"bytes"
	"encoding/base64"
	"errors"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/psbt/v2"
	"github.com/btcsuite/btcd/wire/v2"

	"strongroom/internal/pure/secp"
)

func TestPSBTCheckRefuses(t *testing.T) {
	t.Parallel()
	base, keys := samplePSBT(t)
	base = signPSBT(t, base, keys)
	final, err := base.Finalize()
	if err != nil {
		t.Fatal(err)
	}
	other := newTestKey(t, 9)
	coinbase := wire.NewMsgTx(1)
	rich := wire.NewMsgTx(1)
	rich.AddTxIn(&wire.TxIn{})
	rich.AddTxOut(wire.NewTxOut(int64(MaxSat)+1, nil))
	long := make(secp.Path, MaxPathLevels+1)
	prev := base.Inputs[0].NonWitnessUTXO
	for _, v := range []struct {
		name   string
		from   PSBT
		change func(p *PSBT)
		want   error
	}{
		{"no input described", base, func(p *PSBT) { p.Inputs = p.Inputs[:1] }, ErrMissingField},
		{"no output described", base, func(p *PSBT) { p.Outputs = p.Outputs[:1] }, ErrMissingField},
		{"witness utxo missing", base, func(p *PSBT) { p.Inputs[0] = PSBTInput{} }, ErrMissingField},
		{"p2wsh input", base, func(p *PSBT) {
			p.Inputs[1] = PSBTInput{WitnessUTXO: TxOut{Value: 50_000, Script: append(Script{op0, 32}, make([]byte, 32)...)}}
		}, ErrKind},
		{"underpaid", base, func(p *PSBT) { p.Inputs[1].WitnessUTXO.Value = 1 }, ErrOverspent},
		{"ecdsa signature on p2tr", base, func(p *PSBT) { p.Inputs[1].PartialSig = p.Inputs[0].PartialSig }, ErrFieldConflict},
		{"taproot signature on p2wpkh", base, func(p *PSBT) { p.Inputs[0].TapKeySig = p.Inputs[1].TapKeySig }, ErrFieldConflict},
		{"derivation on p2tr", base, func(p *PSBT) { p.Inputs[1].Derivation = p.Inputs[0].Derivation }, ErrFieldConflict},
		{"internal key on p2wpkh", base, func(p *PSBT) { p.Inputs[0].TapInternalKey = p.Inputs[1].TapInternalKey }, ErrFieldConflict},
		{"taproot derivation on p2wpkh", base, func(p *PSBT) { p.Inputs[0].TapDerivation = p.Inputs[1].TapDerivation }, ErrFieldConflict},
		{"derivation of another key", base, func(p *PSBT) { p.Inputs[0].Derivation = &Derivation{Key: other.pub} }, ErrForeignKey},
		{"derivation of no key", base, func(p *PSBT) { p.Inputs[0].Derivation = &Derivation{} }, ErrPoint},
		{"internal key of another output", base, func(p *PSBT) { p.Inputs[1].TapInternalKey = &other.internal }, ErrForeignKey},
		{"internal key off the curve", base, func(p *PSBT) { p.Inputs[1].TapInternalKey = (*[32]byte)(offCurve()) }, ErrPoint},
		{"taproot derivation of another key", base, func(p *PSBT) { p.Inputs[1].TapDerivation = &TapDerivation{InternalKey: other.internal} }, ErrForeignKey},
		{"signature of another key", base, func(p *PSBT) {
			p.Inputs[0].PartialSig = &PartialSig{Key: other.pub, Signature: p.Inputs[0].PartialSig.Signature}
		}, ErrForeignKey},
		{"signature out of range", base, func(p *PSBT) { p.Inputs[0].PartialSig = &PartialSig{Key: keys[0].pub} }, ErrDER},
		{"path too long", base, func(p *PSBT) { p.Inputs[0].Derivation = &Derivation{Key: keys[0].pub, Origin: KeyOrigin{Path: long}} }, ErrTooLarge},
		{"taproot path too long", base, func(p *PSBT) {
			p.Inputs[1].TapDerivation = &TapDerivation{InternalKey: keys[1].internal, Origin: KeyOrigin{Path: long}}
		}, ErrTooLarge},
		{"output derivation of another key", base, func(p *PSBT) { p.Outputs[0].Derivation = &Derivation{Key: other.pub} }, ErrForeignKey},
		{"output internal key of another output", base, func(p *PSBT) { p.Outputs[1].TapInternalKey = &other.internal }, ErrForeignKey},
		{"output derivation on p2tr", base, func(p *PSBT) { p.Outputs[1].Derivation = p.Outputs[0].Derivation }, ErrFieldConflict},
		{"previous transaction cut off", base, func(p *PSBT) { p.Inputs[0].NonWitnessUTXO = prev[:len(prev)-1] }, ErrPrevTx},
		{"previous transaction goes on", base, func(p *PSBT) { p.Inputs[0].NonWitnessUTXO = append(slices.Clone(prev), 0) }, ErrPrevTx},
		{"previous transaction empty", base, func(p *PSBT) { p.Inputs[0].NonWitnessUTXO = []byte{} }, ErrPrevTx},
		{"previous transaction without inputs", base, func(p *PSBT) { p.Inputs[0].NonWitnessUTXO = serialize(t, coinbase) }, ErrNoInputs},
		{"previous transaction with more than 21 million", base, func(p *PSBT) { p.Inputs[0].NonWitnessUTXO = serialize(t, rich) }, ErrAmount},
		{"previous transaction too large", base, func(p *PSBT) { p.Inputs[0].NonWitnessUTXO = make([]byte, MaxPrevTxBytes+1) }, ErrTooLarge},
		{"previous transaction of another txid", base, func(p *PSBT) { p.Tx.Inputs[0].OutPoint.TxID[0] ^= 1 }, ErrPrevTx},
		{"previous transaction has no such output", base, func(p *PSBT) { p.Tx.Inputs[0].OutPoint.Index = 4 }, ErrPrevTx},
		{"previous transaction's output is another", base, func(p *PSBT) { p.Tx.Inputs[0].OutPoint.Index = 0 }, ErrPrevTx},
		{"amount lied about", base, func(p *PSBT) { p.Inputs[0].WitnessUTXO.Value++ }, ErrPrevTx},
		{"previous transaction of a p2tr input", base, func(p *PSBT) { p.Inputs[1].NonWitnessUTXO = prev }, ErrPrevTx},
		{"final with sighash type", final, func(p *PSBT) { p.Inputs[0].SighashStated = true }, ErrFieldConflict},
		{"final with derivation", final, func(p *PSBT) { p.Inputs[0].Derivation = base.Inputs[0].Derivation }, ErrFieldConflict},
		{"final with signature", final, func(p *PSBT) { p.Inputs[0].PartialSig = base.Inputs[0].PartialSig }, ErrFieldConflict},
		{"final with taproot signature", final, func(p *PSBT) { p.Inputs[1].TapKeySig = base.Inputs[1].TapKeySig }, ErrFieldConflict},
		{"final with empty witness", final, func(p *PSBT) { p.Inputs[0].FinalWitness = [][]byte{} }, ErrWitnessForm},
		{"final with the witness of another kind", final, func(p *PSBT) { p.Inputs[0].FinalWitness = p.Inputs[1].FinalWitness }, ErrWitnessForm},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			p := v.from
			p.Inputs, p.Outputs, p.Tx.Inputs = slices.Clone(p.Inputs), slices.Clone(p.Outputs), slices.Clone(p.Tx.Inputs)
			v.change(&p)
			if err := p.Check(); !errors.Is(err, v.want) {
				t.Fatalf("got %v, want %v", err, v.want)
			}
			if _, err := p.Encode(); !errors.Is(err, v.want) {
				t.Fatalf("encode: got %v, want %v", err, v.want)
			}
		})
	}
}

// A previous transaction may be segwit itself; its txid leaves the witness out.
func TestPrevTxWithWitness(t *testing.T) {
	t.Parallel()
	p, _ := samplePSBT(t)
	m := prevTx(p.Inputs[0].WitnessUTXO, 3)
	plain := serialize(t, m)
	m.TxIn[0].Witness = wire.TxWitness{[]byte{1, 2}, nil}
	for name, b := range map[string][]byte{"plain": plain, "with witness": serialize(t, m)} {
		p.Inputs[0].NonWitnessUTXO = b
		if err := p.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	m.TxIn[0].SignatureScript = nil
	m.TxIn[0].Witness = nil
	m.TxIn[0].SignatureScript = make([]byte, MaxPrevTxBytes-m.SerializeSize()-4)
	p.Tx.Inputs = slices.Clone(p.Tx.Inputs)
	p.Tx.Inputs[0].OutPoint.TxID = TxID(m.TxHash())
	p.Inputs[0].NonWitnessUTXO = serialize(t, m)
	if err := p.Check(); err != nil || len(p.Inputs[0].NonWitnessUTXO) != MaxPrevTxBytes {
		t.Errorf("largest, %d bytes: %v", len(p.Inputs[0].NonWitnessUTXO), err)
	}
	superfluous := slices.Concat(plain[:4], []byte{0, 1}, plain[4:len(plain)-4], []byte{0}, plain[len(plain)-4:])
	p.Inputs[0].NonWitnessUTXO = superfluous
	if err := p.Check(); !errors.Is(err, ErrNoWitness) {
		t.Errorf("marker without any witness: got %v, want %v", err, ErrNoWitness)
	}
}

// rawPSBT puts maps together: fields are given as they are written, the separators are added.
func rawPSBT(maps ...[]byte) []byte {
	b := []byte(psbtMagic)
	for _, m := range maps {
		b = append(append(b, m...), 0)
	}
	return b
}

func TestDecodePSBTRefuses(t *testing.T) {
	t.Parallel()
	tx, prevouts, keys := sampleTx(t)
	tx.Inputs, tx.Outputs = tx.Inputs[:1], tx.Outputs[:1]
	pub, otherPub := keys[0].pub.Compressed(), keys[1].pub.Compressed()
	f := func(kind byte, key, value []byte) []byte { return appendField(nil, kind, key, value) }
	global := f(globalUnsignedTx, nil, tx.Encode())
	utxo := f(inWitnessUTXO, nil, prevouts[0].append(nil))
	tapUTXO := f(inWitnessUTXO, nil, prevouts[1].append(nil))
	origin := make([]byte, 8)
	in := func(fields ...[]byte) []byte { return rawPSBT(global, slices.Concat(fields...), nil) }
	out := func(fields ...[]byte) []byte { return rawPSBT(global, utxo, slices.Concat(fields...)) }
	trOut := tx
	trOut.Outputs = []TxOut{{Value: 1_000, Script: prevouts[1].Script}}
	tapOut := func(fields ...[]byte) []byte {
		return rawPSBT(f(globalUnsignedTx, nil, trOut.Encode()), utxo, slices.Concat(fields...))
	}
	if _, err := DecodePSBT(in(utxo)); err != nil {
		t.Fatalf("smallest: %v", err)
	}
	for _, v := range []struct {
		name string
		b    []byte
		want error
	}{
		{"empty", nil, ErrMagic},
		{"wrong magic", bytes.Replace(in(utxo), []byte("psbt\xff"), []byte("psbt\x00"), 1), ErrMagic},
		{"over the limit", make([]byte, MaxPSBTBytes+1), ErrTooLarge},
		{"global map empty", rawPSBT(nil), ErrMissingField},
		{"global xpub", rawPSBT(append(slices.Clone(global), f(1, make([]byte, 78), origin)...), utxo, nil), ErrUnknownField},
		{"global version", rawPSBT(append(slices.Clone(global), f(0xfb, nil, make([]byte, 4))...), utxo, nil), ErrUnknownField},
		{"global proprietary", rawPSBT(append(slices.Clone(global), f(0xfc, []byte{1, 2}, nil)...), utxo, nil), ErrUnknownField},
		{"transaction with byte behind", rawPSBT(f(globalUnsignedTx, nil, append(tx.Encode(), 0)), utxo, nil), ErrTrailing},
		{"transaction twice", rawPSBT(append(slices.Clone(global), global...), utxo, nil), ErrDuplicateKey},
		{"byte behind", append(in(utxo), 0), ErrTrailing},
		{"map too many", rawPSBT(global, utxo, nil, nil), ErrTrailing},
		{"output map missing", rawPSBT(global, utxo), ErrTruncated},
		{"witness utxo missing", in(), ErrMissingField},
		{"witness utxo with byte behind", in(f(inWitnessUTXO, nil, append(prevouts[0].append(nil), 0))), ErrTrailing},
		{"witness utxo cut off", in(f(inWitnessUTXO, nil, prevouts[0].append(nil)[:30])), ErrTruncated},
		{"witness utxo above 21 million", in(f(inWitnessUTXO, nil, TxOut{Value: MaxSat + 1}.append(nil))), ErrAmount},
		{"same key twice", in(utxo, utxo), ErrDuplicateKey},
		{"keys descend", in(f(inSighash, nil, []byte{1, 0, 0, 0}), utxo), ErrKeyOrder},
		{"key length not minimal", rawPSBT(global, slices.Concat([]byte{0xfd, 1, 0}, utxo[1:]), nil), ErrVarInt},
		{"value length not minimal", rawPSBT(global, slices.Concat(utxo[:2], []byte{0xfd, utxo[2], 0}, utxo[3:]), nil), ErrVarInt},
		{"sighash NONE", in(utxo, f(inSighash, nil, []byte{2, 0, 0, 0})), ErrSighash},
		{"sighash DEFAULT on p2wpkh", in(utxo, f(inSighash, nil, []byte{0, 0, 0, 0})), ErrSighash},
		{"sighash ALL on p2tr", in(tapUTXO, f(inSighash, nil, []byte{1, 0, 0, 0})), ErrSighash},
		{"sighash of 1 byte", in(utxo, f(inSighash, nil, []byte{1})), ErrFieldForm},
		{"redeem script", in(utxo, f(4, nil, []byte{op1})), ErrUnknownField},
		{"witness script", in(utxo, f(5, nil, []byte{op1})), ErrUnknownField},
		{"final script signature", in(utxo, f(7, nil, []byte{op1})), ErrUnknownField},
		{"proof of reserves", in(utxo, f(9, nil, []byte{1})), ErrUnknownField},
		{"taproot script signature", in(tapUTXO, f(0x14, make([]byte, 64), make([]byte, 64))), ErrUnknownField},
		{"taproot merkle root", in(tapUTXO, f(0x18, nil, make([]byte, 32))), ErrUnknownField},
		{"type in three bytes", in(utxo, slices.Concat([]byte{3, 0xfd, 0, 1, 0})), ErrUnknownField},
		{"partial signature without sighash byte", in(utxo, f(inPartialSig, pub[:], nil)), ErrSighash},
		{"partial signature with NONE", in(utxo, f(inPartialSig, pub[:], unhex(t, "300602010102010102"))), ErrSighash},
		{"partial signature not DER", in(utxo, f(inPartialSig, pub[:], unhex(t, "300602010102010001"))), ErrDER},
		{"partial signature of another key", in(utxo, f(inPartialSig, otherPub[:], unhex(t, "300602010102010101"))), ErrForeignKey},
		{"derivation with a key of 32 bytes", in(utxo, f(inDerivation, pub[1:], origin)), ErrPoint},
		{"derivation without fingerprint", in(utxo, f(inDerivation, pub[:], nil)), ErrFieldForm},
		{"derivation of 7 bytes", in(utxo, f(inDerivation, pub[:], origin[:7])), ErrFieldForm},
		{"longest derivation", in(utxo, f(inDerivation, pub[:], make([]byte, 4*(MaxPathLevels+1)))), nil},
		{"derivation too long", in(utxo, f(inDerivation, pub[:], make([]byte, 4*(MaxPathLevels+2)))), ErrTooLarge},
		{"second derivation", in(utxo, f(inDerivation, pub[:], origin), f(inDerivation, bytes.Repeat([]byte{3}, 33), origin)), ErrForeignKey},
		{"final witness with byte behind", in(utxo, f(inFinalWitness, nil, []byte{0, 0})), ErrTrailing},
		{"final witness empty", in(utxo, f(inFinalWitness, nil, []byte{0})), ErrWitnessForm},
		{"taproot signature of 65 bytes", in(tapUTXO, f(inTapKeySig, nil, make([]byte, 65))), ErrSighash},
		{"taproot derivation with leaf hash", in(tapUTXO, f(inTapDerivation, keys[1].internal[:], append([]byte{1}, make([]byte, 36)...))), ErrFieldForm},
		{"taproot derivation empty", in(tapUTXO, f(inTapDerivation, keys[1].internal[:], nil)), ErrFieldForm},
		{"taproot derivation without fingerprint", in(tapUTXO, f(inTapDerivation, keys[1].internal[:], []byte{0})), ErrFieldForm},
		{"second taproot derivation", in(tapUTXO, f(inTapDerivation, make([]byte, 32), append([]byte{0}, origin...)), f(inTapDerivation, keys[1].internal[:], append([]byte{0}, origin...))), ErrForeignKey},
		{"taproot derivation of another key", in(tapUTXO, f(inTapDerivation, keys[0].internal[:], append([]byte{0}, origin...))), ErrForeignKey},
		{"output redeem script", out(f(0, nil, []byte{op1})), ErrUnknownField},
		{"output taproot tree", out(f(6, nil, []byte{0})), ErrUnknownField},
		{"output derivation of another key", out(f(outDerivation, otherPub[:], origin)), ErrForeignKey},
		{"output internal key with key data", tapOut(f(outTapInternalKey, []byte{1}, make([]byte, 32))), ErrFieldForm},
		{"output internal key too short", tapOut(f(outTapInternalKey, nil, make([]byte, 31))), ErrFieldForm},
		{"output internal key of another output", tapOut(f(outTapInternalKey, nil, keys[0].internal[:])), ErrForeignKey},
		{"output taproot derivation with key of 33 bytes", tapOut(f(outTapDerivation, pub[:], append([]byte{0}, origin...))), ErrFieldForm},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			if _, err := DecodePSBT(v.b); !errors.Is(err, v.want) {
				t.Fatalf("got %v, want %v", err, v.want)
			}
		})
	}
}

// Every proper prefix of a PSBT is refused.
func TestDecodePSBTRefusesEveryTruncation(t *testing.T) {
	t.Parallel()
	p, keys := samplePSBT(t)
	b := mustEncode(t, signPSBT(t, p, keys))
	for n := range b {
		want := ErrTruncated
		if n < len(psbtMagic) {
			want = ErrMagic
		}
		if _, err := DecodePSBT(b[:n]); !errors.Is(err, want) {
			t.Errorf("%d bytes: got %v, want %v", n, err, want)
		}
	}
}

// A PSBT that would be refused when read is not written.
func TestEncodePSBTRefusesTooLarge(t *testing.T) {
	t.Parallel()
	k := newTestKey(t, 1)
	tx := UnsignedTx{Version: 2, Outputs: []TxOut{{Value: 1, Script: k.p2wpkh}}}
	var p PSBT
	for i := range 22 {
		m := prevTx(TxOut{Value: 1_000, Script: k.p2wpkh}, 0)
		m.TxIn[0].SignatureScript = bytes.Repeat([]byte{byte(i)}, MaxPrevTxBytes-200)
		tx.Inputs = append(tx.Inputs, TxIn{OutPoint: OutPoint{TxID: TxID(m.TxHash())}})
		p.Inputs = append(p.Inputs, PSBTInput{WitnessUTXO: TxOut{Value: 1_000, Script: k.p2wpkh}, NonWitnessUTXO: serialize(t, m)})
	}
	p.Tx, p.Outputs = tx, make([]PSBTOutput, 1)
	if _, err := p.Encode(); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("got %v, want %v", err, ErrTooLarge)
	}
	p.Inputs[0].NonWitnessUTXO, p.Inputs[1].NonWitnessUTXO = nil, nil
	mustEncode(t, p)
}

// Law: what is accepted encodes back to the same bytes and states an unsigned transaction and spent outputs, which
// btcsuite reads alike; what can be extracted, btcsuite's engine accepts.
func FuzzPSBT(f *testing.F) {
	p, keys := samplePSBT(f)
	f.Add(mustEncode(f, p))
	signed := signPSBT(f, p, keys)
	f.Add(mustEncode(f, signed))
	final, err := signed.Finalize()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(mustEncode(f, final))
	for _, v := range bipPSBTs(f) {
		if raw, err := base64.StdEncoding.DecodeString(v.PSBT); err == nil {
			f.Add(raw)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := DecodePSBT(b)
		if err != nil {
			return
		}
		if again, err := p.Encode(); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("got %x, %v, want %x", again, err, b)
		}
		o, err := psbt.NewFromRawBytes(bytes.NewReader(b), false)
		if err != nil {
			t.Fatalf("oracle refuses %x: %v", b, err)
		}
		if got, want := p.Tx.TxID(), TxID(o.UnsignedTx.TxHash()); got != want {
			t.Fatalf("txid: got %s, oracle %s", got, want)
		}
		for i, in := range o.Inputs {
			if want := (TxOut{Value: Sat(in.WitnessUtxo.Value), Script: in.WitnessUtxo.PkScript}); !p.Inputs[i].WitnessUTXO.Equal(want) {
				t.Fatalf("input %d: oracle spends another output", i)
			}
		}
		final, err := p.Finalize()
		if err != nil {
			return
		}
		raw, err := final.Extract()
		if err != nil {
			t.Fatalf("final but not extracted: %v", err)
		}
		if err := execute(msgTx(t, raw), p.Tx, p.Prevouts()); err != nil {
			t.Fatalf("oracle's engine refuses: %v", err)
		}
	})
}
