// SPDX-License-Identifier: Apache-2.0

package request

import (
	"errors"
	"fmt"
)

// Class says where a wallet's key is used. In bodies and entries the class core is left out, so that what is older than classes says the same.
type Class string

// The classes.
const (
	ClassCore  Class = "core"  // in the core, derived from a seed that backups have, sealed
	ClassToken Class = "token" // in the token of the root of trust, which it never leaves: no backup has it (docs/spec/token-wallets.md)
)

// Check says whether c is known.
func (c Class) Check() error {
	if c != ClassCore && c != ClassToken {
		return fmt.Errorf("class %q is neither %q nor %q", string(c), ClassCore, ClassToken)
	}
	return nil
}

// Named gives the class with its name, where it may have been left out.
func (c Class) Named() Class {
	if c == "" {
		return ClassCore
	}
	return c
}

// checkClass says whether a wallet can be made with its class. A key in the token is one key with one address: nothing is derived from it, so there is
// no seed, no account, and no change to pay to; and it can't be confined in the core, which does not have it.
func (b *WalletCreateBody) checkClass() error {
	switch {
	case b.Class == "":
		return nil
	case b.Class != ClassToken:
		return fmt.Errorf("class can be %q; leave it out for a wallet of class %q", ClassToken, ClassCore)
	case b.Scheme != SchemeEVM:
		return fmt.Errorf("a wallet of class %q has the scheme %q: its one key has one address, and a Bitcoin wallet needs others for change", ClassToken, SchemeEVM)
	case b.Seed != "" || b.Account != 0:
		return errors.New("a key that is born in the token has no seed and no account; leave them out")
	case b.Temperature != "":
		return fmt.Errorf("a wallet of class %q is %s; leave the temperature out, and bound it by rules (source.class)", ClassToken, Hot)
	default:
		return nil
	}
}
