// SPDX-License-Identifier: Apache-2.0

package wallet_test

import (
	"testing"

	"strongroom/internal/svc/wallet"
	"strongroom/internal/svc/wallet/wallettest"
)

func TestMemoryConforms(t *testing.T) {
	t.Parallel()
	wallettest.Run(t, func(testing.TB) wallet.Store { return wallettest.NewMemory() }, nil)
}
