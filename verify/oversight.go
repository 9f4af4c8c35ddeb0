// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"errors"

	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// oversightMade says whether an effect is what an operation of oversight asks for. How long a drain lasts is the rule document's and the clock's.
func oversightMade(o request.OversightBody, b *entry.Effect) error {
	x := b.Oversight
	if x == nil || b.Document != nil || b.Wallet != nil || b.Key != nil || b.Addresses != nil || b.Life != nil {
		return errors.New("the effect is not what becomes of the operational state or of a request")
	}
	var ok bool
	switch o := o.(type) {
	case *request.FreezeBody:
		ok = modeOf(x) == (modeEffect{policy.Frozen, false, false})
	case *request.UnfreezeBody, *request.ResumeBody:
		ok = modeOf(x) == (modeEffect{policy.Normal, false, false})
	case *request.DrainBody:
		ok = modeOf(x) == (modeEffect{policy.Draining, true, false})
	case *request.RequestHoldBody:
		ok = x.Mode == "" && x.Until == 0 && len(x.Released) == 0 && bytes.Equal(x.Held, o.Request)
	case *request.RequestReleaseBody:
		ok = x.Mode == "" && x.Until == 0 && len(x.Held) == 0 && bytes.Equal(x.Released, o.Request)
	}
	if !ok {
		return errors.New("the effect is not what was asked for")
	}
	return nil
}

// modeEffect is what an effect says of the operational state: which, whether it ends, and whether it says more than that.
type modeEffect struct {
	mode       policy.Mode
	ends, more bool
}

func modeOf(x *entry.Oversight) modeEffect {
	return modeEffect{x.Mode, x.Until > 0, len(x.Held)+len(x.Released) > 0}
}
