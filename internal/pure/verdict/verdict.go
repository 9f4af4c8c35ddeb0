// SPDX-License-Identifier: Apache-2.0

// Package verdict has signed verdicts of screening: what a source says of the risk of paying an address, or of a request as a whole. It refuses verdicts of no
// known form, and addresses in another spelling than the one that rules and requests use; who may sign them, and how long they count, is for the rule document
// to say (docs/spec/screening.md).
package verdict

import (
	"cmp"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/testimony"
)

// Bounds of a verdict.
const (
	MaxRisk       = 100 // the worst; 0 is harmless
	MaxCategories = 16
	EvidenceSize  = 32 // bytes of the hash
)

// Exposure says how a subject has to do with what its categories name.
type Exposure string

// The exposures, harmless first.
const (
	NotExposed Exposure = "none"
	Indirect   Exposure = "indirect" // through others
	Direct     Exposure = "direct"
)

// Status is what a source makes of it.
type Status string

// The statuses, harmless first: of several the last counts.
const (
	Accept Status = "accept"
	Wait   Status = "wait"  // the source is not done yet
	Alert  Status = "alert" // somebody should look
	Reject Status = "reject"
	Freeze Status = "freeze" // what comes from there should not go on either
)

// Exposures lists the exposures, harmless first.
func Exposures() []Exposure { return []Exposure{NotExposed, Indirect, Direct} }

// Statuses lists the statuses, harmless first.
func Statuses() []Status { return []Status{Accept, Wait, Alert, Reject, Freeze} }

// Subject is what a verdict is about: an address on a chain, or a request of this authority. A request is named by its hash, which binds what it pays: its id
// would not, and whoever had one payment screened could ask for another under the same idempotency key.
type Subject struct {
	Chain   custody.ChainID  `cbor:"1,keyasint,omitempty"` // CAIP-2
	Address string           `cbor:"2,keyasint,omitempty"` // in its one spelling: EIP-55, lower-case bech32
	Request custody.HexBytes `cbor:"3,keyasint,omitempty"` // hash ([request.Request.Hash]), 32 bytes; then the others are absent
}

// OfAddress gives the subject of an address.
func OfAddress(c custody.ChainID, address string) Subject { return Subject{Chain: c, Address: address} }

// OfRequest gives the subject of a request, by its hash.
func OfRequest(hash [32]byte) Subject { return Subject{Request: hash[:]} }

// Key is a subject as maps know it.
type Key struct {
	Chain   custody.ChainID
	Address string
	Request string // the bytes of the hash, or nothing
}

// Key gives the key of a subject.
func (s Subject) Key() Key { return Key{s.Chain, s.Address, string(s.Request)} }

// Compare orders subjects: by chain and address, then requests by hash.
func (s Subject) Compare(o Subject) int {
	return cmp.Or(cmp.Compare(len(s.Request), len(o.Request)), cmp.Compare(s.Chain, o.Chain), cmp.Compare(s.Address, o.Address), slices.Compare(s.Request, o.Request))
}

// String names a subject.
func (s Subject) String() string {
	if len(s.Request) > 0 {
		return fmt.Sprintf("request %x", []byte(s.Request))
	}
	return s.Address + " on " + string(s.Chain)
}

// Check says whether s is one subject, in its one spelling: two spellings of an address would be two subjects.
func (s Subject) Check() error {
	if len(s.Request) > 0 {
		if len(s.Request) != 32 || s.Chain != "" || s.Address != "" {
			return errors.New("subject: a request is named by its hash of 32 bytes alone")
		}
		return nil
	}
	if err := s.Chain.Check(); err != nil {
		return fmt.Errorf("subject: %w", err)
	}
	if _, err := request.CanonicalAddress(s.Chain, s.Address); err != nil { // also of another spelling
		return fmt.Errorf("subject: %w", err)
	}
	return nil
}

// Verdict is what one signer says of a subject.
type Verdict struct {
	V          uint                `cbor:"1,keyasint"` // 1
	Authority  custody.AuthorityID `cbor:"2,keyasint"` // whose rules it is for
	Source     string              `cbor:"3,keyasint"` // of the rule document
	Subject    Subject             `cbor:"4,keyasint"`
	Risk       uint32              `cbor:"5,keyasint"`           // 0 harmless to [MaxRisk]
	Categories []string            `cbor:"6,keyasint,omitempty"` // slugs: sorted, distinct
	Exposure   Exposure            `cbor:"7,keyasint"`
	Status     Status              `cbor:"8,keyasint"`
	AsOf       int64               `cbor:"9,keyasint"`            // Unix seconds; rises with each verdict of a signer on a subject
	Expires    int64               `cbor:"10,keyasint"`           // Unix seconds; the source's maxAge may end it before
	Evidence   custody.HexBytes    `cbor:"11,keyasint,omitempty"` // hash of what the source keeps about it, 32 bytes
}

// Check says whether v is well-formed.
func (v Verdict) Check() error {
	if v.V != 1 {
		return fmt.Errorf("version %d is not known; this version reads 1", v.V)
	}
	if err := errors.Join(custody.CheckSlug("source", v.Source), v.Subject.Check(), CheckCategories(v.Categories), testimony.CheckTime("asOf", v.AsOf), testimony.CheckTime("expires", v.Expires)); err != nil {
		return err
	}
	switch {
	case v.Risk > MaxRisk:
		return fmt.Errorf("risk is %d; want 0, harmless, to %d", v.Risk, MaxRisk)
	case !slices.Contains(Exposures(), v.Exposure):
		return fmt.Errorf("exposure %q is none of %v", string(v.Exposure), Exposures())
	case !slices.Contains(Statuses(), v.Status):
		return fmt.Errorf("status %q is none of %v", string(v.Status), Statuses())
	case v.Expires <= v.AsOf:
		return fmt.Errorf("expires %d is not after asOf %d", v.Expires, v.AsOf)
	case len(v.Evidence) != 0 && len(v.Evidence) != EvidenceSize:
		return fmt.Errorf("evidence is a hash of %d bytes, not %d", EvidenceSize, len(v.Evidence))
	}
	return nil
}

// CheckCategories says whether a list of categories is one: sorted and distinct slugs.
func CheckCategories(list []string) error {
	if len(list) > MaxCategories {
		return fmt.Errorf("%d categories, more than %d", len(list), MaxCategories)
	}
	for i, c := range list {
		if err := custody.CheckSlug("category", c); err != nil {
			return err
		}
		if i > 0 && list[i-1] >= c {
			return errors.New("categories must be sorted and distinct")
		}
	}
	return nil
}

// Same says whether v says of its subject what o says of it, times and evidence apart.
func (v Verdict) Same(o Verdict) bool {
	return v.Risk == o.Risk && slices.Equal(v.Categories, o.Categories) && v.Exposure == o.Exposure && v.Status == o.Status
}

// Ends gives when a verdict counts no more, Unix seconds: at its own end, and maxAge seconds after asOf at most.
func (v Verdict) Ends(maxAge int64) int64 { return min(v.Expires, v.AsOf+maxAge) }

// Worst gives what several signers say together: the highest risk, all categories, the worst exposure and status, and the oldest asOf.
func Worst(list []Verdict) (out Verdict) {
	for i, v := range list {
		if i == 0 {
			out = v
			out.Categories = slices.Clone(v.Categories)
			continue
		}
		out.Risk, out.AsOf, out.Expires = max(out.Risk, v.Risk), min(out.AsOf, v.AsOf), min(out.Expires, v.Expires)
		out.Categories = append(out.Categories, v.Categories...)
		out.Exposure, out.Status = later(Exposures(), out.Exposure, v.Exposure), later(Statuses(), out.Status, v.Status)
	}
	slices.Sort(out.Categories)
	out.Categories = slices.Compact(out.Categories)
	return out
}

// later gives that of two which comes later in a list.
func later[T ~string](list []T, a, b T) T {
	if slices.Index(list, b) > slices.Index(list, a) {
		return b
	}
	return a
}

// Message is what a signer signs.
func (v Verdict) Message() []byte { return canon.Message(canon.TagVerdict, &v) }

// Signed is a verdict with its signature.
type Signed = testimony.Signed[Verdict]

// Sign signs a verdict.
func Sign(v Verdict, signer string, key ed25519.PrivateKey) Signed {
	return testimony.Sign(v, signer, key)
}

// Decode reads a signed verdict: canonical, and well-formed.
func Decode(b []byte) (Signed, error) {
	s, err := testimony.Decode[Verdict](b)
	if err != nil {
		return s, fmt.Errorf("verdict: %w", err)
	}
	return s, nil
}
