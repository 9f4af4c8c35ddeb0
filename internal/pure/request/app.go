// SPDX-License-Identifier: Apache-2.0

package request

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"strongroom/internal/pure/custody"
)

// Limits of a grant to an application. docs/spec/grep11.md.
const (
	MaxGrantMechanisms = 256
	MaxGrantKeys       = 256
	MaxGrantRate       = 1_000_000 // calls a second, and at once
	MaxRevokedAtOnce   = 256       // keys of one app_key_revoke
	maxCaller          = 128       // bytes
)

// AppCaller names who calls through a gateway, as the gateway has authenticated them: "cert:" and the SHA-256 of the public key (SPKI) of their
// certificate as 64 lower-case hex digits, "token:" and the subject of their token, or "local:" and a name on a gateway's own machine.
type AppCaller string

// Check says whether c has one of its three forms.
func (c AppCaller) Check() error {
	how, name, _ := strings.Cut(string(c), ":")
	switch how {
	case "cert":
		if b, err := hex.DecodeString(name); err == nil && len(b) == 32 && hex.EncodeToString(b) == name {
			return nil
		}
	case "token", "local":
		plain := func(r rune) bool {
			return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._:@/+-", r)
		}
		if name != "" && len(c) <= maxCaller && !strings.ContainsFunc(name, func(r rune) bool { return !plain(r) }) {
			return nil
		}
	}
	return fmt.Errorf("caller %.80q is not cert: and 64 lower-case hex digits, nor token: or local: and up to %d characters of A-Z a-z 0-9 . _ : @ / + -", string(c), maxCaller-6)
}

// AppFunction names what an application may do with keys. Names are wire format. Random numbers, digests of data, lists of mechanisms, login and
// logout need a grant and no function of it.
type AppFunction string

// The functions.
const (
	AppAttributes AppFunction = "attributes" // read attributes of a key
	AppDecrypt    AppFunction = "decrypt"
	AppDerive     AppFunction = "derive"
	AppDigest     AppFunction = "digest" // a key goes into a digest
	AppEncrypt    AppFunction = "encrypt"
	AppGenerate   AppFunction = "generate"  // keys and key pairs
	AppModify     AppFunction = "modify"    // narrow attributes of a key
	AppReencrypt  AppFunction = "reencrypt" // decrypt and encrypt in one call
	AppRewrap     AppFunction = "rewrap"    // a key for the next epoch
	AppSign       AppFunction = "sign"      // MACs too
	AppUnwrap     AppFunction = "unwrap"
	AppVerify     AppFunction = "verify"
	AppWrap       AppFunction = "wrap"
)

// AppFunctions lists the functions, sorted.
func AppFunctions() []AppFunction {
	return []AppFunction{AppAttributes, AppDecrypt, AppDerive, AppDigest, AppEncrypt, AppGenerate, AppModify, AppReencrypt, AppRewrap, AppSign, AppUnwrap, AppVerify, AppWrap}
}

// AppGrantBody asks to let a caller of a gateway use keys for applications: its own, or some of them. It takes the place of the grant that this
// caller has, if there is one.
type AppGrantBody struct {
	Grant      string           `cbor:"1,keyasint" json:"grant"`                    // slug; a name of its own among the grants in force
	Caller     AppCaller        `cbor:"2,keyasint" json:"caller"`                   //
	Gateway    custody.PersonID `cbor:"3,keyasint" json:"gateway"`                  // service that authenticates the caller
	Functions  []AppFunction    `cbor:"4,keyasint" json:"functions"`                // sorted, distinct
	Mechanisms []uint64         `cbor:"5,keyasint" json:"mechanisms"`               // CKM numbers, ascending, distinct
	Keys       []custody.KeyID  `cbor:"6,keyasint,omitempty" json:"keys,omitempty"` // sorted, distinct; empty: all that the caller owns, new ones too
	Rate       uint64           `cbor:"7,keyasint" json:"rate"`                     // calls a second
	Burst      uint64           `cbor:"8,keyasint" json:"burst"`                    // calls at once after a pause
	MaxUses    uint64           `cbor:"9,keyasint,omitempty" json:"maxUses,omitempty"`
	NotAfter   int64            `cbor:"10,keyasint" json:"notAfter"`                   // Unix seconds: its end, at most [MaxGrant] ahead
	Import     bool             `cbor:"11,keyasint,omitempty" json:"import,omitempty"` // keys from outside may be brought in
	Compat     bool             `cbor:"12,keyasint,omitempty" json:"compat,omitempty"` // the compatibility profile holds for it
}

// AppRevokeBody asks to end a grant.
type AppRevokeBody struct {
	Grant string `cbor:"1,keyasint" json:"grant"`
}

// AppKeyRevokeBody asks to end keys for applications for ever.
type AppKeyRevokeBody struct {
	Keys []custody.KeyID `cbor:"1,keyasint" json:"keys"` // sorted, distinct
}

// AppBody is a body that is about applications and their keys.
type AppBody interface {
	Body
	app()
}

func (*AppGrantBody) app()     {}
func (*AppRevokeBody) app()    {}
func (*AppKeyRevokeBody) app() {}

// AppEffects is what approvers of a grant, or of its end, see beside the request itself.
type AppEffects struct {
	Grant   string           `cbor:"1,keyasint,omitempty" json:"grant,omitempty"`
	Caller  AppCaller        `cbor:"2,keyasint,omitempty" json:"caller,omitempty"`
	Gateway custody.PersonID `cbor:"3,keyasint,omitempty" json:"gateway,omitempty"`
	Keys    []custody.KeyID  `cbor:"4,keyasint,omitempty" json:"keys,omitempty"` // to revoke
}

// AppEffectsOf gives them, and the end of a grant in Unix seconds, 0 for others.
func AppEffectsOf(b AppBody) (e AppEffects, until int64) {
	switch o := b.(type) {
	case *AppGrantBody:
		return AppEffects{Grant: o.Grant, Caller: o.Caller, Gateway: o.Gateway}, o.NotAfter
	case *AppRevokeBody:
		return AppEffects{Grant: o.Grant}, 0
	case *AppKeyRevokeBody:
		return AppEffects{Keys: o.Keys}, 0
	}
	return e, 0
}

func (b *AppGrantBody) check() error {
	if err := custody.CheckSlug("grant", b.Grant); err != nil {
		return err
	}
	if err := b.Caller.Check(); err != nil {
		return err
	}
	if err := b.Gateway.Check(); err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	if err := b.checkFunctions(); err != nil {
		return err
	}
	if len(b.Keys) > MaxGrantKeys {
		return fmt.Errorf("keys: %d, more than %d; leave them out for all that the caller owns", len(b.Keys), MaxGrantKeys)
	}
	if err := checkSorted("keys", b.Keys); err != nil {
		return err
	}
	switch {
	case b.Rate < 1 || b.Rate > MaxGrantRate || b.Burst < 1 || b.Burst > MaxGrantRate:
		return fmt.Errorf("rate and burst must be 1 to %d calls", MaxGrantRate)
	case b.NotAfter <= 0 || b.NotAfter > maxTime:
		return errors.New("notAfter must be the grant's end in Unix seconds")
	}
	return nil
}

func (b *AppGrantBody) checkFunctions() error {
	if len(b.Functions) == 0 || len(b.Mechanisms) > MaxGrantMechanisms {
		return fmt.Errorf("a grant has at least one function, and at most %d mechanisms", MaxGrantMechanisms)
	}
	for i, f := range b.Functions {
		if !slices.Contains(AppFunctions(), f) {
			return fmt.Errorf("function %.40q is none of %v", string(f), AppFunctions())
		}
		if i > 0 && b.Functions[i-1] >= f {
			return errors.New("functions must be sorted and distinct")
		}
	}
	for i, m := range b.Mechanisms {
		if i > 0 && b.Mechanisms[i-1] >= m {
			return errors.New("mechanisms must be ascending and distinct")
		}
	}
	return nil
}

// Allows says whether the grant has a function.
func (b *AppGrantBody) Allows(f AppFunction) bool {
	_, ok := slices.BinarySearch(b.Functions, f)
	return ok
}

// Mechanism says whether the grant has a mechanism.
func (b *AppGrantBody) Mechanism(m uint64) bool {
	_, ok := slices.BinarySearch(b.Mechanisms, m)
	return ok
}

// Key says whether the grant is for a key: one of those that it names, or any if it names none.
func (b *AppGrantBody) Key(id custody.KeyID) bool {
	_, ok := slices.BinarySearch(b.Keys, id)
	return ok || len(b.Keys) == 0
}

func (b *AppRevokeBody) check() error { return custody.CheckSlug("grant", b.Grant) }

func (b *AppKeyRevokeBody) check() error {
	if len(b.Keys) == 0 || len(b.Keys) > MaxRevokedAtOnce {
		return fmt.Errorf("keys: want 1 to %d", MaxRevokedAtOnce)
	}
	return checkSorted("keys", b.Keys)
}
