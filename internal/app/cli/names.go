// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"strongroom/client"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
)

// namesFile is the local list of names, beside the configuration file: person ids and what this user calls them. It never leaves this machine;
// the log has ids only.
const namesFile = "names.yaml"

// readNames reads the list of names of a configuration folder; none is no failure. Unknown forms are refused.
func readNames(dir string) (map[custody.PersonID]string, error) {
	path := filepath.Join(dir, namesFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("names: %w", err)
	}
	var names map[custody.PersonID]string
	if err := strictYAML(b, &names); err != nil {
		return nil, fmt.Errorf("names %s: %w", path, err)
	}
	owner := map[string]custody.PersonID{}
	for id, name := range names {
		if err := id.Check(); err != nil {
			return nil, fmt.Errorf("names %s: %w", path, err)
		}
		if name == "" || len(name) > 64 || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return nil, fmt.Errorf("names %s: the name of %s must be 1 to 64 bytes on one line", path, id)
		}
		if other, taken := owner[name]; taken {
			return nil, fmt.Errorf("names %s: %s and %s have the same name %q", path, min(id, other), max(id, other), name)
		}
		owner[name] = id
	}
	return names, nil
}

// person writes a person's id, with the name that this user gave them.
func (e *env) person(id custody.PersonID) string {
	if n, ok := e.names[id]; ok {
		return fmt.Sprintf("%s (%s)", id, n)
	}
	return string(id)
}

// bookLines says what the address book calls the destinations of a transfer. The book is serve's word unless its document is the one whose hash
// is signed, which the core compares.
func (d dossier) bookLines(rev client.Review, st client.Statement) []string {
	t, ok := rev.Body.(*client.Transfer)
	if !ok || len(d.Policy) == 0 {
		return nil
	}
	doc, err := policy.DecodeDocument(d.Policy)
	if err != nil {
		return []string{"the address book that serve gave can't be read: compare the addresses yourself"}
	}
	whose := fmt.Sprintf("version %d of the rules, which you sign", doc.Version)
	if doc.Hash() != st.PolicyHash {
		whose = fmt.Sprintf("version %d of the rules, as serve tells; you sign version %d", doc.Version, st.PolicyVersion)
	}
	var out []string
	for n, o := range t.Outputs {
		i := slices.IndexFunc(doc.AddressBook, func(b policy.BookEntry) bool { return b.Chain == t.Asset.Chain() && b.Address == o.Address })
		if i < 0 && n < len(st.Effects.Books) && st.Effects.Books[n] != "" {
			out = append(out, fmt.Sprintf("%s is called %q in the address ledger, as the domain says in what you sign", o.Address, st.Effects.Books[n]))
			continue
		}
		if i < 0 {
			out = append(out, fmt.Sprintf("%s is in no address book (%s)", o.Address, whose))
			continue
		}
		out = append(out, fmt.Sprintf("%s is called %q in the address book (%s)", o.Address, doc.AddressBook[i].ID, whose))
	}
	return out
}
