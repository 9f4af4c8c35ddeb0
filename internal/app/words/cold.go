// SPDX-License-Identifier: Apache-2.0

package words

import (
	"fmt"

	"strongroom/internal/pure/request"
)

// move says where a wallet's key goes.
func move(b *request.WalletMoveBody) []string {
	if b.Temperature == request.Cold {
		return []string{fmt.Sprintf("move the key of the wallet %q to the offline domain %x: it is erased here", b.Wallet, []byte(b.To)),
			"its transfers are then signed on that machine only, after two of its operators have confirmed"}
	}
	out := []string{fmt.Sprintf("bring the key of the wallet %q back from its offline domain, to the domain %x", b.Wallet, []byte(b.To))}
	if b.Temperature == request.Warm {
		return append(out, "and keep the wallet warm there: "+warmMeans)
	}
	return append(out, "where it is used whenever the rules allow a transfer")
}
