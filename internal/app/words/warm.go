// SPDX-License-Identifier: Apache-2.0

package words

import (
	"fmt"

	"strongroom/internal/pure/request"
)

const warmMeans = "its key is used inside sessions only, which people open for an amount and a time"

// warm says what an operation on a wallet's temperature asks for.
func warm(b request.WarmBody) []string {
	switch b := b.(type) {
	case *request.WalletTemperatureBody:
		out := []string{fmt.Sprintf("make the wallet %q %s", b.Wallet, b.To)}
		if b.To == request.Warm {
			return append(out, warmMeans)
		}
		return append(out, "its key is then used whenever the rules allow a transfer, without a session")
	case *request.WarmOpenBody:
		return []string{fmt.Sprintf("open a session of the warm wallet %q:", b.Wallet),
			"  for transfers of at most " + Amount(b.Asset, b.Amount) + " in all, fees in the same coin included",
			"  until " + Unix(b.NotAfter),
			"a session of this asset that is open ends with it"}
	case *request.WarmCloseBody:
		return []string{fmt.Sprintf("close all sessions of the warm wallet %q", b.Wallet)}
	default:
		return []string{fmt.Sprintf("something this version can't describe (%T); do not sign it", b)}
	}
}
