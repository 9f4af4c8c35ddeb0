// SPDX-License-Identifier: Apache-2.0

// Package nodes is the root of the module that runs real chain nodes for tests
// and demos, nested so that their dependencies never enter the product's:
//
//	ethnode     go-ethereum's node in this process
//	btcnode     btcd on regtest, built from the pinned version
//	automine    blocks by themselves, on either
//	testtoken   the ERC-20 contract that is deployed
//	devnet      all of them together, with a control interface over HTTP
//	cmd/devnet  the program; start reading there
//
// Tests of the product use strongroom/internal/nodestest, which builds and
// runs cmd/devnet.
//
// The package itself carries this module's go.mod and go.sum inside the
// programs built from it: btcnode builds btcd from these very bytes, wherever
// the program runs.
package nodes

import _ "embed"

// GoMod is this module's go.mod: the versions of all node programs.
//
//go:embed go.mod
var GoMod []byte

// GoSum is this module's go.sum: the hashes of everything go.mod names.
//
//go:embed go.sum
var GoSum []byte
