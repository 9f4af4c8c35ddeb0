// SPDX-License-Identifier: Apache-2.0

package custody_test

import (
	"errors"
	"strings"
	"testing"

	"strongroom/internal/pure/custody"
)

const token = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"

func TestChains(t *testing.T) {
	t.Parallel()
	for c, native := range map[custody.ChainID]custody.AssetID{
		"eip155:1": "eip155:1/slip44:60", "eip155:9223372036854775807": "eip155:9223372036854775807/slip44:60",
		custody.BitcoinMainnet: custody.AssetID(custody.BitcoinMainnet) + "/slip44:0", custody.BitcoinTestnet: custody.AssetID(custody.BitcoinTestnet) + "/slip44:1",
		custody.BitcoinSignet: custody.AssetID(custody.BitcoinSignet) + "/slip44:1", custody.BitcoinRegtest: custody.AssetID(custody.BitcoinRegtest) + "/slip44:1",
	} {
		if err := c.Check(); err != nil || c.Native() != native || native.Check() != nil || native.Chain() != c {
			t.Errorf("%s: %v, native %s", c, err, c.Native())
		}
		_, evm := c.EVM()
		if evm == c.Bitcoin() {
			t.Errorf("%s is both or neither", c)
		}
	}
	if id, ok := custody.EVMChain(1337).EVM(); !ok || id != 1337 {
		t.Errorf("chain id %d, %v", id, ok)
	}
	for _, c := range []custody.ChainID{"", "eip155", "eip155:", "eip155:0", "eip155:01", "eip155:-1", "eip155:1 ", " eip155:1", "eip155:0x1", "eip155:9223372036854775808", "eip155:1\n",
		"EIP155:1", "bip122:", "bip122:000000000019d6689c085ae165831e94", "bip122:000000000019D6689C085AE165831E93", "solana:1"} {
		if c.Check() == nil {
			t.Errorf("%q is accepted", c)
		}
	}
}

func TestAssets(t *testing.T) {
	t.Parallel()
	usd := custody.AssetID("eip155:1/erc20:" + token)
	if a, ok := usd.ERC20(); !ok || a != token || usd.Check() != nil || usd.Chain() != "eip155:1" {
		t.Errorf("%s: %s %v %v", usd, a, ok, usd.Check())
	}
	btc := string(custody.BitcoinMainnet)
	for _, a := range []string{"", "/", "eip155:1", "eip155:1/", "eip155:1/slip44:0", "eip155:1/slip44:060", btc + "/slip44:60", btc + "/erc20:" + token, "eip155:1/erc20:", "eip155:1/erc20:" + token + "0",
		"eip155:1/erc20:" + token[:41], "eip155:1/ERC20:" + token, "eip155:1/erc20:0X" + token[2:], "eip155:1/erc20:" + token + "/1", "eip155:1/erc20:" + token + "\n", "eip155:0/slip44:60"} {
		if custody.AssetID(a).Check() == nil {
			t.Errorf("%q is accepted", a)
		}
	}
}

func TestIDs(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", custody.MaxSlug)
	for name, c := range map[string]struct {
		check func(string) error
		good  []string
		bad   []string
	}{
		"person": {func(s string) error { return custody.PersonID(s).Check() }, []string{"p_abcdefghijklmnop", "p_2345672345672345"},
			[]string{"", "p_", "p_abcdefghijklmno", "p_abcdefghijklmnopq", "p_abcdefghijklmno1", "p_ABCDEFGHIJKLMNOP", "q_abcdefghijklmnop", "p_abcdefghijklmnop\n"}},
		"group":  {func(s string) error { return custody.GroupID(s).Check() }, []string{"a", "officers", "team-2", long}, []string{"", "2a", "-a", "a-", "a--b", "A", "a_b", "a b", "ä", long + "a", "a\n"}},
		"wallet": {func(s string) error { return custody.WalletID(s).Check() }, []string{"hot"}, []string{"", "../x", "hot/1"}},
		"key": {func(s string) error { return custody.KeyID(s).Check() }, []string{strings.Repeat("0f", 16)},
			[]string{"", strings.Repeat("0F", 16), strings.Repeat("0", 31), strings.Repeat("0", 33), strings.Repeat("g", 32)}},
		"request":   {func(s string) error { _, err := custody.ParseRequestID(s); return err }, []string{strings.Repeat("0f", 32)}, []string{"", strings.Repeat("0F", 32), strings.Repeat("0", 62)}},
		"domain":    {func(s string) error { _, err := custody.ParseDomainID(s); return err }, []string{strings.Repeat("00", 32)}, []string{"0x" + strings.Repeat("00", 31)}},
		"authority": {func(s string) error { _, err := custody.ParseAuthorityID(s); return err }, []string{strings.Repeat("ff", 32)}, []string{strings.Repeat("ff", 33)}},
		"profile":   {func(s string) error { return custody.Profile(s).Check() }, []string{"evaluation", "production"}, []string{"", "Production", "test"}},
	} {
		for _, s := range c.good {
			if err := c.check(s); err != nil {
				t.Errorf("%s %q: %v", name, s, err)
			}
		}
		for _, s := range c.bad {
			if err := c.check(s); err == nil {
				t.Errorf("%s %q is accepted", name, s)
			}
		}
	}
	if err := custody.CheckSlug("x", "A"); !errors.Is(err, custody.ErrID) {
		t.Errorf("wraps %v", err)
	}
	id, err := custody.ParseRequestID(strings.Repeat("0f", 32))
	if err != nil || id.String() != strings.Repeat("0f", 32) || id == (custody.RequestID{}) || !(custody.AuthorityID{}).IsZero() {
		t.Errorf("request id %s, %v", id, err)
	}
}
