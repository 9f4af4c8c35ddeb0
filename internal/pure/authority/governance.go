// SPDX-License-Identifier: Apache-2.0

package authority

// governance is the section of the state that rules look at besides wallets and limits. Each part is nil while it is empty, and so is the whole.
type governance struct {
	Book *chainState `cbor:"3,keyasint,omitempty"` // address ledger, with the ages of the document's own entries
	Paid *chainState `cbor:"4,keyasint,omitempty"` // destinations paid, while the document asks for them
}

func (s *State) governanceImage() *governance {
	var g governance
	if s.book.ledger.length() > 0 {
		x := s.book.ledger.state()
		g.Book = &x
	}
	if s.paid.chain.length() > 0 {
		x := s.paid.chain.state()
		g.Paid = &x
	}
	if g == (governance{}) {
		return nil
	}
	return &g
}

// restoreGovernance takes the section. The document is there already.
func (s *State) restoreGovernance(g *governance, load func([32]byte) ([]byte, error)) (err error) {
	if g == nil {
		g = &governance{}
	}
	if g.Book != nil {
		if s.book.ledger, err = g.Book.restore(ledgerChunk, load); err != nil {
			return err
		}
	}
	if g.Paid != nil {
		if s.paid.chain, err = g.Paid.restore(paidChunk, load); err != nil {
			return err
		}
	}
	if err := s.book.replay(s.Doc); err != nil {
		return err
	}
	return s.paid.replay()
}

// length is how many records a chain has, dropped ones apart.
func (c *chain) length() int { return len(c.full)*c.per + c.inTail }
