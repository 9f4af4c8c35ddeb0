// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"testing"

	wire "strongroom/api/gen/grep11"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/ep11"
)

// TestAlteredBlobsAndStates: every kind of damage is one refusal; states of others, of another function, and out of order are refused; nothing tells more.
func TestAlteredBlobsAndStates(t *testing.T) {
	t.Parallel()
	a := startApps(t)
	s, b := a.client("one", nil), a.client("two", nil)
	k := s.ec(ep11.OIDP256)
	m := mech(ep11.CKM_ECDSA_SHA256)
	s.alteredBlobs(m, k.GetPrivKeyBytes())
	s.alteredPublicKey(m, k)
	s.alteredStates(b, m, k)
	s.statesAgain(m, k)
	a.core.check()
}

// pattern gives where the number of its working key stands in a blob.
func (s *suite) pattern(blob []byte) (from, to int) {
	s.t.Helper()
	r, err := s.GetAttributeValue(s.ctx(), &wire.GetAttributeValueRequest{Object: blob, Attributes: attrs(ep11.CKA_IBM_GREP11_WKID, nil)})
	s.must("attributes", err)
	p := r.GetAttributes()[ep11.CKA_IBM_GREP11_WKID].GetAttributeB()
	if from = bytes.Index(blob, p); len(p) != 16 || from < 0 {
		s.t.Fatalf("the blob does not name its working key %x", p)
	}
	return from, from + len(p)
}

// keyID gives the id of a key, which stands in its blob behind the number of the working key.
func (s *suite) keyID(blob []byte) custody.KeyID {
	s.t.Helper()
	_, at := s.pattern(blob)
	if len(blob) < at+18 || blob[at] != 5 || blob[at+1] != 0x40+16 {
		s.t.Fatal("the blob does not name its key")
	}
	return custody.KeyID(hex.EncodeToString(blob[at+2 : at+18]))
}

// alteredBlobs: any bit that changes is CKR_IBM_BLOB_ERROR, but for the number of the working key, with which a blob is another domain's.
func (s *suite) alteredBlobs(m *wire.Mechanism, good []byte) {
	s.t.Helper()
	sign := func(key []byte) error {
		_, err := s.SignSingle(s.ctx(), &wire.SignSingleRequest{Mech: m, Data: iv(3), PrivKey: blob(key)})
		return err
	}
	from, to := s.pattern(good)
	for at := range good {
		if at%3 != 0 && (at < from || at >= to) {
			continue
		}
		bad, want := bytes.Clone(good), ep11.CKR_IBM_BLOB_ERROR
		bad[at] ^= 0x40
		if at >= from && at < to {
			want = ep11.CKR_IBM_WKID_MISMATCH
		}
		s.wants(want, fmt.Sprintf("byte %d of a blob", at), sign(bad))
	}
	for what, bad := range map[string][]byte{"one byte": good[:1], "forty": good[:40], "cut": good[:len(good)-1], "longer": append(bytes.Clone(good), 0), "twice": append(bytes.Clone(good), good...),
		"without its session": good[32:], "halves exchanged": append(bytes.Clone(good[len(good)/2:]), good[:len(good)/2]...), "too long": bytes.Repeat([]byte{1}, ep11.MaxBlob+1), "zeros": make([]byte, len(good))} {
		s.wants(ep11.CKR_IBM_BLOB_ERROR, what, sign(bad))
	}
	s.wants(ep11.CKR_KEY_HANDLE_INVALID, "no key", sign(nil))
}

// alteredPublicKey: a public key that the domain has authenticated is another one, or none, when a bit changes.
func (s *suite) alteredPublicKey(m *wire.Mechanism, k *wire.GenerateKeyPairResponse) {
	s.t.Helper()
	r, err := s.SignSingle(s.ctx(), &wire.SignSingleRequest{Mech: m, Data: iv(3), PrivKey: k.GetPrivKey()})
	s.must("sign", err)
	good := k.GetPubKeyBytes()
	_, rest, err := ep11.ReadSPKI(good)
	s.must("read", err)
	verify := func(key []byte) error {
		_, err := s.VerifySingle(s.ctx(), &wire.VerifySingleRequest{Mech: m, Data: iv(3), Signature: r.GetSignature(), PubKey: blob(key)})
		return err
	}
	from, to := len(good)-len(rest)+2, len(good)-len(rest)+2+16 // the pattern, after its tag and length
	for at := len(good) - len(rest); at < len(good); at += 5 {
		bad, want := bytes.Clone(good), ep11.CKR_IBM_BLOB_ERROR
		bad[at] ^= 1
		if at >= from && at < to {
			want = ep11.CKR_IBM_WKID_MISMATCH
		}
		s.wants(want, fmt.Sprintf("byte %d of a public key, of which %d are its own", at, len(good)-len(rest)), verify(bad))
	}
	for _, n := range []int{1, 5, 100} {
		s.wants(ep11.CKR_IBM_BLOB_ERROR, fmt.Sprintf("a public key that lacks %d bytes", n), verify(good[:len(good)-n]))
	}
}

// alteredStates: whatever is wrong with a state is CKR_SAVED_STATE_INVALID; a good one of another operation, and none, are CKR_OPERATION_NOT_INITIALIZED.
func (s *suite) alteredStates(b *suite, m *wire.Mechanism, k *wire.GenerateKeyPairResponse) {
	s.t.Helper()
	init, err := s.SignInit(s.ctx(), &wire.SignInitRequest{Mech: m, PrivKey: k.GetPrivKey()})
	s.must("init", err)
	state := init.GetState()
	for at := range state {
		if at%3 != 0 {
			continue
		}
		bad := bytes.Clone(state)
		bad[at] ^= 0x40
		_, err := s.signUpdate(bad)
		s.wants(ep11.CKR_SAVED_STATE_INVALID, fmt.Sprintf("byte %d of a state", at), err)
	}
	for what, bad := range map[string][]byte{"cut": state[:len(state)-1], "cut in front": state[1:], "half": state[:len(state)/2], "twice": append(bytes.Clone(state), state...), "one byte": {1}, "longer": append(bytes.Clone(state), 0),
		"halves exchanged": append(bytes.Clone(state[len(state)/2:]), state[:len(state)/2]...), "a key": k.GetPrivKeyBytes(), "a key without its session": k.GetPrivKeyBytes()[32:]} {
		_, err := s.signUpdate(bad)
		s.wants(ep11.CKR_SAVED_STATE_INVALID, what, err)
	}
	_, err = s.signUpdate(nil)
	s.wants(ep11.CKR_OPERATION_NOT_INITIALIZED, "no state", err)
	_, err = b.signUpdate(state)
	b.wants(ep11.CKR_SAVED_STATE_INVALID, "another caller's state", err)
	for what, f := range map[string]func() error{
		"DigestUpdate": func() error {
			_, err := s.DigestUpdate(s.ctx(), &wire.DigestUpdateRequest{State: state, Data: iv(3)})
			return err
		},
		"DigestFinal": func() error { _, err := s.DigestFinal(s.ctx(), &wire.DigestFinalRequest{State: state}); return err },
		"VerifyFinal": func() error {
			_, err := s.VerifyFinal(s.ctx(), &wire.VerifyFinalRequest{State: state, Signature: iv(64)})
			return err
		},
		"EncryptUpdate": func() error {
			_, err := s.EncryptUpdate(s.ctx(), &wire.EncryptUpdateRequest{State: state, Plain: iv(3)})
			return err
		},
		"DecryptFinal": func() error { _, err := s.DecryptFinal(s.ctx(), &wire.DecryptFinalRequest{State: state}); return err },
	} {
		s.wants(ep11.CKR_OPERATION_NOT_INITIALIZED, what+" with a state of SignInit", f())
	}
}

// signUpdate signs three bytes more.
func (s *suite) signUpdate(state []byte) ([]byte, error) {
	r, err := s.SignUpdate(s.ctx(), &wire.SignUpdateRequest{State: state, Data: iv(3)})
	return r.GetState(), err
}

// statesAgain: a state may be used again inside its time, in another order too, and the ways from it stay apart; an operation that has begun in parts is not
// ended in one.
func (s *suite) statesAgain(m *wire.Mechanism, k *wire.GenerateKeyPairResponse) {
	s.t.Helper()
	init, err := s.SignInit(s.ctx(), &wire.SignInitRequest{Mech: m, PrivKey: k.GetPrivKey()})
	s.must("init", err)
	one, err := s.signUpdate(init.GetState())
	s.must("update", err)
	two, err := s.signUpdate(one)
	s.must("update", err)
	for _, x := range []struct {
		state []byte
		data  []byte
	}{{two, iv(6)}, {one, iv(3)}, {two, iv(6)}, {init.GetState(), nil}, {one, iv(3)}} {
		r, err := s.SignFinal(s.ctx(), &wire.SignFinalRequest{State: x.state})
		s.must("final", err)
		_, err = s.VerifySingle(s.ctx(), &wire.VerifySingleRequest{Mech: m, Data: x.data, Signature: r.GetSignature(), PubKey: k.GetPubKey()})
		s.must("verify", err)
	}
	_, err = s.Sign(s.ctx(), &wire.SignRequest{State: one, Data: iv(3)})
	s.wants(ep11.CKR_OPERATION_ACTIVE, "one part after another", err)
}
