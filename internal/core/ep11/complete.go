// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"fmt"

	"strongroom/internal/core/ep11/family/agree"
	"strongroom/internal/core/ep11/family/bls"
	"strongroom/internal/core/ep11/family/derive"
	"strongroom/internal/core/ep11/family/ed448"
	"strongroom/internal/core/ep11/family/lattice"
	"strongroom/internal/core/ep11/family/modular"
	"strongroom/internal/core/ep11/family/schnorr"
	"strongroom/internal/core/ep11/family/wallet"
	"strongroom/internal/core/internal/curve"
)

// Complete makes an engine of all families of this version.
func Complete() (*Engine, error) {
	backend, err := curve.New()
	if err != nil {
		return nil, fmt.Errorf("ep11: %w", err)
	}
	groups, err := modular.Set()
	if err != nil {
		return nil, err
	}
	return New(agree.Set(backend), wallet.Set(backend), schnorr.Set(backend), bls.Set(), groups, derive.Set(), ed448.Set(), lattice.Set())
}
