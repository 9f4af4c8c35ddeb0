// SPDX-License-Identifier: Apache-2.0

package request_test

import (
	"strings"
	"testing"

	"strongroom/internal/pure/request"
)

// A name in an address book is never what somebody may have typed as an address, of whatever chain and however spelt.
func TestBookIDs(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"exchange", "bank-2", "tb", "bc", "b", "deadbeef", "bcr", "tbd-fund", "mainstreet"} {
		if err := request.CheckBookID(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, address := range []string{
		"bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", // BIP-173
		"BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
		"bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5", // a digit wrong
		"tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx",
		"bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080",
		"1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2", "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn", // base58check, main and test networks
		"0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed", "0xabc",
		"5aaeb6053f3e94c9b9a09f33669435e7ef1beaed", "aaaeb6053f3e94c9b9a09f33669435e7ef1beaed", // without 0x; the second is a slug
	} {
		if !request.LooksLikeAddress(address) {
			t.Errorf("%s does not look like an address", address)
		}
		if err := request.CheckBookID(address); err == nil {
			t.Errorf("%s is a name", address)
		}
	}
	if err := request.CheckBookID("The Bank"); err == nil || !strings.Contains(err.Error(), "lower-case") {
		t.Errorf("no slug: %v", err)
	}
}
