// SPDX-License-Identifier: Apache-2.0

package request_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/request"
)

const (
	evm     custody.ChainID  = "eip155:1"
	alice   custody.PersonID = "p_abcdefghijklmnop"
	bob     custody.PersonID = "p_qrstuvwxyz234567"
	address                  = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
	bank                     = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
)

func key() request.PublicKey {
	h := sha256.Sum256([]byte("frozen"))
	return request.PublicKey{Alg: request.Ed25519, Pub: ed25519.NewKeyFromSeed(h[:]).Public().(ed25519.PublicKey)}
}

// passkeyOf is a key as it is used in a browser.
func passkeyOf(k request.PublicKey) request.PublicKey {
	return request.PublicKey{Alg: request.PasskeyEd25519, Pub: k.Pub, RP: "custody.example.org", Origin: "https://custody.example.org"}
}

// bodies has one body of each operation.
func bodies() map[request.Operation]any {
	return map[request.Operation]any{
		request.Transfer: request.TransferBody{Wallet: "hot", Asset: custody.AssetID(evm) + "/erc20:" + address, Source: 3,
			Outputs: []request.Output{{Address: address, Amount: custody.U64(1_000_000)}}, FeeCap: custody.U64(21_000_000_000_000)},
		request.WalletCreate:    request.WalletCreateBody{Wallet: "cold", Chain: custody.BitcoinMainnet, Scheme: request.SchemeP2TR, Seed: "000102030405060708090a0b0c0d0e0f", Account: 7},
		request.AddressCreate:   request.AddressCreateBody{Wallet: "hot", Count: 100},
		request.PolicyChange:    request.PolicyChangeBody{Document: []byte{0xa0}},
		request.PersonEnrol:     request.PersonEnrolBody{Person: bob, Kind: "human", Key: key(), Groups: []custody.GroupID{"a", "b"}, Possession: bytes.Repeat([]byte{9}, 64)},
		request.PersonRevoke:    request.PersonRevokeBody{Person: bob},
		request.GroupSet:        request.GroupSetBody{Group: "officers", Members: []custody.PersonID{alice, bob}},
		request.WhitelistAdd:    request.WhitelistAddBody{ID: "bank", Chain: custody.BitcoinMainnet, Address: bank},
		request.WhitelistRemove: request.WhitelistRemoveBody{ID: "bank"},
		request.PointsSet:       request.PointsSetBody{Counter: 7, Allow: points.Make(points.AppKeys, points.MoveIn), Deny: points.Make(points.Backup), Freeze: points.Make(points.RawSign)},
		request.EpochLoad:       request.EpochLoadBody{Counter: 7, Epoch: 300, Recovery: sharing()},
		request.EpochCommit: request.EpochCommitBody{Counter: 7, Epoch: 300, Pattern: bytes.Repeat([]byte{4}, 16),
			Receipts: []request.ShareReceipt{{Receipt: []byte{1}, Sig: bytes.Repeat([]byte{5}, 64)}, {Receipt: []byte{2}, Sig: bytes.Repeat([]byte{6}, 64)}}},
		request.EpochActivate:   request.EpochActivateBody{Counter: 7, Epoch: 300, Pattern: bytes.Repeat([]byte{4}, 16)},
		request.EpochFinalize:   request.EpochFinalizeBody{Counter: 7, Epoch: 299, Pattern: bytes.Repeat([]byte{4}, 16)},
		request.EpochCancel:     request.EpochCancelBody{Counter: 7, Epoch: 300, Pattern: bytes.Repeat([]byte{4}, 16)},
		request.Zeroize:         request.ZeroizeBody{Counter: 7, Phrase: "zeroize 0102030000000000"},
		request.Restore:         request.RestoreBody{Counter: 7, Epoch: 300, Pattern: bytes.Repeat([]byte{4}, 16)},
		request.PersonKeyAdd:    request.PersonKeyAddBody{Person: alice, Key: passkeyOf(key()), Possession: bytes.Repeat([]byte{9}, 64)},
		request.PersonKeyRemove: request.PersonKeyRemoveBody{Person: bob, Key: key().Ref()},
	}
}

func example(op request.Operation) request.Request {
	return request.Request{V: 1, Authority: custody.AuthorityID{1, 2, 3}, Domain: custody.DomainID{1, 2, 3}, Initiator: alice, Key: "Order:2030-01.A_1", Operation: op, Body: canon.Encode(bodies()[op]), NotAfter: 1_900_000_000}
}

func statement() request.Statement {
	r := example(request.Transfer)
	e := request.Effects{Operation: request.Transfer, Wallet: "hot", Chain: evm, Asset: custody.AssetID(evm) + "/erc20:" + address, Source: address, Outputs: []request.Output{{Address: address, Amount: custody.U64(1_000_000)}},
		Total: custody.U64(1_000_000), Call: &request.Call{Contract: address, Selector: "transfer(address,uint256)", Args: []string{address, "1000000"}, DataHash: [32]byte{4}}, BodyHash: r.Hash()}
	b := request.Bounds{FeeCap: custody.U64(21_000_000_000_000), FeeAsset: evm.Native(), Change: request.NoChange, Slot: request.AccountNonce, NotAfter: r.NotAfter}
	return request.Statement{V: 1, Authority: r.Authority, Domain: r.Domain, Request: r.ID(), Initiator: alice, Effects: e, Bounds: b, PolicyVersion: 5, PolicyHash: [32]byte{6}, Approver: bob, Decision: request.Approve}
}

// frozen are the encodings, ids and hashes that people have signed: they never change.
func frozen() map[string]string {
	out := map[string]string{}
	for op := range bodies() {
		if op.LifeCycle() {
			continue // in a file of their own
		}
		r := example(op)
		id, hash := r.ID(), r.Hash()
		out[string(op)] = hex.EncodeToString(r.Encode())
		out[string(op)+" hash"] = hex.EncodeToString(hash[:])
		out["id"] = hex.EncodeToString(id[:])
	}
	s := statement()
	h := s.Hash()
	out["statement"], out["statement hash"] = hex.EncodeToString(s.Encode()), hex.EncodeToString(h[:])
	enrol := bodies()[request.PersonEnrol].(request.PersonEnrolBody)
	out["enrol message"] = hex.EncodeToString(enrol.EnrolMessage(custody.AuthorityID{1, 2, 3}))
	out["key ref"] = string(key().Ref())
	more := bodies()[request.PersonKeyAdd].(request.PersonKeyAddBody)
	out["key add message"] = hex.EncodeToString(more.Message(custody.AuthorityID{1, 2, 3}))
	out["passkey ref"] = string(more.Key.Ref())
	a := request.Approval{Request: s.Request, Person: bob, Decision: request.Reject, Key: key().Ref(), Sig: bytes.Repeat([]byte{5}, 64)}
	out["approval"] = hex.EncodeToString(canon.Encode(a))
	out["signed evidence"] = hex.EncodeToString(canon.Encode(request.Evidence{Key: key().Ref(), Sig: bytes.Repeat([]byte{5}, 64)}))
	out["session evidence"] = hex.EncodeToString(canon.Encode(request.Evidence{Session: bytes.Repeat([]byte{6}, 16), MAC: bytes.Repeat([]byte{7}, 32)}))
	o := request.SessionOpening{V: 1, Authority: s.Authority, Domain: s.Domain, Service: bob, Ephemeral: bytes.Repeat([]byte{8}, 32), NotAfter: 1_900_000_000}
	out["session opening"] = hex.EncodeToString(canon.Message(canon.TagSession, o))
	out["session grant"] = hex.EncodeToString(canon.Encode(request.SessionGrant{Session: bytes.Repeat([]byte{6}, 16), Ephemeral: bytes.Repeat([]byte{8}, 32), Seq: 300, Sig: bytes.Repeat([]byte{5}, 64)}))
	return out
}

func TestFrozen(t *testing.T) {
	t.Parallel()
	sameAsFrozen(t, "testdata/frozen/request-1.json", frozen())
	sameAsFrozen(t, "testdata/frozen/life-1.json", frozenLife())
}

func sameAsFrozen(t *testing.T, file string, got map[string]string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if os.IsNotExist(err) && os.Getenv("STRONGROOM_FREEZE") != "" {
		if b, err = json.MarshalIndent(got, "", "  "); err == nil {
			err = os.WriteFile(file, append(b, '\n'), 0o644)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]string
	if err := json.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got))) {
		t.Fatalf("the file has %v", slices.Sorted(maps.Keys(want)))
	}
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s is now\n%s\nand was\n%s", k, got[k], v)
		}
	}
	for _, op := range request.Operations() {
		raw, err := hex.DecodeString(want[string(op)])
		if err != nil {
			t.Fatal(err)
		}
		if len(raw) == 0 {
			continue // in the other file
		}
		p, err := request.Parse(raw)
		if err != nil || p.Operation != op || !bytes.Equal(p.Encode(), raw) || p.Ident != p.ID() || p.Digest != p.Hash() || !bytes.Equal(p.Message(), canon.Message(canon.TagRequest, p.Request)) {
			t.Errorf("%s is read as %+v, %v", op, p, err)
		}
	}
}

func TestRequestRefused(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*request.Request){
		"version":           func(r *request.Request) { r.V = 2 },
		"no end":            func(r *request.Request) { r.NotAfter = 0 },
		"negative end":      func(r *request.Request) { r.NotAfter = -5 },
		"end of time":       func(r *request.Request) { r.NotAfter = 1<<63 - 1 },
		"nanoseconds":       func(r *request.Request) { r.NotAfter *= 1e9 },
		"initiator":         func(r *request.Request) { r.Initiator = "alice" },
		"no key":            func(r *request.Request) { r.Key = "" },
		"long key":          func(r *request.Request) { r.Key = strings.Repeat("k", 65) },
		"key with space":    func(r *request.Request) { r.Key = "a b" },
		"key with line end": func(r *request.Request) { r.Key = "a\n" },
		"key not ASCII":     func(r *request.Request) { r.Key = "ä" },
		"operation":         func(r *request.Request) { r.Operation = "steal" },
		"another's body":    func(r *request.Request) { r.Operation = request.WhitelistRemove },
		"no body":           func(r *request.Request) { r.Body = nil },
		"body with more":    func(r *request.Request) { r.Body = append(slices.Clone(r.Body), 0) },
	} {
		r := example(request.Transfer)
		spoil(&r)
		if _, err := request.Decode(r.Encode()); err == nil || r.Check() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := request.Parse(make([]byte, request.MaxRequest+1)); err == nil {
		t.Error("a request above the limit was accepted")
	}
	a, b := example(request.Transfer), example(request.GroupSet)
	if a.ID() != b.ID() || a.Hash() == b.Hash() {
		t.Error("the id must follow from authority, initiator and key alone, the hash from everything")
	}
	for _, other := range []custody.RequestID{request.ID(custody.AuthorityID{9}, alice, a.Key), request.ID(a.Authority, bob, a.Key), request.ID(a.Authority, alice, "x")} {
		if other == a.ID() {
			t.Error("two requests have one id")
		}
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	ed := ed25519.NewKeyFromSeed(make([]byte, 32))
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.Sum256([]byte("m"))
	r, s, err := ecdsa.Sign(rand.Reader, p256, h[:])
	if err != nil {
		t.Fatal(err)
	}
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	for _, c := range []struct {
		key request.PublicKey
		sig []byte
	}{
		{request.PublicKey{Alg: request.Ed25519, Pub: ed.Public().(ed25519.PublicKey)}, ed25519.Sign(ed, []byte("m"))},
		{request.PublicKey{Alg: request.P256, Pub: elliptic.MarshalCompressed(elliptic.P256(), p256.X, p256.Y)}, sig},
	} {
		if err := c.key.Check(); err != nil || !c.key.Verify([]byte("m"), c.sig) || c.key.Ref().Check() != nil {
			t.Fatalf("%s: %v", c.key.Alg, err)
		}
		flipped := slices.Clone(c.sig)
		flipped[40] ^= 1
		other := c.key
		other.Alg = map[request.Algorithm]request.Algorithm{request.Ed25519: request.P256, request.P256: request.Ed25519}[c.key.Alg]
		if c.key.Verify([]byte("n"), c.sig) || c.key.Verify([]byte("m"), flipped) || c.key.Verify([]byte("m"), c.sig[:63]) || c.key.Verify([]byte("m"), nil) || other.Verify([]byte("m"), c.sig) ||
			other.Check() == nil || other.Ref() == c.key.Ref() || c.key.Verify([]byte("m"), make([]byte, 64)) {
			t.Errorf("%s: a wrong signature or key was accepted", c.key.Alg)
		}
		short := request.PublicKey{Alg: c.key.Alg, Pub: c.key.Pub[:20]}
		if short.Check() == nil || short.Verify([]byte("m"), c.sig) {
			t.Errorf("%s: a short key was accepted", c.key.Alg)
		}
	}
	if (request.PublicKey{Alg: "rsa", Pub: make([]byte, 32)}).Check() == nil || (request.PublicKey{Alg: request.P256, Pub: append([]byte{2}, bytes.Repeat([]byte{0xff}, 32)...)}).Check() == nil {
		t.Error("an unknown algorithm, or a key that is no point, was accepted")
	}
}

func TestEvidenceAndApprovalForm(t *testing.T) {
	t.Parallel()
	ref, sig, session, mac := key().Ref(), make([]byte, 64), make([]byte, 16), make([]byte, 32)
	for name, e := range map[string]request.Evidence{"none": {}, "both": {Key: ref, Sig: sig, Session: session, MAC: mac}, "short signature": {Key: ref, Sig: sig[1:]}, "no key": {Sig: sig}, "long key": {Key: ref + "0", Sig: sig},
		"key not hex": {Key: request.KeyRef(strings.Repeat("x", 32)), Sig: sig}, "upper case": {Key: request.KeyRef(strings.Repeat("A", 32)), Sig: sig}, "short session": {Session: session[1:], MAC: mac}, "no MAC": {Session: session}, "key and MAC": {Key: ref, MAC: mac}} {
		if e.Check() == nil {
			t.Errorf("evidence with %s was accepted", name)
		}
	}
	good := request.Approval{Person: bob, Decision: request.Approve, Key: ref, Sig: sig}
	for name, spoil := range map[string]func(*request.Approval){"person": func(a *request.Approval) { a.Person = "bob" }, "decision": func(a *request.Approval) { a.Decision = "maybe" },
		"key": func(a *request.Approval) { a.Key = request.KeyRef(strings.Repeat("0", 1<<20)) }, "signature": func(a *request.Approval) { a.Sig = sig[1:] },
		"long signature": func(a *request.Approval) { a.Sig = make([]byte, request.MaxSig+1) }} {
		a := good
		spoil(&a)
		if good.Check() != nil || a.Check() == nil {
			t.Errorf("approval with a wrong %s was accepted", name)
		}
	}
}
