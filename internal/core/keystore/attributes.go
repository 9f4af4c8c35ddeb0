// SPDX-License-Identifier: Apache-2.0

package keystore

import (
	"fmt"
	"strings"
)

// Attributes are the attribute bits of a key. There are three sorts: what a key may do, which a change can only take away; limits on it,
// which a change can only add; and facts of its birth, which never change. Bits are never renumbered or given another meaning.
type Attributes uint64

// What the key may do.
const (
	Sign        Attributes = 1 << 0  // make signatures
	Derive      Attributes = 1 << 1  // derive other keys
	Wrap        Attributes = 1 << 2  // encrypt other keys
	Unwrap      Attributes = 1 << 3  // decrypt other keys
	Encrypt     Attributes = 1 << 4  // encrypt data
	Decrypt     Attributes = 1 << 5  // decrypt data
	Extractable Attributes = 1 << 8  // leave the domain, sealed
	Modifiable  Attributes = 1 << 9  // have attributes, mechanisms or expiry narrowed
	Cacheable   Attributes = 1 << 10 // stay unsealed in the protected-key cache
)

// Limits.
const (
	CeremonyOnly Attributes = 1 << 16 // may leave the domain in a ceremony only
)

// Facts of birth.
const (
	Local            Attributes = 1 << 24 // born in this domain, not imported
	NeverExtractable Attributes = 1 << 25 // was never allowed to leave the domain
	MPCShare         Attributes = 1 << 26 // a share of a key that no machine holds whole
	Attestation      Attributes = 1 << 27 // signs statements of the core about itself, and nothing else
)

const (
	permissions = Sign | Derive | Wrap | Unwrap | Encrypt | Decrypt | Extractable | Modifiable | Cacheable
	limits      = CeremonyOnly
	facts       = Local | NeverExtractable | MPCShare | Attestation
)

// names lists each bit, for String.
var names = []struct {
	bit  Attributes
	name string
}{
	{Sign, "sign"}, {Derive, "derive"}, {Wrap, "wrap"}, {Unwrap, "unwrap"}, {Encrypt, "encrypt"}, {Decrypt, "decrypt"},
	{Extractable, "extractable"}, {Modifiable, "modifiable"}, {Cacheable, "cacheable"}, {CeremonyOnly, "ceremony-only"},
	{Local, "local"}, {NeverExtractable, "never-extractable"}, {MPCShare, "mpc-share"}, {Attestation, "attestation"},
}

// conflicts lists what one key must not be together: roles that make a key a tool for stealing other keys (a key that wraps never decrypts,
// one that signs never wraps), and facts that contradict each other.
var conflicts = [][2]Attributes{
	{Wrap, Decrypt}, {Unwrap, Encrypt}, {Sign, Wrap}, {Sign, Unwrap}, {Sign, Encrypt}, {Sign, Decrypt},
	{Extractable, NeverExtractable}, {CeremonyOnly, NeverExtractable}, {Attestation, Extractable}, {Attestation, Derive},
}

// String lists the bits: "sign+derive+local".
func (a Attributes) String() string {
	var s []string
	for _, n := range names {
		if a&n.bit != 0 {
			s = append(s, n.name)
			a &^= n.bit
		}
	}
	if a != 0 {
		s = append(s, fmt.Sprintf("unknown(%#x)", uint64(a)))
	}
	if len(s) == 0 {
		return "none"
	}
	return strings.Join(s, "+")
}

// Check refuses unknown bits and combinations that no key may have.
func (a Attributes) Check() error {
	if unknown := a &^ (permissions | limits | facts); unknown != 0 {
		return fmt.Errorf("attributes: %s", unknown)
	}
	for _, c := range conflicts {
		if a&c[0] != 0 && a&c[1] != 0 {
			return fmt.Errorf("attributes: a key can't have both %s and %s", c[0], c[1])
		}
	}
	return nil
}

// narrows says whether a change from a to b only takes away.
func (a Attributes) narrows(b Attributes) bool {
	return b&permissions&^a == 0 && a&limits&^b == 0 && a&facts == b&facts
}
