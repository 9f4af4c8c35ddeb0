// SPDX-License-Identifier: Apache-2.0

package request

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/descope/virtualwebauthn"
	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"pgregory.net/rapid"

	"strongroom/internal/lawtest"
	"strongroom/internal/pure/webauthn"
)

const (
	testRP     = "custody.example.org"
	testOrigin = "https://custody.example.org"
)

// passkey is a passkey with its private half.
type passkey struct {
	public PublicKey
	sign   func(message []byte) []byte
}

func passkeyP256(t testing.TB) passkey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	//lint:ignore SA1019 the standard library has no other writer of compressed points
	pub := elliptic.MarshalCompressed(elliptic.P256(), k.X, k.Y)
	return passkey{PublicKey{PasskeyP256, pub, testRP, testOrigin}, func(m []byte) []byte {
		h := sha256.Sum256(m)
		sig, err := ecdsa.SignASN1(rand.Reader, k, h[:])
		if err != nil {
			t.Fatal(err)
		}
		return sig
	}}
}

func passkeyEd25519(t testing.TB) passkey {
	t.Helper()
	pub, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return passkey{PublicKey{PasskeyEd25519, pub, testRP, testOrigin}, func(m []byte) []byte { return ed25519.Sign(private, m) }}
}

// clientData is what a browser writes.
func clientData(kind string, challenge [32]byte, origin, rest string) []byte {
	return []byte(`{"type":"` + kind + `","challenge":"` + base64.RawURLEncoding.EncodeToString(challenge[:]) + `","origin":"` + origin + `"` + rest)
}

func authData(rp string, flags byte) []byte {
	h := sha256.Sum256([]byte(rp))
	return append(append(h[:], flags), 0, 0, 0, 0)
}

func (k passkey) assert(client, auth []byte) []byte {
	a := webauthn.Assertion{AuthData: auth, ClientData: client}
	a.Sig = k.sign(webauthn.Signed(a))
	return a.Encode()
}

func TestPasskeys(t *testing.T) {
	t.Parallel()
	message := []byte("a statement")
	c := webauthn.Challenge(message)
	good := clientData("webauthn.get", c, testOrigin, `,"crossOrigin":false}`)
	tests := []struct {
		name         string
		client, auth []byte
		want         bool
	}{
		{"a browser's", good, authData(testRP, 0x05), true},
		{"synchronised", good, authData(testRP, 0x1d), true},
		{"without crossOrigin", clientData("webauthn.get", c, testOrigin, "}"), authData(testRP, 0x05), true},
		{"with members that come later", clientData("webauthn.get", c, testOrigin, `,"crossOrigin":false,"other":"x"}`), authData(testRP, 0x05), true},
		{"a registration", clientData("webauthn.create", c, testOrigin, `,"crossOrigin":false}`), authData(testRP, 0x05), false},
		{"another challenge", clientData("webauthn.get", webauthn.Challenge([]byte("other")), testOrigin, `,"crossOrigin":false}`), authData(testRP, 0x05), false},
		{"another origin", clientData("webauthn.get", c, "https://custody.example.com", `,"crossOrigin":false}`), authData(testRP, 0x05), false},
		{"an origin that goes on", clientData("webauthn.get", c, testOrigin+".evil.com", `,"crossOrigin":false}`), authData(testRP, 0x05), false},
		{"in a frame", clientData("webauthn.get", c, testOrigin, `,"crossOrigin":true,"topOrigin":"https://evil.com"}`), authData(testRP, 0x05), false},
		{"another member after the origin", clientData("webauthn.get", c, testOrigin, `,"x":1}`), authData(testRP, 0x05), false},
		{"cut off", good[:len(good)-1], authData(testRP, 0x05), false},
		{"with white space", append([]byte(" "), good...), authData(testRP, 0x05), false},
		{"too long", clientData("webauthn.get", c, testOrigin, `,"crossOrigin":false,"x":"`+strings.Repeat("x", 2048)+`"}`), authData(testRP, 0x05), false},
		{"another relying party", good, authData("example.org", 0x05), false},
		{"nobody verified", good, authData(testRP, 0x01), false},
		{"nobody there", good, authData(testRP, 0x04), false},
		{"backed up and not eligible", good, authData(testRP, 0x15), false},
		{"attested data", good, authData(testRP, 0x45), false},
		{"extensions", good, append(authData(testRP, 0x85), 0xa0), false},
		{"a flag of the future", good, authData(testRP, 0x07), false},
		{"short", good, authData(testRP, 0x05)[:36], false},
	}
	for _, k := range []passkey{passkeyP256(t), passkeyEd25519(t)} {
		if err := k.public.Check(); err != nil {
			t.Fatal(err)
		}
		for _, tt := range tests {
			sig := k.assert(tt.client, tt.auth)
			if got := k.public.Verify(message, sig); got != tt.want {
				t.Errorf("%s, %s: verifies %v", k.public.Alg, tt.name, got)
			}
		}
		sig := k.assert(good, authData(testRP, 0x05))
		if err := CheckSig(sig); err != nil {
			t.Error(err)
		}
		for i := range sig {
			broken := bytes.Clone(sig)
			broken[i] ^= 1
			if k.public.Verify(message, broken) {
				t.Fatalf("%s: byte %d was altered unseen", k.public.Alg, i)
			}
		}
		if k.public.Verify([]byte("another statement"), sig) || k.public.Verify(message, nil) {
			t.Errorf("%s: verifies another message, or nothing", k.public.Alg)
		}
		plain := k.public
		plain.Alg, plain.RP, plain.Origin = map[Algorithm]Algorithm{PasskeyP256: P256, PasskeyEd25519: Ed25519}[k.public.Alg], "", ""
		if plain.Verify(message, sig) || plain.Ref() == k.public.Ref() {
			t.Errorf("%s: an assertion passes for a plain signature, or the keys have one name", k.public.Alg)
		}
	}
}

func TestRelyingParties(t *testing.T) {
	t.Parallel()
	k := passkeyEd25519(t).public
	for _, tt := range []struct {
		rp, origin string
		want       bool
	}{
		{testRP, testOrigin, true},
		{"example.org", testOrigin, true},
		{testRP, testOrigin + ":8443", true},
		{"localhost", "http://localhost:8080", true},
		{"localhost", "https://localhost", true},
		{"", "", false},
		{testRP, "", false},
		{testRP, "http://custody.example.org", false},
		{testRP, testOrigin + ":443", false},
		{"localhost", "http://localhost:80", false},
		{testRP, testOrigin + "/", false},
		{testRP, testOrigin + ":x", false},
		{testRP, testOrigin + ":08443", false},
		{testRP, "https://evil.org", false},
		{testRP, "https://evilcustody.example.org", false},
		{"Custody.example.org", "https://Custody.example.org", false},
		{"a..b", "https://a..b", false},
		{testRP, "ftp://custody.example.org", false},
		{testRP, `https://custody.example.org"`, false},
	} {
		k.RP, k.Origin = tt.rp, tt.origin
		if err := k.Check(); (err == nil) != tt.want {
			t.Errorf("%q at %q: got error %v", tt.rp, tt.origin, err)
		}
	}
	if err := (PublicKey{Alg: Ed25519, Pub: k.Pub, RP: testRP, Origin: testOrigin}).Check(); err == nil {
		t.Error("a plain key with a relying party was taken")
	}
}

// TestPasskeyAgainstOthers has a virtual authenticator of others make the assertions and a library of others judge them, right ones and altered ones:
// whatever this verifier takes, the library takes.
func TestPasskeyAgainstOthers(t *testing.T) {
	t.Parallel()
	rp := virtualwebauthn.RelyingParty{Name: "Strongroom", ID: testRP, Origin: testOrigin}
	auth := virtualwebauthn.NewAuthenticator()
	cred := virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2)
	cose := cred.Key.AttestationData()
	parsedKey, err := webauthncose.ParsePublicKey(cose)
	if err != nil {
		t.Fatal(err)
	}
	point := parsedKey.(webauthncose.EC2PublicKeyData)
	k := PublicKey{PasskeyP256, append([]byte{2 + point.YCoord[31]&1}, point.XCoord...), testRP, testOrigin}
	seen := lawtest.Counts{}
	lawtest.Check(t, seen.Want(1, "taken", "refused"), func(rt *rapid.T) {
		message := rapid.SliceOf(rapid.Byte()).Draw(rt, "message")
		c := webauthn.Challenge(message)
		response := virtualwebauthn.CreateAssertionResponse(rp, auth, cred, virtualwebauthn.AssertionOptions{Challenge: c[:], RelyingPartyID: testRP})
		parsed, perr := protocol.ParseCredentialRequestResponseBody(strings.NewReader(response))
		if perr != nil {
			rt.Fatal(perr)
		}
		raw := parsed.Raw.AssertionResponse
		a := webauthn.Assertion{AuthData: raw.AuthenticatorData, ClientData: raw.ClientDataJSON, Sig: raw.Signature}
		part := rapid.SampledFrom([]*[]byte{nil, (*[]byte)(&a.AuthData), (*[]byte)(&a.ClientData), (*[]byte)(&a.Sig)}).Draw(rt, "part")
		if part != nil {
			*part = bytes.Clone(*part)
			(*part)[rapid.IntRange(0, len(*part)-1).Draw(rt, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
		}
		ours := k.Verify(message, a.Encode())
		theirs := judge(a, c[:], cose)
		if ours && theirs != nil {
			rt.Fatalf("taken here, refused by the library: %v", theirs)
		}
		if part == nil && !ours {
			rt.Fatalf("an honest assertion is refused: %s", raw.ClientDataJSON)
		}
		if ours {
			seen["taken"]++
		} else {
			seen["refused"]++
		}
	})
}

// judge has the library verify an assertion.
func judge(a webauthn.Assertion, challenge, cose []byte) error {
	var p protocol.ParsedCredentialAssertionData
	p.Raw.AssertionResponse.AuthenticatorData, p.Raw.AssertionResponse.ClientDataJSON = a.AuthData, a.ClientData
	p.Raw.AssertionResponse.Signature = a.Sig
	p.Response.Signature = a.Sig
	if err := p.Response.AuthenticatorData.Unmarshal(a.AuthData); err != nil {
		return err
	}
	if err := json.Unmarshal(a.ClientData, &p.Response.CollectedClientData); err != nil {
		return err
	}
	return p.Verify(base64.RawURLEncoding.EncodeToString(challenge), testRP, "", []string{testOrigin}, nil, nil, protocol.TopOriginExplicitVerificationMode, false, true, true, cose, protocol.SignaturePolicy{})
}
