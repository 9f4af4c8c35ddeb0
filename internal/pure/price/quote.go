// SPDX-License-Identifier: Apache-2.0

package price

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
)

// MaxSigned is the largest signed quote, in bytes.
const MaxSigned = 1024

// Signer is who signs what a source says.
type Signer struct {
	ID  string `cbor:"1,keyasint" json:"id"`
	Pub []byte `cbor:"2,keyasint" json:"pub"` // Ed25519, 32 bytes
}

// Check says whether s is well-formed.
func (s Signer) Check() error {
	if err := custody.CheckSlug("signer", s.ID); err != nil {
		return err
	}
	if len(s.Pub) != ed25519.PublicKeySize {
		return fmt.Errorf("signer %s: an Ed25519 key has %d bytes, not %d", s.ID, ed25519.PublicKeySize, len(s.Pub))
	}
	return nil
}

// Quote is what one signer says that an asset is worth.
type Quote struct {
	V         uint                `cbor:"1,keyasint"` // 1
	Authority custody.AuthorityID `cbor:"2,keyasint"` // whose rules it is for
	Source    string              `cbor:"3,keyasint"` // of the rule document
	Asset     custody.AssetID     `cbor:"4,keyasint"` // CAIP-19
	Currency  string              `cbor:"5,keyasint"` // ISO 4217, three capital letters
	Rate      Rate                `cbor:"6,keyasint"`
	AsOf      int64               `cbor:"7,keyasint"` // Unix seconds; rises with each quote of a signer
}

// Check says whether q is well-formed.
func (q Quote) Check() error {
	if q.V != 1 {
		return fmt.Errorf("quote: version %d is not known; this version reads 1", q.V)
	}
	if err := custody.CheckSlug("source", q.Source); err != nil {
		return fmt.Errorf("quote: %w", err)
	}
	if err := errors.Join(q.Asset.Check(), CheckCurrency(q.Currency), q.Rate.Check()); err != nil {
		return fmt.Errorf("quote: %w", err)
	}
	if q.AsOf <= 0 || q.AsOf > 1<<33 {
		return fmt.Errorf("quote: asOf %d is no time in Unix seconds", q.AsOf)
	}
	return nil
}

// CheckCurrency says whether c has the form of a currency: three capital letters, as in ISO 4217.
func CheckCurrency(c string) error {
	if len(c) != 3 || c[0] < 'A' || c[0] > 'Z' || c[1] < 'A' || c[1] > 'Z' || c[2] < 'A' || c[2] > 'Z' {
		return fmt.Errorf("currency %.10q: want three capital letters, for instance USD", c)
	}
	return nil
}

// Message is what a signer signs.
func (q Quote) Message() []byte { return canon.Message(canon.TagQuote, &q) }

// Signed is a quote with its signature.
type Signed struct {
	Quote  Quote  `cbor:"1,keyasint"`
	Signer string `cbor:"2,keyasint"` // id, in the source
	Sig    []byte `cbor:"3,keyasint"` // 64 bytes
}

// Sign signs a quote.
func Sign(q Quote, signer string, key ed25519.PrivateKey) Signed {
	return Signed{Quote: q, Signer: signer, Sig: ed25519.Sign(key, q.Message())}
}

// Decode reads a signed quote: canonical, and well-formed.
func Decode(b []byte) (s Signed, err error) {
	if len(b) > MaxSigned {
		return s, fmt.Errorf("quote: has %d bytes, more than %d", len(b), MaxSigned)
	}
	if err := canon.Decode(b, &s); err != nil {
		return s, fmt.Errorf("quote: %w", err)
	}
	return s, s.Check()
}

// Encode gives the canonical encoding.
func (s Signed) Encode() []byte { return canon.Encode(&s) }

// Check says whether s is well-formed. It does not verify the signature.
func (s Signed) Check() error {
	if err := custody.CheckSlug("signer", s.Signer); err != nil {
		return fmt.Errorf("quote: %w", err)
	}
	if len(s.Sig) != ed25519.SignatureSize {
		return fmt.Errorf("quote: a signature has %d bytes, not %d", ed25519.SignatureSize, len(s.Sig))
	}
	return s.Quote.Check()
}

// Verify says whether the signature is the key's over this quote.
func (s Signed) Verify(pub []byte) bool {
	return len(pub) == ed25519.PublicKeySize && ed25519.Verify(pub, s.Quote.Message(), s.Sig)
}

// Digits gives how many digits a currency has after the point of its whole unit (ISO 4217, list one); 2 for those that are not known here.
func Digits(currency string) uint32 {
	switch currency {
	case "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF":
		return 0
	case "BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND":
		return 3
	case "CLF", "UYW":
		return 4
	default:
		return 2
	}
}
