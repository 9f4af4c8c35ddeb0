// SPDX-License-Identifier: Apache-2.0

package pkcs11

import (
	"testing"

	"strongroom/internal/core/durable"
	"strongroom/internal/core/hsm"
	"strongroom/internal/core/hsm/hsmtest"
)

// harness makes roots on SoftHSM, each on a token of its own.
func harness(t *testing.T) hsmtest.Harness {
	b := softHSM(t)
	l := b.library(t, nil)
	return hsmtest.Harness{Arena: l.cfg.Arena, Start: func(t *testing.T) func(*testing.T) hsm.Root {
		cfg := config(t, l, b.token(t))
		closeRoot(t, mustCreate(t, l, durable.OS(), cfg))
		return func(t *testing.T) hsm.Root { return mustOpen(t, l, durable.OS(), cfg) }
	}}
}

func TestConformance(t *testing.T) { t.Parallel(); hsmtest.Run(t, harness(t)) }

func TestRandomness(t *testing.T) { t.Parallel(); hsmtest.RunRandomness(t, harness(t)) }

func TestTokenKeys(t *testing.T) { t.Parallel(); hsmtest.RunTokenKeys(t, harness(t), hsm.Algorithms()) }

// TestWrappedKeys is without Ed25519, which SoftHSM 2.6 can't wrap.
func TestWrappedKeys(t *testing.T) {
	t.Parallel()
	hsmtest.RunWrappedKeys(t, harness(t), []hsm.Algorithm{hsm.ECDSASecp256k1, hsm.ECDSAP256})
}
