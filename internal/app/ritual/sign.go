// SPDX-License-Identifier: Apache-2.0

package ritual

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"strongroom/internal/edge/keyfile"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/ceremony"
	"strongroom/internal/pure/request"
)

// ToSign is a file that somebody takes to a machine of their own.
type ToSign struct {
	V          uint             `cbor:"1,keyasint"`           // 1
	Transcript []byte           `cbor:"2,keyasint"`           // so far
	Record     *ceremony.Record `cbor:"3,keyasint,omitempty"` // what they sign; nil: the whole, at the end
	Name       string           `cbor:"4,keyasint"`           // who
}

// Signed is the file that they bring back.
type Signed struct {
	V       uint              `cbor:"1,keyasint"` // 1
	Record  *ceremony.Record  `cbor:"2,keyasint,omitempty"`
	Closing *ceremony.Closing `cbor:"3,keyasint,omitempty"`
}

// DecodeToSign reads a file to sign, and checks it: the transcript so far, and that the record follows it.
func DecodeToSign(b []byte) (ToSign, ceremony.Transcript, error) {
	var f ToSign
	if err := canon.Decode(b, &f); err != nil {
		return f, ceremony.Transcript{}, fmt.Errorf("not a file to sign: %w", err)
	}
	t, err := ceremony.Decode(f.Transcript)
	if err != nil {
		return f, t, err
	}
	p, ok := t.Script.Participant(f.Name)
	switch {
	case f.V != 1 || !ok:
		return f, t, errors.New("not a file to sign, or for nobody of the script")
	case f.Record != nil && (f.Record.Actor != p.Name || f.Record.Prev != t.Head() || f.Record.Seq != uint64(len(t.Records))):
		return f, t, errors.New("the record does not follow the transcript that is with it")
	}
	if next, more := t.Next(); f.Record == nil && more {
		return f, t, fmt.Errorf("the transcript ends before step %s", next.ID())
	}
	return f, t, nil
}

// Sign signs a file with a key.
func Sign(f ToSign, t ceremony.Transcript, k *keyfile.Key) (Signed, error) {
	p, _ := t.Script.Participant(f.Name)
	if p.Key.Ref() != k.Public().Ref() {
		return Signed{}, fmt.Errorf("the key is not the one that the script has for %s", p.Name)
	}
	if f.Record == nil {
		sig, err := k.Sign(t.Message(p.Name))
		return Signed{V: 1, Closing: &ceremony.Closing{Name: p.Name, Sig: sig}}, err
	}
	rec := *f.Record
	var err error
	rec.Sig, err = k.Sign(rec.Message())
	return Signed{V: 1, Record: &rec}, err
}

// SignReceipt signs a file that asks for a custodian's receipt, when they have opened and checked their share.
func SignReceipt(f ToSign, t ceremony.Transcript, k *keyfile.Key, opened func(want [32]byte) (ceremony.Receipt, error)) (Signed, error) {
	if f.Record == nil || f.Record.Kind != ceremony.StepReceipt {
		return Signed{}, errors.New("this file asks for another signature than a receipt: 'strongroom ceremony sign'")
	}
	r, err := receiptOf(t, f.Name, k, opened)
	if err != nil {
		return Signed{}, err
	}
	rec := *f.Record
	rec.Body = canon.Encode(r)
	f.Record = &rec
	return Sign(f, t, k)
}

// receiptOf gives a signed receipt; opened gives it unsigned, for a share made at the record with a hash.
func receiptOf(t ceremony.Transcript, name string, k *keyfile.Key, opened func([32]byte) (ceremony.Receipt, error)) (ceremony.Receipt, error) {
	m, ok := t.Made()
	if !ok {
		return ceremony.Receipt{}, errors.New("no shares were made yet")
	}
	want, err := t.Receipt(m, name)
	if err != nil {
		return ceremony.Receipt{}, err
	}
	got, err := opened(want.Transcript)
	if err != nil {
		return got, err
	}
	if got.Share != want {
		return got, fmt.Errorf("the share of %s is not the one that the transcript names", name)
	}
	got.Sig, err = k.Sign(got.Share.Message())
	return got, err
}

// receipt has a custodian check their share and sign for it.
func (r *run) receipt(ctx context.Context, s ceremony.Step) error {
	p, _ := r.Script.Participant(s.Actor)
	m, _ := r.t.Made()
	want, err := r.t.Receipt(m, s.Actor)
	if err != nil {
		return err
	}
	o, err := r.openedShare(ctx, s.Actor)
	if err != nil {
		return err
	}
	if o == nil {
		rec := r.t.Draft(s, r.Now(), ceremony.Receipt{Share: want})
		if rec, err = r.elsewhere(ctx, p, rec, "strongroom custodian receipt SHARE --identity-file IDENTITY --record FILE --key KEY"); err != nil {
			return err
		}
		return r.add(rec)
	}
	defer o.Wipe()
	k, err := r.Hands.Signer(ctx, p)
	if err != nil {
		return err
	}
	if k == nil {
		return fmt.Errorf("the share of %s was opened here, so the receipt is signed here too", s.Actor)
	}
	b, err := receiptOf(r.t, s.Actor, k, func(head [32]byte) (ceremony.Receipt, error) { return ceremony.Receipt{Share: o.Receipt(head)}, nil })
	if err != nil {
		return err
	}
	return r.record(ctx, s, b)
}

func (r *run) add(rec ceremony.Record) error {
	if err := r.t.Add(rec); err != nil {
		return err
	}
	return r.save()
}

// signed gives a record with its actor's signature.
func (r *run) signed(ctx context.Context, p ceremony.Participant, rec ceremony.Record) (ceremony.Record, error) {
	k, err := r.Hands.Signer(ctx, p)
	if err != nil {
		return rec, err
	}
	if k == nil {
		return r.elsewhere(ctx, p, rec, "strongroom ceremony sign FILE --key KEY")
	}
	s, err := Sign(ToSign{V: 1, Record: &rec, Name: p.Name}, r.t, k)
	if err != nil {
		return rec, err
	}
	return *s.Record, nil
}

// elsewhere has somebody sign a record on a machine of their own.
func (r *run) elsewhere(ctx context.Context, p ceremony.Participant, rec ceremony.Record, command string) (ceremony.Record, error) {
	s, err := r.exchange(ctx, p, &rec, command)
	if err != nil {
		return rec, err
	}
	if s.Record == nil {
		return rec, fmt.Errorf("%s brought another file", p.Name)
	}
	got := *s.Record
	got.Sig = nil
	if rec.Kind == ceremony.StepReceipt { // its own signature stands in the body
		var b ceremony.Receipt
		if err := canon.Decode(got.Body, &b); err != nil {
			return rec, err
		}
		b.Sig = nil
		got.Body = canon.Encode(b)
	}
	if !bytes.Equal(canon.Encode(got), canon.Encode(rec)) {
		return rec, fmt.Errorf("%s signed another record than this one", p.Name)
	}
	return *s.Record, nil
}

// exchange writes what somebody is to sign, and reads what they bring.
func (r *run) exchange(ctx context.Context, p ceremony.Participant, rec *ceremony.Record, command string) (Signed, error) {
	name := fmt.Sprintf("close-%s", p.Name)
	if rec != nil {
		name = fmt.Sprintf("%02d-%s-%s", rec.Seq, rec.Kind, p.Name)
	}
	head := r.t.Head()
	name = fmt.Sprintf("%s-%x.cbor", name, head[:4])
	if err := r.write(filepath.Join(ToSignDir, name), canon.Encode(ToSign{V: 1, Transcript: r.t.Encode(), Record: rec, Name: p.Name})); err != nil {
		return Signed{}, err
	}
	path := r.path(filepath.Join(SignedDir, name))
	r.Say("%s takes %s", p.Name, r.path(filepath.Join(ToSignDir, name)))
	if err := r.Hands.Await(ctx, p.Name, command, path); err != nil {
		return Signed{}, err
	}
	b, err := readSome(path)
	if err != nil {
		return Signed{}, err
	}
	var s Signed
	if err := canon.Decode(b, &s); err != nil || s.V != 1 {
		return s, fmt.Errorf("%s is no signed file: %w", path, err)
	}
	return s, nil
}

// closing gives somebody's signature over the whole.
func (r *run) closing(ctx context.Context, p ceremony.Participant) (ceremony.Closing, error) {
	k, err := r.Hands.Signer(ctx, p)
	if err != nil {
		return ceremony.Closing{}, err
	}
	var s Signed
	if k == nil {
		s, err = r.exchange(ctx, p, nil, "strongroom ceremony sign FILE --key KEY")
	} else {
		s, err = Sign(ToSign{V: 1, Name: p.Name}, r.t, k)
	}
	if err != nil {
		return ceremony.Closing{}, err
	}
	if s.Closing == nil || s.Closing.Name != p.Name {
		return ceremony.Closing{}, fmt.Errorf("%s brought another file", p.Name)
	}
	return *s.Closing, nil
}

// Receipts gives the custodians' receipts of a transcript as the log takes them.
func Receipts(t ceremony.Transcript) []request.ShareReceipt {
	var out []request.ShareReceipt
	for _, rec := range t.Records {
		var b ceremony.Receipt
		if rec.Kind == ceremony.StepReceipt && canon.Decode(rec.Body, &b) == nil {
			out = append(out, request.ShareReceipt{Receipt: b.Share.Encode(), Sig: b.Sig})
		}
	}
	return out
}

// readSome reads a small file.
func readSome(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, ceremony.MaxTranscript+1))
}
