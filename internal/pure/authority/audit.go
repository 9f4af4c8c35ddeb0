// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"

	"strongroom/internal/pure/btc"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// History gives an earlier entry's first body, for decisions that look back.
type History func(seq uint64) (any, error)

// Audit decides again what an entry records, with the engine that it names, in the state before it, and says where the two
// differ. It checks every signature of people; a session's MAC is the core's word, because its key is shared with nobody else.
func (s *State) Audit(l entry.Leaf, body any, derive Deriver, history History) error {
	if l.Engine != entry.Engine1 {
		return fmt.Errorf("entry %d: engine %q is not known to this auditor", l.Seq, l.Engine)
	}
	at := Moment{l.Time, l.Bound}
	var err error
	switch b := body.(type) {
	case *entry.Genesis:
		err = AuditGenesis(b)
	case *entry.Request:
		err = s.auditRequest(b, at, derive)
	case *entry.Approval:
		p, ok := s.pending[b.Approval.Request]
		if !ok {
			return fmt.Errorf("entry %d: approves a request that does not wait", l.Seq)
		}
		err = s.CheckApproval(p, b.Approval, at)
	case *entry.Permit:
		err = s.auditPermit(b, at, derive, history)
	case *entry.Result:
		err = s.auditResult(b, derive, history)
	case *entry.Refusal:
		err = s.auditRefusal(b, at, derive)
	case *entry.Effect:
		err = s.auditEffect(b, at, derive)
	case *entry.Session:
		err = s.auditSession(b, at)
	case *entry.Offline:
		err = s.auditOffline(b)
	case *entry.Reanchor:
		err = s.auditReanchor(b, history)
	case *entry.Quotes:
		err = s.auditQuotes(b)
	case *entry.Verdicts:
		err = s.auditVerdicts(b)
	case *entry.Snapshot, *entry.Writer, *entry.Reencipher, *entry.Erased, *entry.Tamper, *entry.Gap, *entry.Uses: // nothing is decided
	default:
		err = fmt.Errorf("body of type %T is not known", body)
	}
	if err != nil {
		return fmt.Errorf("entry %d: %s: %w", l.Seq, l.Kind, err)
	}
	return nil
}

// AuditGenesis checks the signatures of the first persons.
func AuditGenesis(g *entry.Genesis) error {
	s := New()
	if err := s.applyGenesis(g, [32]byte{}); err != nil {
		return err
	}
	for _, sig := range g.Signatures {
		who, key, ok := s.Rules.Key(sig.Key)
		if !ok || who.ID != sig.Person || !key.Verify(GenesisMessage(*g), sig.Sig) {
			return fmt.Errorf("the signature of %s does not verify", sig.Person)
		}
	}
	return nil
}

// same compares a recorded body with the one decided again.
func same(recorded, again any) error {
	if !bytes.Equal(canon.Encode(recorded), canon.Encode(again)) {
		return errors.New("deciding again gives another result than the entry records")
	}
	return nil
}

// CheckSignedEvidence checks the initiator's signature over a request under the people and keys of some rules.
func CheckSignedEvidence(rules *policy.Rules, r *request.Parsed, e request.Evidence) error {
	who, key, ok := rules.Key(e.Key)
	if !ok || who.ID != r.Initiator || !who.Active {
		return problem.New(problem.Unauthenticated, "key %s is not an active key of %s", e.Key, r.Initiator)
	}
	if err := mayAsk(key, r.Operation); err != nil {
		return err
	}
	if e.HTTP != nil {
		return checkCall(key, r, e)
	}
	if !key.Verify(r.Message(), e.Sig) {
		return problem.New(problem.Unauthenticated, "the initiator's signature does not verify over this request")
	}
	return nil
}

// mayAsk says whether a key is good for asking for something. A passkey is good for a further key of one's own, and for nothing else: a browser shows what
// its site wants to be seen, so that a site that lies gets one signature under anything each time a person confirms. That may be worth an
// approval of what somebody else asks for, never a request.
func mayAsk(k request.PublicKey, op request.Operation) error {
	if k.Passkey() && op != request.PersonKeyAdd {
		return problem.New(problem.Forbidden, "a passkey approves, and does not ask for a %s; ask with a key file", op)
	}
	return nil
}

func (s *State) auditRequest(b *entry.Request, at Moment, derive Deriver) error {
	r, err := b.Parse()
	if err != nil {
		return err
	}
	if err := b.Evidence.Check(); err != nil {
		return err
	}
	if b.Evidence.Key == "" {
		if x, ok := s.sessions[[16]byte(b.Evidence.Session)]; !ok || Expired(x.NotAfter, at.Time, at.Bound) {
			return errors.New("the session was not open, or past its time")
		}
	} else {
		if err := CheckSignedEvidence(s.Rules, r, b.Evidence); err != nil {
			return err
		}
		if err := Fresh(b.Evidence, at); err != nil {
			return err
		}
	}
	again, err := s.DecideRequestWith(r, b.Facts.Evidence, b.Facts.Simulation, at, derive)
	if err != nil {
		return err
	}
	again.Evidence = b.Evidence
	return same(b, again)
}

func (s *State) auditPermit(b *entry.Permit, at Moment, derive Deriver, history History) error {
	asked, err := s.asked(b.Request, history)
	if err != nil {
		return err
	}
	again, err := s.DecidePermit(b.Request, asked, b.Payload, at, derive)
	if err != nil {
		return err
	}
	return same(b, again)
}

// asked gives a request from the state, or where it has a permit from the log.
func (s *State) asked(id custody.RequestID, history History) (Asked, error) {
	if p, ok := s.pending[id]; ok {
		return p.Asked()
	}
	g, ok := s.signed[id]
	if !ok {
		return Asked{}, fmt.Errorf("request %s is not open", id)
	}
	body, err := history(g.Seq)
	if err != nil {
		return Asked{}, err
	}
	e, ok := body.(*entry.Request)
	if !ok {
		return Asked{}, fmt.Errorf("entry %d is not a request", g.Seq)
	}
	return AskedOf(e)
}

// AskedOf gives a request as its entry records it.
func AskedOf(e *entry.Request) (Asked, error) {
	r, err := e.Parse()
	return Asked{Request: r, Effects: e.Effects, Bounds: e.Bounds, Kind: e.Facts.Evidence, Simulation: e.Facts.Simulation}, err
}

func (s *State) auditResult(b *entry.Result, derive Deriver, history History) error {
	body, err := history(b.Permit)
	if err != nil {
		return err
	}
	p, ok := body.(*entry.Permit)
	if !ok {
		return fmt.Errorf("entry %d is not a permit", b.Permit)
	}
	w, _, ok := s.Wallet(p.Wallet)
	if !ok {
		return fmt.Errorf("wallet %s does not exist", p.Wallet)
	}
	return CheckResult(w, p, b, derive)
}

// CheckResult says whether a result's signatures are of the permit's payload by the wallet's keys.
func CheckResult(w entry.Wallet, p *entry.Permit, b *entry.Result, derive Deriver) error {
	signed, txid, err := Assemble(w, p, b.Signatures, derive)
	if err != nil {
		return err
	}
	if sha256.Sum256(signed) != b.Signed || txid != b.TxID {
		return errors.New("the signed transaction is another than the result names")
	}
	if eth.IsMessage(p.Payload) {
		return checkMessage(w, p, b, derive)
	}
	if w.Scheme == request.SchemeEVM {
		stx, err := eth.DecodeSigned(signed)
		if err != nil {
			return err
		}
		d, err := derive(w, p.Keys[0])
		if err != nil {
			return err
		}
		if from, err := stx.Sender(); err != nil || from.String() != d.Address {
			return fmt.Errorf("the signature is by %s, not by %s: %v", from, d.Address, err)
		}
		return nil
	}
	psbt, err := btc.DecodePSBT(p.Payload)
	if err != nil {
		return err
	}
	tx, witnesses, err := btc.DecodeSigned(signed)
	if err != nil {
		return err
	}
	return btc.VerifyWitnesses(tx, psbt.Prevouts(), witnesses)
}

// Assemble builds the signed transaction of a permit from its signatures: Ethereum has one of 65 bytes (r, s, y parity),
// Bitcoin one an input, DER with its hash type for P2WPKH, 64 bytes for P2TR. It does not verify them; [CheckResult] does,
// and the signer has.
func Assemble(w entry.Wallet, p *entry.Permit, sigs [][]byte, derive Deriver) (signed []byte, txid string, err error) {
	if len(sigs) == 0 || len(sigs) != len(p.Keys) {
		return nil, "", fmt.Errorf("%d signatures for %d keys", len(sigs), len(p.Keys))
	}
	if w.Scheme == request.SchemeEVM {
		if len(sigs) != 1 || len(sigs[0]) != 65 {
			return nil, "", fmt.Errorf("want one signature of 65 bytes, not %d of %d", len(sigs), len(sigs[0]))
		}
		if eth.IsMessage(p.Payload) {
			return assembleMessage(p, sigs[0])
		}
		tx, err := eth.DecodeUnsigned(p.Payload)
		if err != nil {
			return nil, "", err
		}
		b, err := tx.EncodeSigned([32]byte(sigs[0][:32]), [32]byte(sigs[0][32:64]), sigs[0][64])
		if err != nil {
			return nil, "", err
		}
		return b, fmt.Sprintf("0x%x", eth.Keccak256(b)), nil
	}
	psbt, err := btc.DecodePSBT(p.Payload)
	if err != nil {
		return nil, "", err
	}
	witnesses := make([][][]byte, len(sigs))
	for i, sig := range sigs {
		witnesses[i] = [][]byte{sig}
		if w.Scheme == request.SchemeP2WPKH {
			d, err := derive(w, p.Keys[i])
			if err != nil {
				return nil, "", err
			}
			pub := d.Public.Compressed()
			witnesses[i] = append(witnesses[i], pub[:])
		}
	}
	signed, err = btc.EncodeSigned(psbt.Tx, witnesses)
	return signed, psbt.Tx.TxID().String(), err
}

// auditRefusal says whether a request that ended by refusal was refused by the rules at that time; a refusal that leaves it
// open has no effect to check.
func (s *State) auditRefusal(b *entry.Refusal, at Moment, derive Deriver) error {
	p, ok := s.pending[b.Request]
	if !ok || !b.Final {
		return nil
	}
	err := s.Ready(p, at, derive)
	var q *problem.Error
	if !errors.As(err, &q) || q.Kind != b.Kind || q.Rule != b.Rule {
		return fmt.Errorf("records a refusal by rule %q (%s); deciding again gives %v", b.Rule, b.Kind, err)
	}
	return nil
}

func (s *State) auditEffect(b *entry.Effect, at Moment, derive Deriver) error {
	p, ok := s.pending[b.Request]
	if !ok {
		return fmt.Errorf("request %s does not wait", b.Request)
	}
	again, _, err := s.DecideEffect(p, at, derive)
	if err != nil {
		return err
	}
	if b.Wallet != nil && b.Addresses != nil && b.Addresses.Count == 1 {
		// The core made the wallet and its key; what follows from them is checked.
		again.Wallet, again.Key, again.Addresses = b.Wallet, b.Key, b.Addresses
		root, err := BatchRoot(*b.Wallet, *b.Addresses, Derive)
		if err != nil {
			return err
		}
		if root != b.Addresses.Root {
			return errors.New("the first address is not the wallet's")
		}
	}
	if b.Life != nil && again.Life != nil && p.Effects.Operation == request.EpochLoad {
		again.Life.Pattern, again.Life.Sealed, again.Life.Identity = b.Life.Pattern, b.Life.Sealed, b.Life.Identity // the core made them
	}
	if b.Move != nil && again.Move != nil { // the core made these
		again.Key, again.Move.Copy, again.Move.Public = b.Key, b.Move.Copy, b.Move.Public
		if b.Key != nil {
			again.Move.Import = b.Move.Import
		}
	}
	return same(b, again)
}

func (s *State) auditSession(b *entry.Session, at Moment) error {
	var o request.SessionOpening
	if err := canon.Decode(b.Opening, &o); err != nil {
		return err
	}
	return s.CheckSession(o, b, at)
}
