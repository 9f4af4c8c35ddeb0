// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strongroom/client"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
)

func TestNames(t *testing.T) {
	t.Parallel()
	if names, err := readNames(t.TempDir()); err != nil || names != nil {
		t.Errorf("no file: got %v, error %v", names, err)
	}
	for text, says := range map[string]string{
		"p_aaaaaaaaaaaaaaaa: Anna\np_bbbbbbbbbbbbbbbb: Bruno B.\n": "", "alice: Anna\n": "person", "p_aaaaaaaaaaaaaaaa: \"a\\nb\"\n": "one line",
		"p_aaaaaaaaaaaaaaaa: \"\"\n": "one line", "p_aaaaaaaaaaaaaaaa: [a]\n": "cannot unmarshal",
		"p_aaaaaaaaaaaaaaaa: Anna\np_bbbbbbbbbbbbbbbb: Anna\n": "p_aaaaaaaaaaaaaaaa and p_bbbbbbbbbbbbbbbb have the same name",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, namesFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		names, err := readNames(dir)
		if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%q: got %v, error %v", text, names, err)
		}
		if err == nil {
			e := &env{names: names}
			if got := e.person("p_aaaaaaaaaaaaaaaa") + ", " + e.person("p_cccccccccccccccc"); got != "p_aaaaaaaaaaaaaaaa (Anna), p_cccccccccccccccc" {
				t.Errorf("got %s", got)
			}
		}
	}
}

// TestBookLines: the name of a destination is the rules', and it is said whether those are the rules that the approver signs.
func TestBookLines(t *testing.T) {
	t.Parallel()
	const known, other = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"
	chain := custody.EVMChain(1)
	doc := policy.Document{V: 1, Version: 3, AddressBook: []policy.BookEntry{{ID: "exchange", Chain: chain, Address: known}, {ID: "elsewhere", Chain: custody.EVMChain(5), Address: other}}}
	rev := client.Review{Body: &client.Transfer{Asset: chain.Native(), Outputs: []client.Output{{Address: known}, {Address: other}}}}
	d := dossier{Policy: doc.Encode()}
	got := strings.Join(d.bookLines(rev, client.Statement{PolicyVersion: 3, PolicyHash: doc.Hash()}), "\n")
	if want := known + ` is called "exchange" in the address book (version 3 of the rules, which you sign)` + "\n" + other + " is in no address book (version 3 of the rules, which you sign)"; got != want {
		t.Errorf("got %s", got)
	}
	if got := d.bookLines(rev, client.Statement{PolicyVersion: 2})[0]; !strings.Contains(got, "version 3 of the rules, as serve tells; you sign version 2") {
		t.Errorf("got %s", got)
	}
	if got := (dossier{Policy: []byte{1}}).bookLines(rev, client.Statement{}); len(got) != 1 || !strings.Contains(got[0], "can't be read") {
		t.Errorf("got %s", got)
	}
	if got := (dossier{}).bookLines(rev, client.Statement{}); got != nil {
		t.Errorf("got %s", got)
	}
}
