// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"testing"

	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/btc"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/request"
	"strongroom/verify"
)

// scanned is an entry of the log.
type scanned struct {
	leaf entry.Leaf
	hash [32]byte
	body any
}

// scan reads the whole log in clear.
func scan(t testing.TB, h *domaintest.Harness) []scanned {
	t.Helper()
	var out []scanned
	for {
		f, err := h.D.Feed(context.Background(), message.Feed{From: uint64(len(out)), Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		if len(f.Entries) == 0 {
			return out
		}
		for _, e := range f.Entries {
			l, err := entry.DecodeLeaf(e.Leaf)
			if err != nil {
				t.Fatal(err)
			}
			b, err := authority.DecodeBody(l.Kind, l.KindVersion, e.Bodies[0].Body)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, scanned{leaf: l, hash: entry.Hash(e.Leaf), body: b})
		}
	}
}

// holds proves everything again: the re-check, that nothing acknowledged is lost, that no slot has two payloads, and every proof.
func (s *story) holds() {
	t := s.h.T
	t.Helper()
	s.h.Check()
	all := scan(t, s.h)
	permits := oneSlotOnePayload(t, all)
	s.acknowledged(t, all)
	for seq, signed := range s.released {
		p, ok := permits[seq]
		if !ok {
			t.Errorf("signed bytes were released for entry %d, which is no permit", seq)
			continue
		}
		if got := unsigned(t, signed); !bytes.Equal(got, unsignedOf(t, p.Payload)) {
			t.Errorf("permit %d: the released bytes are not its payload's", seq)
		}
	}
	for name, r := range s.asked {
		file, err := s.h.D.Proof(context.Background(), r.ID())
		if err != nil {
			t.Errorf("proof of %s: %v", name, err)
			continue
		}
		rep, err := verify.Proof(file, s.h.Genesis.LogKey)
		if err != nil {
			t.Errorf("proof of %s: %v", name, err)
			continue
		}
		if r.Operation.Signs() && (len(rep.Attempts) == 0 || rep.Attempts[len(rep.Attempts)-1].TxID == "") || !r.Operation.Signs() && !rep.Executed {
			t.Errorf("proof of %s shows no end: %+v", name, rep)
		}
	}
}

// acknowledged requires that what was acknowledged is in the log, where it was said to be.
func (s *story) acknowledged(t testing.TB, all []scanned) {
	t.Helper()
	at := func(what string, seq uint64) scanned {
		if seq >= uint64(len(all)) {
			t.Errorf("%s was acknowledged in entry %d; the log has %d", what, seq, len(all))
			return scanned{}
		}
		return all[seq]
	}
	for _, r := range s.receipts {
		// That of a request under a session's MAC has one too; TestEverySubmissionHasItsReceipt checks those.
		if len(r.Sig) == ed25519.SignatureSize && !ed25519.Verify(s.h.Genesis.Identity, r.Message(), r.Sig) {
			t.Errorf("the receipt for entry %d does not verify", r.Seq)
		}
		if e := at("receipt", r.Seq); e.hash != r.Leaf {
			t.Errorf("entry %d is not the one of the receipt", r.Seq)
		}
	}
	for seq, id := range s.entries {
		e, ok := at("request", seq).body.(*entry.Request)
		if !ok || mustRequest(t, e.Request).ID() != id {
			t.Errorf("entry %d is not request %s", seq, id)
		}
	}
	for seq, v := range s.votes {
		if e, ok := at("approval", seq).body.(*entry.Approval); !ok || e.Approval.Person != v.Person || e.Approval.Key != v.Key {
			t.Errorf("entry %d is not the approval of %s", seq, v.Person)
		}
	}
	for seq, id := range s.grants {
		if e, ok := at("session", seq).body.(*entry.Session); !ok || !bytes.Equal(e.Session, id) {
			t.Errorf("entry %d is not session %x", seq, id)
		}
	}
}

func mustRequest(t testing.TB, b []byte) request.Request {
	t.Helper()
	r, err := request.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// oneSlotOnePayload scans every permit: a slot belongs to one request; its attempts are numbered, pay the same and ever more fee;
// each permit has one result at most. It gives the permits.
func oneSlotOnePayload(t testing.TB, all []scanned) map[uint64]*entry.Permit {
	t.Helper()
	permits := map[uint64]*entry.Permit{}
	owner := map[string]custody.RequestID{} // of a nonce, or of an output that is spent
	last := map[custody.RequestID]*entry.Permit{}
	results := map[uint64]bool{}
	for i, e := range all {
		switch b := e.body.(type) {
		case *entry.Permit:
			permits[uint64(i)] = b
			for _, slot := range slotsOf(b) {
				if by, ok := owner[slot]; ok && by != b.Request {
					t.Errorf("entry %d: slot %s of request %s is request %s's", i, slot, b.Request, by)
				}
				owner[slot] = b.Request
			}
			was, again := last[b.Request]
			switch {
			case !again && b.Attempt != 1:
				t.Errorf("entry %d: the first permit is attempt %d", i, b.Attempt)
			case again && (b.Attempt != was.Attempt+1 || !bytes.Equal(canon.Encode(b.Slot), canon.Encode(was.Slot)) || b.Fee.Cmp(was.Fee) <= 0):
				t.Errorf("entry %d: attempt %d does not follow attempt %d in its slot with more fee", i, b.Attempt, was.Attempt)
			case again && !bytes.Equal(paysOf(t, b), paysOf(t, was)):
				t.Errorf("entry %d: attempt %d pays something else", i, b.Attempt)
			}
			last[b.Request] = b
		case *entry.Result:
			if _, ok := permits[b.Permit]; !ok || results[b.Permit] {
				t.Errorf("entry %d: a second result, or of no permit", i)
			}
			results[b.Permit] = true
		}
	}
	return permits
}

func slotsOf(p *entry.Permit) (out []string) {
	if eth.IsMessage(p.Payload) { // takes none; another message under the same request shows as another payload
		return nil
	}
	if p.Slot.Account != "" {
		return []string{fmt.Sprintf("%s %d", p.Slot.Account, p.Slot.Nonce)}
	}
	for _, in := range p.Slot.Inputs {
		out = append(out, fmt.Sprintf("%x:%d", in.TxID, in.Index))
	}
	return out
}

// paysOf gives what a payload does beside fee and change.
func paysOf(t testing.TB, p *entry.Permit) []byte {
	t.Helper()
	if eth.IsMessage(p.Payload) {
		return p.Payload
	}
	if p.Slot.Account != "" {
		tx, err := eth.DecodeUnsigned(p.Payload)
		if err != nil {
			t.Fatal(err)
		}
		tx.MaxFeePerGas, tx.MaxPriorityFeePerGas, tx.GasLimit = eth.Uint256{}, eth.Uint256{}, 21000
		return fmt.Appendf(nil, "%+v", tx)
	}
	x, err := btc.DecodePSBT(p.Payload)
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	for i, o := range x.Tx.Outputs {
		if _, change := x.Outputs[i].Origin(); !change {
			out = fmt.Appendf(out, "%d to %s,", o.Value, o.Script)
		}
	}
	return out
}

// unsigned gives the unsigned form of released bytes, and unsignedOf that of a payload, so that the two can be compared.
func unsigned(t testing.TB, signed []byte) []byte {
	t.Helper()
	if len(signed) == 65 {
		return []byte("message")
	}
	if tx, err := eth.DecodeSigned(signed); err == nil {
		b, err := tx.Tx.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	tx, _, err := btc.DecodeSigned(signed)
	if err != nil {
		t.Fatal(err)
	}
	return tx.Encode()
}

func unsignedOf(t testing.TB, payload []byte) []byte {
	t.Helper()
	if eth.IsMessage(payload) {
		return []byte("message")
	}
	if _, err := eth.DecodeUnsigned(payload); err == nil {
		return payload
	}
	x, err := btc.DecodePSBT(payload)
	if err != nil {
		t.Fatal(err)
	}
	return x.Tx.Encode()
}
