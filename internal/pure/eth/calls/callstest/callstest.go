// SPDX-License-Identifier: Apache-2.0

// Package callstest makes call data for tests. Only tests import it.
package callstest

import (
	"testing"

	"strongroom/internal/pure/eth/abi"
)

// Addresses of the tests.
const (
	Token = "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"
	Safe  = "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb"
	Multi = "0x8617E340B3D01FA5F11F306F4090FD50E238070D"
	Dex   = "0x52908400098527886E0F7030069857D2E4169EE7"
	Payee = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
)

// Data gives the call data of a function, by its signature, with arguments in JSON.
func Data(t testing.TB, signature, args string) []byte {
	t.Helper()
	f, err := abi.ParseFunction(signature)
	if err != nil {
		t.Fatal(err)
	}
	vs, err := abi.FromJSON(f.Inputs, []byte(args))
	if err != nil {
		t.Fatal(err)
	}
	return f.EncodeCall(vs)
}
