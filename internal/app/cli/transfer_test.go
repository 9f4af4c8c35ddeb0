// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"strings"
	"testing"

	"strongroom/client"
	"strongroom/internal/pure/custody"
)

const (
	typed = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4" // BIP-173's P2WPKH example
	evil  = "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"
)

// What somebody typed as an address is what is signed, whatever serve says that its address book holds.
func TestATypedAddressIsNotLookedUp(t *testing.T) {
	t.Parallel()
	wrong := typed[:len(typed)-1] + "5"
	const test = "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx"
	book := func() ([]client.BookEntry, error) {
		var out []client.BookEntry
		for _, id := range []string{typed, wrong, test, "alice"} {
			out = append(out, client.BookEntry{ID: id, Chain: custody.BitcoinMainnet, Address: evil})
		}
		return out, nil
	}
	ask := func(to ...string) (*client.Transfer, []client.BookEntry, error) {
		c := requestTransfer{Wallet: "hot", To: to, FeeCap: "500sat"}
		return c.body(custody.BitcoinMainnet.Native(), book)
	}
	b, named, err := ask(typed+"=1000sat", "alice=5sat")
	if err != nil || b.Outputs[0].Address != typed || b.Outputs[1].Address != evil || len(named) != 1 || named[0].ID != "alice" {
		t.Errorf("%v, %+v, by name %+v", err, b, named)
	}
	for name, to := range map[string]string{"a digit wrong": wrong, "of another network": test, "no such name": "bob"} {
		if b, _, err := ask(to + "=1000sat"); err == nil {
			t.Errorf("%s: pays %s", name, b.Outputs[0].Address)
		}
	}
	if _, _, err := (&requestTransfer{To: []string{"alice=1"}, FeeCap: "1wei"}).body(custody.EVMChain(1).Native(), book); err == nil || !strings.Contains(err.Error(), "Bitcoin main network") {
		t.Errorf("a name of another chain: %v", err)
	}
}

// The address behind a name is shown, and nothing is signed for it unless somebody said yes.
func TestANameIsConfirmed(t *testing.T) {
	t.Parallel()
	named := []client.BookEntry{{ID: "alice", Chain: custody.BitcoinMainnet, Address: typed}}
	for _, yes := range []bool{false, true} {
		var words bytes.Buffer
		e := &env{Streams: Streams{Err: &words}}
		err := (&requestTransfer{Yes: yes}).confirmNames(e, named)
		if (err == nil) != yes || !strings.Contains(words.String(), "alice is "+typed+" on Bitcoin main network") {
			t.Errorf("--yes %v: %v, told %q", yes, err, words.String())
		}
		if err != nil && (statusOf(err) != exitUsage || !strings.Contains(hintFor(err, ""), "--yes")) {
			t.Errorf("status %d, hint %q", statusOf(err), hintFor(err, ""))
		}
	}
	if err := (&requestTransfer{}).confirmNames(&env{}, nil); err != nil {
		t.Error(err)
	}
}
