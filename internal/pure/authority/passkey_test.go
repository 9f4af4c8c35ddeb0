// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"testing"

	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/webauthn"
)

// assertion is what a browser gives for a message and a passkey of example.org.
func assertion(key ed25519.PrivateKey, message []byte) []byte {
	c, rp := webauthn.Challenge(message), sha256.Sum256([]byte("example.org"))
	a := webauthn.Assertion{AuthData: append(rp[:], 0x05, 0, 0, 0, 0),
		ClientData: []byte(`{"type":"webauthn.get","challenge":"` + base64.RawURLEncoding.EncodeToString(c[:]) + `","origin":"https://example.org","crossOrigin":false}`)}
	a.Sig = ed25519.Sign(key, webauthn.Signed(a))
	return a.Encode()
}

// A passkey is good for asking for a further key, and for no other request.
func TestPasskeysOnlyApprove(t *testing.T) {
	t.Parallel()
	alice := who("alice")
	pass := person("alice's passkey")
	pub := request.PublicKey{Alg: request.PasskeyEd25519, Pub: pass.pub.Pub, RP: "example.org", Origin: "https://example.org"}
	for _, op := range request.Operations() {
		if err := mayAsk(pub, op); (err == nil) != (op == request.PersonKeyAdd) {
			t.Errorf("%s with a passkey: %v", op, err)
		}
		if err := mayAsk(alice.pub, op); err != nil {
			t.Errorf("%s with a key file: %v", op, err)
		}
	}
	w := newWorld(t)
	doc := w.s.Doc
	for i := range doc.Principals {
		if doc.Principals[i].ID == alice.id {
			doc.Principals[i].Keys = append(doc.Principals[i].Keys[:1:1], pub)
		}
	}
	rules, err := policy.Compile(doc)
	if err != nil {
		t.Fatal(err)
	}
	r, err := request.Parse(w.request(alice, request.WhitelistRemove, request.WhitelistRemoveBody{ID: "bank"}).Encode())
	if err != nil {
		t.Fatal(err)
	}
	e := request.Evidence{Key: pub.Ref(), Sig: assertion(pass.key, r.Message())}
	if !pub.Verify(r.Message(), e.Sig) {
		t.Fatal("the assertion does not verify")
	}
	if err := CheckSignedEvidence(rules, r, e); problem.KindOf(err) != problem.Forbidden {
		t.Errorf("a request on the word of a passkey: %v", err)
	}
	w.s.Doc, w.s.Rules = doc, rules
	x, err := w.s.DecideRequest(r, policy.BySignature, w.at(), Derive)
	if err != nil {
		t.Fatal(err)
	}
	x.Evidence = e
	if err := w.write(x); err == nil {
		t.Error("the fold took a request on the word of a passkey")
	}
}
