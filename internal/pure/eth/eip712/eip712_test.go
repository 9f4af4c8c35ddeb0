// SPDX-License-Identifier: Apache-2.0

package eip712_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/accounts"
	"github.com/ethereum/go-ethereum/signer/core/apitypes"
	"pgregory.net/rapid"

	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/eth/eip712"
	"strongroom/internal/pure/request"
)

const (
	spender = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
	token   = "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"
)

// mail is the example of EIP-712, as others write it.
const mail = `{"types":{"EIP712Domain":[{"name":"name","type":"string"},{"name":"version","type":"string"},{"name":"chainId","type":"uint256"},{"name":"verifyingContract","type":"address"}],
"Person":[{"name":"name","type":"string"},{"name":"wallet","type":"address"}],"Mail":[{"name":"from","type":"Person"},{"name":"to","type":"Person"},{"name":"contents","type":"string"}]},
"primaryType":"Mail","domain":{"name":"Ether Mail","version":"1","chainId":1,"verifyingContract":"0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC"},
"message":{"from":{"name":"Cow","wallet":"0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"},"to":{"name":"Bob","wallet":"0xbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"},"contents":"Hello, Bob!"}}`

func canonical(t testing.TB, text string) string {
	t.Helper()
	b, err := eip712.Canonical([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return string(b)
}

func typed(content string) *request.MessageSignBody {
	return &request.MessageSignBody{Wallet: "hot", Kind: request.TypedMessage, Content: content}
}

// TestExample: the hash of the example in EIP-712, and what is told of it.
func TestExample(t *testing.T) {
	t.Parallel()
	text := canonical(t, mail)
	exact, err := eip712.Exact(typed(text))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%x", eth.Keccak256(exact)); got != "be609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2" {
		t.Errorf("the hash is %s", got)
	}
	if got := fmt.Sprintf("%x", exact[:34]); got != "1901f2cee375fa42b42143804025fc449deafd50cc031ca257e0b194a650a912090f" {
		t.Errorf("domain separator: %s", got)
	}
	e, err := eip712.Describe(typed(text), func(eth.Address) string { return "mail" })
	if err != nil {
		t.Fatal(err)
	}
	want := []request.CallArg{{Path: "from.name", Type: "string", Value: "Cow"}, {Path: "from.wallet", Type: "address", Value: "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"},
		{Path: "to.name", Type: "string", Value: "Bob"}, {Path: "to.wallet", Type: "address", Value: "0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB"}, {Path: "contents", Type: "string", Value: "Hello, Bob!"}}
	if fmt.Sprint(e.Fields) != fmt.Sprint(want) || e.Name != "Ether Mail" || e.Version != "1" || e.ChainID != "1" || e.ID != "mail" || e.Primary != "Mail" || !bytes.Equal(e.Exact, exact) || len(e.Approvals) != 0 {
		t.Errorf("got %+v", e)
	}
	if again := canonical(t, text); again != text {
		t.Error("the canonical form of the canonical form is another")
	}
}

// oracle hashes typed data with go-ethereum.
func oracle(text string) (string, error) {
	var d apitypes.TypedData
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		return "", err
	}
	h, _, err := apitypes.TypedDataAndHash(d)
	return hex.EncodeToString(h), err
}

// drawTyped draws typed data: a struct of atoms, lists and another struct.
func drawTyped(t *rapid.T) string {
	value := map[string]func() any{
		"uint256": func() any { return rapid.StringMatching("[1-9][0-9]{0,30}").Draw(t, "uint") },
		"int64":   func() any { return fmt.Sprint(rapid.Int64().Draw(t, "int")) },
		"bool":    func() any { return rapid.Bool().Draw(t, "bool") },
		"address": func() any { return eth.Address(rapid.SliceOfN(rapid.Byte(), 20, 20).Draw(t, "address")).String() },
		"string":  func() any { return rapid.String().Draw(t, "text") },
		"bytes":   func() any { return "0x" + hex.EncodeToString(rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "bytes")) },
		"bytes32": func() any { return "0x" + hex.EncodeToString(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "fixed")) },
		"bytes4":  func() any { return "0x" + hex.EncodeToString(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "four")) },
		"uint8[]": func() any {
			out := []any{}
			for _, b := range rapid.SliceOfN(rapid.Byte(), 0, 4).Draw(t, "list") {
				out = append(out, fmt.Sprint(b))
			}
			return out
		},
	}
	names := []string{"address", "bool", "bytes", "bytes32", "bytes4", "int64", "string", "uint256", "uint8[]"}
	structure := func() (fields []map[string]string, v map[string]any) {
		v = map[string]any{}
		for i, typ := range rapid.SliceOfN(rapid.SampledFrom(names), 1, 5).Draw(t, "types") {
			name := fmt.Sprintf("f%d", i)
			fields = append(fields, map[string]string{"name": name, "type": typ})
			v[name] = value[typ]()
		}
		return fields, v
	}
	inner, one := structure()
	outer, top := structure()
	outer = append(outer, map[string]string{"name": "in", "type": "Inner"}, map[string]string{"name": "all", "type": "Inner[]"})
	top["in"], top["all"] = one, []any{one, one}
	b, err := json.Marshal(map[string]any{"primaryType": "Outer", "domain": map[string]any{"chainId": "7", "name": rapid.StringN(1, 20, -1).Draw(t, "name")}, "message": top,
		"types": map[string]any{"Inner": inner, "Outer": outer, "EIP712Domain": []map[string]string{{"name": "name", "type": "string"}, {"name": "chainId", "type": "uint256"}}}})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestAgreesWithGeth: the hash is go-ethereum's, and stays it in canonical form.
func TestAgreesWithGeth(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		text := drawTyped(rt)
		b, err := eip712.Canonical([]byte(text))
		if err != nil {
			rt.Fatalf("%s: %v", text, err)
		}
		exact, err := eip712.Exact(typed(string(b)))
		if err != nil {
			rt.Fatal(err)
		}
		for _, s := range []string{text, string(b)} {
			want, err := oracle(s)
			if err != nil || fmt.Sprintf("%x", eth.Keccak256(exact)) != want {
				rt.Fatalf("%s: go-ethereum has %s, %v", s, want, err)
			}
		}
	})
}

// FuzzExact: what is taken is in canonical form, go-ethereum has the same hash for it, and it can be described with the same bytes.
func FuzzExact(f *testing.F) {
	f.Add(canonical(f, mail))
	f.Add(permit("Permit", `"owner":"address","spender":"address","value":"uint256","nonce":"uint256","deadline":"uint256"`, `"owner":"`+token+`","spender":"`+spender+`","value":"7","nonce":"0","deadline":"9"`))
	f.Fuzz(func(t *testing.T, text string) {
		exact, err := eip712.Exact(typed(text))
		if err != nil {
			return
		}
		want, err := oracle(text)
		if err != nil || fmt.Sprintf("%x", eth.Keccak256(exact)) != want {
			t.Fatalf("go-ethereum has %s, %v", want, err)
		}
		if b, err := eip712.Canonical([]byte(text)); err != nil || string(b) != text {
			t.Fatalf("the canonical form is %s, %v", b, err)
		}
		if e, err := eip712.Describe(typed(text), func(eth.Address) string { return "" }); err != nil || !bytes.Equal(e.Exact, exact) {
			t.Fatalf("described otherwise: %v", err)
		}
	})
}

// TestRefuses: what has two readings, does not fit its type, or would be good elsewhere.
func TestRefuses(t *testing.T) {
	t.Parallel()
	good := canonical(t, mail)
	for name, c := range map[string][2]string{
		"no chain":              {`,{"name":"chainId","type":"uint256"}`, ``},
		"empty name":            {`"name":"Ether Mail"`, `"name":""`},
		"chain not given":       {`"chainId":"1",`, ``},
		"field of its own":      {`{"name":"version","type":"string"}`, `{"name":"revision","type":"string"}`},
		"fields out of order":   {`{"name":"name","type":"string"},{"name":"version","type":"string"},{"name":"chainId"`, `{"name":"version","type":"string"},{"name":"name","type":"string"},{"name":"chainId"`},
		"unknown primary type":  {`"primaryType":"Mail"`, `"primaryType":"Male"`},
		"domain as primary":     {`"primaryType":"Mail"`, `"primaryType":"EIP712Domain"`},
		"unknown type":          {`"type":"Person"`, `"type":"Human"`},
		"alias":                 {`"name":"contents","type":"string"`, `"name":"contents","type":"uint"`},
		"member missing":        {`"contents":"Hello, Bob!",`, ``},
		"member more":           {`"contents":"Hello, Bob!"`, `"contents":"Hello, Bob!","extra":"1"`},
		"member twice":          {`"contents":"Hello, Bob!"`, `"contents":"Hello, Bob!","contents":"Hello, Bob!"`},
		"field twice":           {`{"name":"wallet","type":"address"}`, `{"name":"name","type":"address"}`},
		"space":                 {`"primaryType":"Mail"`, `"primaryType": "Mail"`},
		"null":                  {`"Hello, Bob!"`, `null`},
		"number for a text":     {`"Hello, Bob!"`, `1`},
		"fraction":              {`"chainId":"1"`, `"chainId":1.0`},
		"leading zero":          {`"chainId":"1"`, `"chainId":"01"`},
		"hex":                   {`"chainId":"1"`, `"chainId":"0x1"`},
		"checksum":              {`0xCD2a`, `0xcD2a`},
		"member at the top":     {`"primaryType":"Mail"`, `"primaryType":"Mail","salt":"1"`},
		"escaped character":     {`Bob!`, `B\u006fb!`},
		"something at its end":  {`}]}}`, `}]}} `},
		"half a character pair": {`Bob!`, `\ud800`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := strings.Replace(good, c[0], c[1], 1)
			if text == good {
				t.Fatal("nothing was replaced")
			}
			if _, err := eip712.Exact(typed(text)); err == nil {
				t.Error("it is taken")
			}
		})
	}
}

// permit writes typed data of a permit.
func permit(primary, fields, message string) string {
	var list []string
	for _, f := range strings.Split(fields, ",") {
		name, typ, _ := strings.Cut(f, ":")
		list = append(list, fmt.Sprintf(`{"name":%s,"type":%s}`, name, typ))
	}
	return fmt.Sprintf(`{"domain":{"chainId":"1","verifyingContract":"%s"},"message":{%s},"primaryType":"%s","types":{"D":[{"name":"token","type":"address"},{"name":"amount","type":"uint160"},{"name":"expiration","type":"uint48"},{"name":"nonce","type":"uint48"}],"EIP712Domain":[{"name":"chainId","type":"uint256"},{"name":"verifyingContract","type":"address"}],"%[3]s":[%s]}}`,
		token, message, primary, strings.Join(list, ","))
}

// TestPermits: the power over tokens that signatures give.
func TestPermits(t *testing.T) {
	t.Parallel()
	erc := `"owner":"address","spender":"address","value":"uint256","nonce":"uint256","deadline":"uint256"`
	ercOf := func(value string) string {
		return fmt.Sprintf(`"owner":%q,"spender":%q,"value":%q,"nonce":"0","deadline":"99"`, token, spender, value)
	}
	dai := `"holder":"address","spender":"address","nonce":"uint256","expiry":"uint256","allowed":"bool"`
	daiOf := func(expiry, allowed string) string {
		return fmt.Sprintf(`"holder":%q,"spender":%q,"nonce":"0","expiry":%q,"allowed":%s`, token, spender, expiry, allowed)
	}
	one := fmt.Sprintf(`{"token":%q,"amount":"8","expiration":"77","nonce":"1"}`, token)
	for name, c := range map[string]struct{ primary, fields, message, want string }{
		"ERC-2612":     {"Permit", erc, ercOf("7"), "[7 false] 99"},
		"any amount":   {"Permit", erc, ercOf("115792089237316195423570985008687907853269984665640564039457584007913129639935"), "[115792089237316195423570985008687907853269984665640564039457584007913129639935 true] 99"},
		"DAI":          {"Permit", dai, daiOf("99", "true"), "[115792089237316195423570985008687907853269984665640564039457584007913129639935 true] 99"},
		"DAI for ever": {"Permit", dai, daiOf("0", "true"), "[115792089237316195423570985008687907853269984665640564039457584007913129639935 true] [0 true] "},
		"DAI's end":    {"Permit", dai, daiOf("0", "false"), ""},
		"Permit2":      {"PermitSingle", `"details":"D","spender":"address","sigDeadline":"uint256"`, fmt.Sprintf(`"details":%s,"spender":%q,"sigDeadline":"55"`, one, spender), "[8 false] 77"},
		"batch":        {"PermitBatch", `"details":"D[]","spender":"address","sigDeadline":"uint256"`, fmt.Sprintf(`"details":[%s,%[1]s],"spender":%q,"sigDeadline":"88"`, one, spender), "[8 false] [8 false] 88"},
		"transfer":     {"PermitTransferFrom", `"permitted":"D","spender":"address","deadline":"uint256"`, fmt.Sprintf(`"permitted":%s,"spender":%q,"deadline":"66"`, one, spender), "[8 false] 66"},
		"unknown":      {"PermitAll", `"spender":"address"`, fmt.Sprintf(`"spender":%q`, spender), "[0 true] "},
		"empty batch":  {"PermitBatch", `"details":"D[]","spender":"address"`, fmt.Sprintf(`"details":[],"spender":%q`, spender), "[0 true] "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, err := eip712.Describe(typed(canonical(t, permit(c.primary, c.fields, c.message))), func(eth.Address) string { return "" })
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, a := range e.Approvals {
				if a.Spender != spender || a.Contract != token {
					t.Errorf("got %+v", a)
				}
				got += fmt.Sprintf("[%s %t] ", a.Amount, a.Unlimited)
			}
			if got += e.Deadline; got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

// TestPersonal: the bytes of a plain text are go-ethereum's.
func TestPersonal(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.String().Draw(rt, "text")
		e, err := eip712.Describe(&request.MessageSignBody{Kind: request.PersonalMessage, Content: text}, nil)
		if want := accounts.TextHash([]byte(text)); err != nil || eth.Keccak256(e.Exact) != [32]byte(want) || e.Text != text {
			rt.Fatalf("got %x, %v, want the hash %x", e.Exact, err, want)
		}
	})
}
