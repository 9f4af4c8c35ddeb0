// SPDX-License-Identifier: Apache-2.0

package price

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/testimony"
)

// Signer is who signs what a source says.
type Signer = testimony.Signer

// MaxSigned is the largest signed quote, in bytes.
const MaxSigned = testimony.MaxSigned

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
		return fmt.Errorf("version %d is not known; this version reads 1", q.V)
	}
	if err := custody.CheckSlug("source", q.Source); err != nil {
		return err
	}
	if err := errors.Join(q.Asset.Check(), CheckCurrency(q.Currency), q.Rate.Check()); err != nil {
		return err
	}
	return testimony.CheckTime("asOf", q.AsOf)
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
type Signed = testimony.Signed[Quote]

// Sign signs a quote.
func Sign(q Quote, signer string, key ed25519.PrivateKey) Signed {
	return testimony.Sign(q, signer, key)
}

// Decode reads a signed quote: canonical, and well-formed.
func Decode(b []byte) (Signed, error) {
	s, err := testimony.Decode[Quote](b)
	if err != nil {
		return s, fmt.Errorf("quote: %w", err)
	}
	return s, nil
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
