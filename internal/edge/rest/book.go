// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/apiv1"
)

// addressBook is GET /v1/address-book. Where the rule document has no settings of an address ledger, the book is the document's, whole.
func (s *Server) addressBook(c *call) error {
	limit, err := c.number("limit", 500, 1, 1000)
	if err != nil {
		return err
	}
	from, err := c.after(listBook)
	if err != nil {
		return err
	}
	m, err := ask[message.Book](c.ctx(), s.cfg.Core, message.MethodBook, message.List{From: from, Limit: limit})
	if err != nil {
		return err
	}
	out := apiv1.AddressBook{Entries: []apiv1.ListedEntry{}, Total: m.Total}
	if !m.Ledger {
		d, _, err := s.document(c)
		if err != nil {
			return err
		}
		for _, e := range d.AddressBook {
			out.Entries = append(out.Entries, apiv1.ListedOf(e))
		}
		out.Total = uint64(len(out.Entries))
		return c.reply(out)
	}
	for _, e := range m.Entries {
		x := apiv1.ListedOf(e.Entry)
		x.Standing, x.Reviewed, x.Entry, x.Own, x.Old = e.Standing, e.Reviewed, e.Seq, e.Own, e.Old
		if !e.Old {
			x.Age = e.Age
		}
		out.Entries = append(out.Entries, x)
	}
	if n := len(m.Entries); uint64(n) == limit {
		out.Next = cursor(listBook, m.Entries[n-1].Position+1)
	}
	return c.reply(out)
}

// blacklist is GET /v1/blacklist.
func (s *Server) blacklist(c *call) error {
	d, _, err := s.document(c)
	if err != nil {
		return err
	}
	return c.reply(apiv1.Blacklist{Addresses: append([]apiv1.Blocked{}, d.Blacklist...)})
}
