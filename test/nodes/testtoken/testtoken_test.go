// SPDX-License-Identifier: Apache-2.0

package testtoken

import (
	"bytes"
	"strings"
	"testing"
)

func TestArtifactBelongsToSource(t *testing.T) {
	t.Parallel()
	token, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(token.Compiler, "solc 0.8.37+") {
		t.Errorf("compiled by %q", token.Compiler)
	}
	if _, err := decode(artifact, append(bytes.Clone(source), ' ')); err == nil {
		t.Error("accepted bytecode of another source")
	}
	if _, err := decode([]byte("{"), source); err == nil {
		t.Error("accepted a broken artifact")
	}
}

// TestInterface compares with EIP-20: a wallet calls exactly these.
func TestInterface(t *testing.T) {
	t.Parallel()
	token, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"name": "name()", "symbol": "symbol()", "decimals": "decimals()", "totalSupply": "totalSupply()",
		"balanceOf": "balanceOf(address)", "transfer": "transfer(address,uint256)",
		"approve": "approve(address,uint256)", "allowance": "allowance(address,address)",
		"transferFrom": "transferFrom(address,address,uint256)",
	} {
		if got := token.ABI.Methods[name].Sig; got != want {
			t.Errorf("method %s: got %q, want %q", name, got, want)
		}
	}
	for name, want := range map[string]string{
		"Transfer": "Transfer(address,address,uint256)", "Approval": "Approval(address,address,uint256)",
	} {
		if got := token.ABI.Events[name].Sig; got != want {
			t.Errorf("event %s: got %q, want %q", name, got, want)
		}
	}
}
