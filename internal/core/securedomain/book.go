// SPDX-License-Identifier: Apache-2.0

package securedomain

import "strongroom/internal/gate/message"

// maxBook is how many entries of the address ledger one answer lists.
const maxBook = 1000

// Book lists entries of the address ledger.
func (d *Domain) Book(in message.List) message.Book {
	d.mu.Lock()
	defer d.mu.Unlock()
	list, total := d.state.Book(in.From, int(min(in.Limit, maxBook)), d.guess())
	out := message.Book{Total: total, Ledger: d.state.Doc.Whitelist != nil}
	for _, x := range list {
		out.Entries = append(out.Entries, message.BookEntry{Entry: x.BookEntry, Standing: x.Standing, Age: x.Age, Reviewed: x.Reviewed, Seq: x.Seq, Own: x.Own, Position: x.Position, Old: x.Old})
	}
	return out
}
