// SPDX-License-Identifier: Apache-2.0

// Package webauthn reads what a passkey signs: the assertion of WebAuthn (Level 3), with which a person approves in a browser. The challenge is the hash of
// the very statement that they approve, so that an assertion is good for nothing else.
//
// It verifies client data by the limited verification of section 5.8.1.2: the bytes that a conforming browser writes for this challenge and origin are
// built and compared, so that no JSON is parsed. It refuses assertions of another origin or relying party, from within another site's frame, without
// user presence or verification, with extensions or attested credential data (we ask for none), and whatever is not exactly as long as it says.
//
// Which key signed is for the caller to check over [Signed]. The signature counter is not looked at: synchronised passkeys keep it at zero.
package webauthn

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"strongroom/internal/pure/canon"
)

// ErrAssertion is wrapped by every error about an assertion that does not hold.
var ErrAssertion = errors.New("webauthn assertion")

// Sizes in bytes.
const (
	MaxClientData = 2048
	authDataSize  = 32 + 1 + 4 // SHA-256 of the relying party's id, flags, signature counter (section 6.1)
	maxSig        = 80         // an ECDSA signature over P-256 has at most 72 in ASN.1, an Ed25519 signature 64
	MaxAssertion  = MaxClientData + authDataSize + maxSig + 16
)

// Flags of authenticator data, section 6.1.
const (
	flagPresent   = 1 << 0 // UP
	flagVerified  = 1 << 2 // UV
	flagEligible  = 1 << 3 // BE: the passkey may be copied to other devices
	flagBackedUp  = 1 << 4 // BS
	flagsExpected = flagPresent | flagVerified
	flagsAllowed  = flagsExpected | flagEligible | flagBackedUp
)

// Assertion is what navigator.credentials.get gives.
type Assertion struct {
	AuthData   []byte `cbor:"1,keyasint"` // authenticator data, 37 bytes
	ClientData []byte `cbor:"2,keyasint"` // client data, JSON as the browser wrote it
	Sig        []byte `cbor:"3,keyasint"` // over both ([Signed]); ASN.1 for ES256, 64 bytes for Ed25519
}

// Encode gives the one form in which an assertion stands for a signature.
func (a Assertion) Encode() []byte { return canon.Encode(a) }

// Decode reads what Encode wrote.
func Decode(b []byte) (Assertion, error) {
	var a Assertion
	if len(b) > MaxAssertion {
		return a, fmt.Errorf("%w: %d bytes, more than %d", ErrAssertion, len(b), MaxAssertion)
	}
	if err := canon.Decode(b, &a); err != nil {
		return a, fmt.Errorf("%w: %w", ErrAssertion, err)
	}
	return a, nil
}

// Relying is the relying party that a passkey was made for.
type Relying struct {
	ID     string // a domain name, "custody.example.org"; or "localhost"
	Origin string // of the pages where it is used: "https://custody.example.org", with ":port" unless it is 443
}

// Check says whether the origin is one that a browser writes and may use passkeys of this id: https at the id or a name below it; plain http on localhost.
func (r Relying) Check() error {
	if !isHost(r.ID) {
		return fmt.Errorf("relying party %q must be a domain name in lower case", r.ID)
	}
	scheme, authority, ok := strings.Cut(r.Origin, "://")
	host, port, hasPort := strings.Cut(authority, ":")
	switch {
	case !ok || !isHost(host) || hasPort && !isPort(port) || len(r.Origin) > 300:
		return fmt.Errorf("origin %q must be scheme, host and port as a browser writes them: https://custody.example.org", r.Origin)
	case scheme == "https" && port == "443" || scheme == "http" && port == "80":
		return fmt.Errorf("origin %q: leave the port out where it is the scheme's own; a browser does", r.Origin)
	case scheme == "http" && r.ID != "localhost", scheme != "https" && scheme != "http":
		return fmt.Errorf("origin %q: browsers use passkeys over https only, and over http on localhost", r.Origin)
	case host != r.ID && !strings.HasSuffix(host, "."+r.ID):
		return fmt.Errorf("origin %q does not belong to relying party %q", r.Origin, r.ID)
	}
	return nil
}

func isHost(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				return false
			}
		}
	}
	return true
}

func isPort(s string) bool {
	if s == "" || len(s) > 5 || s[0] == '0' {
		return false
	}
	return strings.Trim(s, "0123456789") == ""
}

// Challenge is what the browser is given for a message: its SHA-256.
func Challenge(message []byte) [32]byte { return sha256.Sum256(message) }

// Verify checks all of an assertion but its signature, for a relying party that passed [Relying.Check] and a challenge. It returns the bytes that
// the passkey must have signed.
func Verify(r Relying, challenge [32]byte, a Assertion) (signed []byte, err error) {
	if err := checkClientData(r.Origin, challenge, a.ClientData); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAssertion, err)
	}
	if err := checkAuthData(r.ID, a.AuthData); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAssertion, err)
	}
	if len(a.Sig) == 0 || len(a.Sig) > maxSig {
		return nil, fmt.Errorf("%w: signature of %d bytes", ErrAssertion, len(a.Sig))
	}
	return Signed(a), nil
}

// Signed gives the bytes that a passkey signs: authenticator data, then the SHA-256 of client data (section 6.3.3).
func Signed(a Assertion) []byte {
	h := sha256.Sum256(a.ClientData)
	return append(bytes.Clone(a.AuthData), h[:]...)
}

// checkClientData is the limited verification of section 5.8.1.2. The origin needs no escaping: Check has seen its characters. Some
// browsers leave crossOrigin out; that says the same as false.
func checkClientData(origin string, challenge [32]byte, got []byte) error {
	if len(got) > MaxClientData {
		return fmt.Errorf("client data of %d bytes, more than %d", len(got), MaxClientData)
	}
	head := `{"type":"webauthn.get","challenge":"` + base64.RawURLEncoding.EncodeToString(challenge[:]) + `"`
	rest, ok := bytes.CutPrefix(got, []byte(head))
	if !ok {
		return errors.New("client data is of another kind or for another challenge: what was signed is not this statement")
	}
	rest, ok = bytes.CutPrefix(rest, []byte(`,"origin":"`+origin+`"`))
	if !ok {
		return fmt.Errorf("it was made on another site than %s", origin)
	}
	if bytes.Equal(rest, []byte("}")) {
		return nil
	}
	rest, ok = bytes.CutPrefix(rest, []byte(`,"crossOrigin":false`))
	if !ok {
		return errors.New("it was made inside a frame of another site")
	}
	if !bytes.Equal(rest, []byte("}")) && (len(rest) < 2 || rest[0] != ',' || rest[len(rest)-1] != '}') {
		return errors.New("client data is not as a browser writes it")
	}
	return nil
}

func checkAuthData(id string, b []byte) error {
	if len(b) != authDataSize {
		return fmt.Errorf("authenticator data of %d bytes, not %d: extensions and attested data are not asked for", len(b), authDataSize)
	}
	want := sha256.Sum256([]byte(id))
	if subtle.ConstantTimeCompare(want[:], b[:32]) != 1 {
		return fmt.Errorf("the passkey belongs to another relying party than %s", id)
	}
	switch flags := b[32]; {
	case flags&flagsExpected != flagsExpected:
		return errors.New("the person was not there, or was not verified by PIN, finger or face; use a passkey that verifies its user")
	case flags&^flagsAllowed != 0:
		return fmt.Errorf("flags %08b are not those of a plain assertion", flags)
	case flags&flagBackedUp != 0 && flags&flagEligible == 0:
		return errors.New("the passkey says that it is backed up and can't be")
	}
	return nil
}
