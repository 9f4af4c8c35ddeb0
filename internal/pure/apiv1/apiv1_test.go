// SPDX-License-Identifier: Apache-2.0

package apiv1_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/gate/coretest"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/strictjson"
)

// TestDocumentGoesBothWays fills every field of a document, so that one that the JSON form forgets is found.
func TestDocumentGoesBothWays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := rapid.Make[policy.Document]().Draw(t, "document")
		b, err := json.Marshal(apiv1.DocumentOf(d))
		if err != nil {
			t.Fatal(err)
		}
		var j apiv1.Document
		if err := strictjson.Decode(b, &j); err != nil {
			t.Fatalf("%v: %s", err, b)
		}
		again, err := j.Canonical()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(canon.Encode(again), canon.Encode(d)) {
			t.Fatalf("got %+v\nwant %+v", again, d)
		}
	})
}

func TestDocumentRefusesAWrongKeyRef(t *testing.T) {
	t.Parallel()
	j := apiv1.DocumentOf(coretest.Document())
	if got, err := j.Canonical(); err != nil || got.Hash() != coretest.Document().Hash() {
		t.Fatalf("the test's own document changed: %v", err)
	}
	j.Principals[0].Keys[0].Ref = "00000000000000000000000000000000"
	if _, err := j.Canonical(); err == nil {
		t.Error("a wrong ref was accepted")
	}
	j.PrevHash = "zz"
	if _, err := j.Canonical(); err == nil {
		t.Error("a wrong hash was accepted")
	}
}

// TestEveryOperationHasABody: the JSON of each body gives the same canonical bytes again.
func TestEveryOperationHasABody(t *testing.T) {
	t.Parallel()
	for _, o := range request.Operations() {
		if apiv1.NewBody(o) == nil {
			t.Errorf("operation %s has no body", o)
		}
	}
	if apiv1.NewBody("drain") != nil {
		t.Error("an unknown operation has a body")
	}
	key := coretest.Anna.Public()
	for _, body := range []request.Body{
		&request.TransferBody{Wallet: "hot", Asset: coretest.Ether, Source: 3, Outputs: []request.Output{{Address: coretest.EthereumTo, Amount: custody.U64(7)}}, FeeCap: custody.U64(9)},
		&request.WalletCreateBody{Wallet: "w", Chain: coretest.Bitcoin, Scheme: request.SchemeP2TR, Seed: "00112233445566778899aabbccddeeff", Account: 2},
		&request.AddressCreateBody{Wallet: "w", Count: 5},
		&request.PolicyChangeBody{Document: []byte{1, 2}},
		&request.PersonEnrolBody{Person: coretest.Anna.ID, Kind: "human", Key: key, Groups: []custody.GroupID{"a", "b"}, Possession: make([]byte, 64)},
		&request.PersonRevokeBody{Person: coretest.Anna.ID},
		&request.GroupSetBody{Group: "a", Members: []custody.PersonID{coretest.Anna.ID}},
		&request.WhitelistAddBody{ID: "x", Chain: coretest.Ethereum, Address: coretest.EthereumTo},
		&request.WhitelistRemoveBody{ID: "x"},
		&request.PersonKeyAddBody{Person: coretest.Anna.ID, Key: request.PublicKey{Alg: request.PasskeyEd25519, Pub: key.Pub, RP: "example.org", Origin: "https://example.org"}, Possession: make([]byte, 64)},
		&request.PersonKeyRemoveBody{Person: coretest.Anna.ID, Key: key.Ref()},
		&request.WalletCreateBody{Wallet: "w", Chain: coretest.Bitcoin, Scheme: request.SchemeP2TR, Temperature: request.Warm},
		&request.WalletTemperatureBody{Wallet: "w", To: request.Hot},
		&request.WarmOpenBody{Wallet: "w", Asset: coretest.Ether, Amount: custody.U64(7), NotAfter: 1900000000},
		&request.WarmCloseBody{Wallet: "w"},
	} {
		raw, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		again := reflect.New(reflect.TypeOf(body).Elem()).Interface()
		if err := strictjson.Decode(raw, again); err != nil {
			t.Errorf("%T: %v: %s", body, err, raw)
		} else if !bytes.Equal(canon.Encode(again), canon.Encode(body)) {
			t.Errorf("%T: %s gives another body", body, raw)
		}
	}
}

func TestEvidenceSession(t *testing.T) {
	t.Parallel()
	e := apiv1.Evidence{Session: "000102030405060708090a0b0c0d0e0f", MAC: make([]byte, 32)}
	c, err := e.Canonical()
	if err != nil || c.Check() != nil || !reflect.DeepEqual(apiv1.EvidenceOf(c), e) {
		t.Errorf("%+v %v", c, err)
	}
	for _, s := range []string{"00", "zz0102030405060708090a0b0c0d0e0f"} {
		if _, err := (apiv1.Evidence{Session: s}).Canonical(); err == nil {
			t.Errorf("session %q was accepted", s)
		}
	}
}
