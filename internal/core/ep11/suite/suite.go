// SPDX-License-Identifier: Apache-2.0

// Package suite lists the families of mechanisms that a core offers to applications, and makes the engine of them (docs/spec/grep11.md).
package suite

import (
	"fmt"

	"strongroom/internal/core/ep11"
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

// New makes the engine of all families.
func New() (*ep11.Engine, error) {
	b, err := curve.New()
	if err != nil {
		return nil, fmt.Errorf("mechanisms for applications: %w", err)
	}
	groups, err := modular.Set()
	if err != nil {
		return nil, fmt.Errorf("mechanisms for applications: %w", err)
	}
	return ep11.New(agree.Set(b), bls.Set(), derive.Set(), ed448.Set(), lattice.Set(), groups, schnorr.Set(b), wallet.Set(b))
}
