// SPDX-License-Identifier: Apache-2.0

package btc

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/psbt/v2"
	"github.com/btcsuite/btcd/wire/v2"

	"strongroom/internal/pure/secp"
)

// refusals names the errors that testdata/psbt.json speaks of.
func refusals() map[string]error {
	return map[string]error{
		"": nil, "ErrMagic": ErrMagic, "ErrTruncated": ErrTruncated, "ErrScriptSig": ErrScriptSig, "ErrMissingField": ErrMissingField,
		"ErrDuplicateKey": ErrDuplicateKey, "ErrFieldForm": ErrFieldForm, "ErrPoint": ErrPoint, "ErrUnknownField": ErrUnknownField,
		"ErrWitness": ErrWitness, "ErrVersion": ErrVersion, "ErrNoInputs": ErrNoInputs, "ErrWitnessForm": ErrWitnessForm,
	}
}

type psbtVector struct {
	BIP                          int
	Section, Name, PSBT, Refusal string
}

func bipPSBTs(t testing.TB) []psbtVector {
	t.Helper()
	raw, err := os.ReadFile("testdata/psbt.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Vectors []psbtVector }
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	return file.Vectors
}

// The vectors of BIP-174 and BIP-371: invalid ones are refused, valid ones are accepted or outside the subset by name.
func TestBIPVectors(t *testing.T) {
	t.Parallel()
	count := map[string]int{}
	for _, v := range bipPSBTs(t) {
		count[v.Section]++
		if v.Refusal == "" {
			count["accepted"]++
		}
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			raw, err := base64.StdEncoding.DecodeString(v.PSBT)
			if err != nil {
				t.Fatal(err)
			}
			want, known := refusals()[v.Refusal]
			if !known || (v.Section != "valid" && want == nil) {
				t.Fatalf("bad vector: refusal %q", v.Refusal)
			}
			p, err := DecodePSBT(raw)
			if !errors.Is(err, want) {
				t.Fatalf("got %v, want %v", err, want)
			}
			if want != nil {
				return
			}
			if again, err := p.Encode(); err != nil || !bytes.Equal(again, raw) {
				t.Fatalf("got back %x, %v, want %x", again, err, raw)
			}
			wantFinal := ErrNotSigned
			if strings.HasSuffix(v.Name, "and signature") {
				wantFinal = nil
			}
			if _, err := p.Finalize(); !errors.Is(err, wantFinal) {
				t.Fatalf("finalize: got %v, want %v", err, wantFinal)
			}
		})
	}
	for name, want := range map[string]int{"invalid": 31, "valid": 16, "unsignable": 4, "accepted": 3} {
		if count[name] != want {
			t.Errorf("%d vectors are %s, want %d", count[name], name, want)
		}
	}
}

// samplePSBT spends one output of each kind, with everything that can stand beside it, and pays change to each kind.
func samplePSBT(t testing.TB) (PSBT, []testKey) {
	t.Helper()
	tx, prevouts, keys := sampleTx(t)
	prev := prevTx(prevouts[0], int(tx.Inputs[0].OutPoint.Index))
	tx.Inputs[0].OutPoint.TxID = TxID(prev.TxHash())
	p, err := NewPSBT(tx, prevouts)
	if err != nil {
		t.Fatal(err)
	}
	path := func(last uint32) secp.Path {
		return secp.Path{84 | secp.HardenedBit, 1 | secp.HardenedBit, secp.HardenedBit, 1, last}
	}
	p.Inputs[0].NonWitnessUTXO = serialize(t, prev)
	p.Inputs[0].SighashStated = true
	p.Inputs[0].Derivation = &Derivation{Key: keys[0].pub, Origin: KeyOrigin{Fingerprint: [4]byte{1, 2, 3, 4}, Path: path(0)}}
	p.Inputs[1].TapInternalKey = &keys[1].internal
	p.Inputs[1].TapDerivation = &TapDerivation{InternalKey: keys[1].internal, Origin: KeyOrigin{Fingerprint: [4]byte{1, 2, 3, 4}, Path: path(1)}}
	change := newTestKey(t, 3)
	p.Outputs[0].Derivation = &Derivation{Key: change.pub, Origin: KeyOrigin{Path: path(2)}}
	p.Outputs[1].TapInternalKey = &keys[1].internal
	p.Outputs[1].TapDerivation = &TapDerivation{InternalKey: keys[1].internal}
	if err := p.Check(); err != nil {
		t.Fatal(err)
	}
	return p, keys
}

// prevTx is a transaction with a script signature whose given output is out.
func prevTx(out TxOut, index int) *wire.MsgTx {
	m := wire.NewMsgTx(1)
	m.AddTxIn(&wire.TxIn{PreviousOutPoint: wire.OutPoint{Hash: [32]byte{7}}, SignatureScript: []byte{1, 2, 3}, Sequence: 5})
	for range index {
		m.AddTxOut(wire.NewTxOut(1, nil))
	}
	m.AddTxOut(wire.NewTxOut(int64(out.Value), out.Script))
	return m
}

func serialize(t testing.TB, m *wire.MsgTx) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := m.Serialize(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// signPSBT adds the signatures.
func signPSBT(t testing.TB, p PSBT, keys []testKey) PSBT {
	t.Helper()
	h, err := NewSighasher(p.Tx, p.Prevouts())
	if err != nil {
		t.Fatal(err)
	}
	p.Inputs = slices.Clone(p.Inputs)
	for i := range p.Inputs {
		digest, err := h.Hash(i)
		if err != nil {
			t.Fatal(err)
		}
		if p.Inputs[i].WitnessUTXO.Script.Kind() == KindP2TR {
			sig := keys[i].signTaproot(t, digest)
			p.Inputs[i].TapKeySig = &sig
		} else {
			p.Inputs[i].PartialSig = &PartialSig{Key: keys[i].pub, Signature: keys[i].signECDSA(digest)}
		}
	}
	return p
}

// mustEncode encodes, decodes, encodes again, and wants the same bytes.
func mustEncode(t testing.TB, p PSBT) []byte {
	t.Helper()
	b, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := DecodePSBT(b)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := back.Encode(); err != nil || !bytes.Equal(again, b) {
		t.Fatalf("got back %x, %v, want %x", again, err, b)
	}
	return b
}

// btcsuite reads every stage, finalizes to the same bytes, extracts the same transaction, and its engine accepts it.
func TestPSBTLifeAgreesWithOracle(t *testing.T) {
	t.Parallel()
	p, keys := samplePSBT(t)
	oracle := func(b []byte) *psbt.Packet {
		o, err := psbt.NewFromRawBytes(bytes.NewReader(b), false)
		if err != nil {
			t.Fatalf("oracle refuses: %v", err)
		}
		var out bytes.Buffer
		if err := o.Serialize(&out); err != nil || !bytes.Equal(out.Bytes(), b) {
			t.Fatalf("oracle writes %x, %v, want %x", out.Bytes(), err, b)
		}
		return o
	}
	oracle(mustEncode(t, p))
	signed := signPSBT(t, p, keys)
	o := oracle(mustEncode(t, signed))
	if err := psbt.MaybeFinalizeAll(o); err != nil {
		t.Fatal(err)
	}
	final, err := signed.Finalize()
	if err != nil {
		t.Fatal(err)
	}
	ofinal := oracle(mustEncode(t, final))
	m, err := psbt.Extract(ofinal)
	if err != nil {
		t.Fatal(err)
	}
	got, err := final.Extract()
	if err != nil {
		t.Fatal(err)
	}
	if want := serialize(t, m); !bytes.Equal(got, want) {
		t.Fatalf("got %x, oracle %x", got, want)
	}
	om, err := psbt.Extract(o)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, serialize(t, om)) {
		t.Fatalf("oracle finalizes to another transaction")
	}
	if err := execute(m, p.Tx, p.Prevouts()); err != nil {
		t.Fatalf("oracle's engine refuses: %v", err)
	}
	// Finalizing once more changes nothing, and the open one was left alone.
	twice, err := final.Finalize()
	if err != nil || !bytes.Equal(mustEncode(t, twice), mustEncode(t, final)) {
		t.Fatalf("finalizing twice: %v", err)
	}
	if signed.Inputs[0].FinalWitness != nil || signed.Inputs[0].PartialSig == nil {
		t.Fatal("Finalize changed its receiver")
	}
}

func TestPSBTOrigin(t *testing.T) {
	t.Parallel()
	p, _ := samplePSBT(t)
	for i, want := range []string{"m/84'/1'/0'/1/0", "m/84'/1'/0'/1/1"} {
		if o, ok := p.Inputs[i].Origin(); !ok || o.Path.String() != want || o.Fingerprint != [4]byte{1, 2, 3, 4} {
			t.Errorf("input %d: got %v, %t, want %s", i, o, ok, want)
		}
	}
	if _, ok := (PSBTKeys{}).Origin(); ok {
		t.Error("got an origin from nothing")
	}
}

func TestFinalizeAndExtractRefuse(t *testing.T) {
	t.Parallel()
	p, keys := samplePSBT(t)
	if _, err := p.Finalize(); !errors.Is(err, ErrNotSigned) {
		t.Errorf("finalize unsigned: got %v, want %v", err, ErrNotSigned)
	}
	signed := signPSBT(t, p, keys)
	if _, err := signed.Extract(); !errors.Is(err, ErrNotFinal) {
		t.Errorf("extract open: got %v, want %v", err, ErrNotFinal)
	}
	wrong := signPSBT(t, p, keys)
	wrong.Inputs[0].PartialSig.Signature[63] ^= 1
	if _, err := wrong.Finalize(); !errors.Is(err, ErrSignature) {
		t.Errorf("finalize wrong ECDSA signature: got %v, want %v", err, ErrSignature)
	}
	wrong = signPSBT(t, p, keys)
	wrong.Inputs[1].TapKeySig[63] ^= 1
	if _, err := wrong.Finalize(); !errors.Is(err, ErrSignature) {
		t.Errorf("finalize wrong taproot signature: got %v, want %v", err, ErrSignature)
	}
	final, err := signed.Finalize()
	if err != nil {
		t.Fatal(err)
	}
	final.Inputs = slices.Clone(final.Inputs)
	other := slices.Clone(final.Inputs[1].FinalWitness[0])
	other[0] ^= 1
	final.Inputs[1].FinalWitness = [][]byte{other}
	if _, err := final.Extract(); !errors.Is(err, ErrSignature) {
		t.Errorf("extract wrong signature: got %v, want %v", err, ErrSignature)
	}
	if _, err := final.Finalize(); !errors.Is(err, ErrSignature) {
		t.Errorf("finalize wrong final witness: got %v, want %v", err, ErrSignature)
	}
	final.Tx.Version = 0
	for name, act := range map[string]func() error{
		"finalize": func() error { _, err := final.Finalize(); return err },
		"extract":  func() error { _, err := final.Extract(); return err },
		"encode":   func() error { _, err := final.Encode(); return err },
		"prevtxs":  final.CheckPrevTxs,
	} {
		if err := act(); !errors.Is(err, ErrVersion) {
			t.Errorf("%s of an invalid one: got %v, want %v", name, err, ErrVersion)
		}
	}
}

func TestCheckPrevTxs(t *testing.T) {
	t.Parallel()
	p, keys := samplePSBT(t)
	if err := p.CheckPrevTxs(); err != nil {
		t.Fatal(err)
	}
	p.Inputs = slices.Clone(p.Inputs)
	p.Inputs[0].NonWitnessUTXO = nil
	if err := p.CheckPrevTxs(); !errors.Is(err, ErrPrevTx) {
		t.Fatalf("p2wpkh without previous transaction: got %v, want %v", err, ErrPrevTx)
	}
	final, err := signPSBT(t, p, keys).Finalize()
	if err != nil {
		t.Fatal(err)
	}
	if err := final.CheckPrevTxs(); err != nil {
		t.Fatalf("final: %v", err)
	}
}

func TestNewPSBTRefuses(t *testing.T) {
	t.Parallel()
	tx, prevouts, _ := sampleTx(t)
	if _, err := NewPSBT(tx, prevouts[:1]); !errors.Is(err, ErrMissingField) {
		t.Errorf("one prevout: got %v, want %v", err, ErrMissingField)
	}
	if _, err := NewPSBT(tx, []TxOut{prevouts[0], {Value: 1}}); !errors.Is(err, ErrMissingField) {
		t.Errorf("empty prevout: got %v, want %v", err, ErrMissingField)
	}
	if _, err := NewPSBT(tx, []TxOut{prevouts[0], {Value: 1, Script: prevouts[0].Script}}); !errors.Is(err, ErrOverspent) {
		t.Errorf("overspent: got %v, want %v", err, ErrOverspent)
	}
}
