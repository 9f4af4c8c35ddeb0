// SPDX-License-Identifier: Apache-2.0

// Package custody has the nouns that every ring shares: identities, assets, amounts. They are plain values; what may be done
// with them is decided elsewhere.
package custody

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// AuthorityID names an authority: the RFC 6962 leaf hash of its genesis entry.
type AuthorityID [32]byte

// DomainID names a domain: the RFC 6962 leaf hash of its genesis entry. Where a domain follows its own log it equals the AuthorityID.
type DomainID [32]byte

// RequestID names a request: the hash of authority, initiator and idempotency key.
type RequestID [32]byte

// PersonID names a person or service: "p_" and 16 characters of lower-case base32, drawn at random, so that the log
// holds no name. A service has one too.
type PersonID string

// GroupID names a group of persons in the rule document.
type GroupID string

// WalletID names a wallet. It is chosen by the creator and never reused.
type WalletID string

// KeyID names a key: 16 random bytes as 32 hex digits.
type KeyID string

// ErrID is wrapped by every error about a malformed identifier.
var ErrID = errors.New("malformed identifier")

// consistsOf says whether all bytes of s are of a kind. Each request has a dozen names to check: this costs a tenth of a regular expression.
func consistsOf(s string, kind func(byte) bool) bool {
	for i := range len(s) {
		if !kind(s[i]) {
			return false
		}
	}
	return true
}

func isBase32(c byte) bool   { return c >= 'a' && c <= 'z' || c >= '2' && c <= '7' }
func isLowerHex(c byte) bool { return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' }

// isSlug says whether s has lower-case letters, digits and single hyphens, a letter first and no hyphen last.
func isSlug(s string) bool {
	if s == "" || s[0] < 'a' || s[0] > 'z' || s[len(s)-1] == '-' || strings.Contains(s, "--") {
		return false
	}
	return consistsOf(s, func(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' })
}

// MaxSlug is the longest group, wallet, rule or address-book id, in bytes.
const MaxSlug = 48

// CheckSlug says whether s may be an id that people choose: lower-case letters, digits and single hyphens, a letter first.
func CheckSlug(what, s string) error {
	if len(s) > MaxSlug || !isSlug(s) {
		return fmt.Errorf("%w: %s %q must be 1 to %d lower-case letters, digits and single hyphens, a letter first", ErrID, what, s, MaxSlug)
	}
	return nil
}

// Check says whether p has the form of a person id.
func (p PersonID) Check() error {
	if name, ok := strings.CutPrefix(string(p), "p_"); !ok || len(name) != 16 || !consistsOf(name, isBase32) {
		return fmt.Errorf("%w: person %q must be p_ and 16 characters a-z2-7", ErrID, string(p))
	}
	return nil
}

// Check says whether g has the form of a group id.
func (g GroupID) Check() error { return CheckSlug("group", string(g)) }

// Check says whether w has the form of a wallet id.
func (w WalletID) Check() error { return CheckSlug("wallet", string(w)) }

// Check says whether k has the form of a key id.
func (k KeyID) Check() error {
	if len(k) != 32 || !consistsOf(string(k), isLowerHex) {
		return fmt.Errorf("%w: key %q must be 32 lower-case hex digits", ErrID, string(k))
	}
	return nil
}

// String gives 64 hex digits.
func (a AuthorityID) String() string { return hex.EncodeToString(a[:]) }

// String gives 64 hex digits.
func (d DomainID) String() string { return hex.EncodeToString(d[:]) }

// String gives 64 hex digits.
func (r RequestID) String() string { return hex.EncodeToString(r[:]) }

// IsZero tells the authority of a genesis entry, which has no id yet.
func (a AuthorityID) IsZero() bool { return a == AuthorityID{} }

// ParseAuthorityID reads 64 lower-case hex digits.
func ParseAuthorityID(s string) (AuthorityID, error) {
	b, err := parse32("authority", s)
	return AuthorityID(b), err
}

// ParseDomainID reads 64 lower-case hex digits.
func ParseDomainID(s string) (DomainID, error) {
	b, err := parse32("domain", s)
	return DomainID(b), err
}

// ParseRequestID reads 64 lower-case hex digits.
func ParseRequestID(s string) (RequestID, error) {
	b, err := parse32("request", s)
	return RequestID(b), err
}

func parse32(what, s string) (out [32]byte, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 32 || hex.EncodeToString(b) != s {
		return out, fmt.Errorf("%w: %s id must be 64 lower-case hex digits", ErrID, what)
	}
	return [32]byte(b), nil
}

// Profile fixes at genesis what a domain is for; it is printed in every proof.
type Profile string

// The profiles. Production refuses the soft root, the file anchor and the plain system clock.
const (
	Evaluation Profile = "evaluation"
	Production Profile = "production"
)

// Check says whether p is a known profile.
func (p Profile) Check() error {
	if p != Evaluation && p != Production {
		return fmt.Errorf("profile %q is neither %q nor %q", string(p), Evaluation, Production)
	}
	return nil
}
